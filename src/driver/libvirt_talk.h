/* One conversation with one libvirt about one guest's domain: what the files of the libvirt driver share. */
#ifndef NESTVISOR_DRIVER_LIBVIRT_TALK_H
#define NESTVISOR_DRIVER_LIBVIRT_TALK_H

#include "driver/libvirt_library.h"

struct arena;
struct error;

struct talk {
	const struct libvirt *lib;
	struct arena *arena;
	const char *uri, *name, *uuid, *mark, *run_dir;
	unsigned user;			  /* whose that libvirt is (libvirt_user.h) */
	unsigned silence_s;		  /* that libvirtd is allowed (libvirt_library.h) */
	const char *definition, *machine; /* libvirt's dumps of what nestvisor made; NULL: not made yet */
	virConnectPtr connection;
	virDomainPtr domain; /* NULL: there is none */
};

void talk_end(struct talk *talk);
#define cleanup_talk __attribute__((cleanup(talk_end)))

/* Which domain of which libvirt it is, as its start wrote it down in run_dir. -ENOENT: none was begun. */
int talk_read_record(struct talk *talk, const char *run_dir, struct error **err);
int talk_open(struct talk *talk, struct error **err);
/* Finds the domain and makes sure that it is ours (-EPERM). None is success, and leaves `domain` NULL. */
int talk_find_domain(struct talk *talk, struct error **err);

/* In the arena. flags: VIR_DOMAIN_XML_INACTIVE for how it is defined, 0 for the machine that runs. Without what isolation
 * puts there, which comes and goes. */
int talk_dump(struct talk *talk, unsigned flags, const char **ret, struct error **err);
/* Writes down in run_dir which domain it is, and what it was defined as. */
int talk_write_record(const struct talk *talk, struct error **err);

#endif
