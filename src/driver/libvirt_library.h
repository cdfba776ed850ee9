/*
 * libvirt's C API (https://libvirt.org/html/index.html), loaded when the first lab asks for it: nestvisor runs where
 * there is no libvirt. Its headers give the types, its library is found at run time.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_LIBRARY_H
#define NESTVISOR_DRIVER_LIBVIRT_LIBRARY_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

struct error;

#define LIBVIRT_FUNCTIONS(F)                                                                                           \
	F(virInitialize)                                                                                               \
	F(virSetErrorFunc)                                                                                             \
	F(virGetLastError)                                                                                             \
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

#endif
