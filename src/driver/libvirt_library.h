/*
 * libvirt's C API (https://libvirt.org/html/index.html), loaded when the first lab asks for it: nestvisor runs where
 * there is no libvirt. Its headers give the types, its library is found at run time.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_LIBRARY_H
#define NESTVISOR_DRIVER_LIBVIRT_LIBRARY_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdbool.h>

struct error;

#define LIBVIRT_FUNCTIONS(F)                                                                                           \
	F(virInitialize)                                                                                               \
	F(virSetErrorFunc)                                                                                             \
	F(virGetLastError)                                                                                             \
	F(virEventRegisterDefaultImpl)                                                                                 \
	F(virEventRunDefaultImpl)                                                                                      \
	F(virConnectOpen)                                                                                              \
	F(virConnectOpenReadOnly)                                                                                      \
	F(virConnectListAllDomains)                                                                                    \
	F(virConnectListAllNetworks)                                                                                   \
	F(virNetworkGetName)                                                                                           \
	F(virNetworkLookupByName)                                                                                      \
	F(virNetworkGetBridgeName)                                                                                     \
	F(virNetworkIsActive)                                                                                          \
	F(virNetworkGetXMLDesc)                                                                                        \
	F(virNetworkFree)                                                                                              \
	F(virDomainGetXMLDesc)                                                                                         \
	F(virConnectSetKeepAlive)                                                                                      \
	F(virConnectClose)                                                                                             \
	F(virDomainLookupByUUIDString)                                                                                 \
	F(virDomainLookupByName)                                                                                       \
	F(virDomainGetUUIDString)                                                                                      \
	F(virDomainGetName)                                                                                            \
	F(virDomainSetMetadata)                                                                                        \
	F(virDomainGetMetadata)                                                                                        \
	F(virDomainDefineXMLFlags)                                                                                     \
	F(virDomainCreateWithFlags)                                                                                    \
	F(virDomainGetState)                                                                                           \
	F(virDomainIsActive)                                                                                           \
	F(virDomainIsPersistent)                                                                                       \
	F(virDomainUpdateDeviceFlags)                                                                                  \
	F(virNWFilterLookupByName)                                                                                     \
	F(virNWFilterGetUUIDString)                                                                                    \
	F(virNWFilterDefineXML)                                                                                        \
	F(virNWFilterUndefine)                                                                                         \
	F(virNWFilterFree)                                                                                             \
	F(virDomainSuspend)                                                                                            \
	F(virDomainSnapshotCreateXML)                                                                                  \
	F(virDomainSnapshotFree)                                                                                       \
	F(virDomainSaveImageGetXMLDesc)                                                                                \
	F(virDomainRestoreFlags)                                                                                       \
	F(virDomainResume)                                                                                             \
	F(virDomainDestroy)                                                                                            \
	F(virDomainDestroyFlags)                                                                                       \
	F(virDomainUndefineFlags)                                                                                      \
	F(virDomainFree)

#define LIBVIRT_MEMBER(name) __typeof__(name) *name;
struct libvirt {
	LIBVIRT_FUNCTIONS(LIBVIRT_MEMBER)
};
#undef LIBVIRT_MEMBER

/* -ENOENT where there is no libvirt here, or one that is too old. Thread-safe. */
int libvirt_load(const struct libvirt **ret, struct error **err);
/* Begins with it while the caller does something else first: its libraries take some 10 ms. */
void libvirt_load_ahead(void);

/* How long a libvirtd may be silent before it counts as one that hangs, in seconds: for who looks, and for who changes
 * something; at a host that is itself a guest it may have to ask an emulated QEMU what it can first. */
enum { LIBVIRT_LOOK_S = 5, LIBVIRT_CHANGE_S = 15, LIBVIRT_INSIDE_S = 120 };

/*
 * Connects, which it is given that long for; and no call on that connection waits longer than that for a libvirtd that
 * is silent (https://libvirt.org/internals/rpc.html: the keepalive protocol): it fails then. One that works is waited
 * for. -ETIMEDOUT of one that hangs, else -EIO.
 */
int libvirt_connect(const struct libvirt *lib, const char *uri, bool read_only, unsigned silence_s, virConnectPtr *ret,
		    struct error **err);

/* Sets the error in libvirt's own words, of the call that this thread has just made; -EIO, or -ETIMEDOUT where libvirtd
 * was silent for too long. */
__attribute__((format(printf, 4, 5))) int libvirt_fail(const struct libvirt *lib, const char *uri, struct error **err,
						       const char *format, ...);
/* The same for a limit of the caller's own. */
int libvirt_fail_silent(const char *uri, unsigned silence_s, const char *what, struct error **err);

#endif
