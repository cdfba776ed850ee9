#include "fork/guard.h"

#include "apply/session.h"
#include "base/error.h"
#include "model/lab.h"

#include <errno.h>
#include <string.h>

int guard_kind(const struct session *session, const struct guest *guest, struct error **err)
{
	if (guest->adopted) {
		error_set(err, EOPNOTSUPP,
			  "%s is adopted: libvirt has it, and its snapshots are libvirt's to take and to go back to",
			  guest->path);
		error_hint(err, "virsh -c %s snapshot-create-as %s NAME, snapshot-revert %s NAME",
			   session->lab->adopted, guest->adopted, guest->adopted);
		return -EOPNOTSUPP;
	}
	if (guest->host) {
		error_set(
			err, EOPNOTSUPP,
			"%s has guests or networks of its own: snapshots of a whole stack at one moment are not there "
			"yet, and its memory alone, with guests in it, does not come back on every CPU",
			guest->path);
		error_hint(err, "its guests can have snapshots, each by itself: nestvisor snapshot %s/GUEST",
			   guest->path);
		return -EOPNOTSUPP;
	}
	if (guest->libvirt && strstr(guest->libvirt, ":///session")) {
		error_set(
			err, EOPNOTSUPP,
			"%s is a guest of the libvirt of a user's session, which cannot write where snapshots are kept",
			guest->path);
		error_hint(err, "driver: qemu:///system, or qemu");
		return -EOPNOTSUPP;
	}
	return 0;
}
