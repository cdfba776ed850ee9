/*
 * Drivers start and stop guests on one host. One table of functions: `qemu` is the embedded default, `libvirt` has the
 * guests be domains of a libvirt that the user has. A driver knows nothing of plans or networks: it gets what to run,
 * already made.
 *
 * Life cycle of a guest: (nothing) → start → running → stop → (nothing). start returns once the virtual machine runs,
 * not once its system has booted; wait_ready waits for that. Everything of a guest lies in its run_dir, and all but
 * start work from that alone after nestvisor was killed at any moment:
 *   pid                 of QEMU, with its start time; qemu: written before QEMU is QEMU; libvirt: just before its CPUs
 * run qmp, console        unix sockets, one client at a time: QEMU's control (qemu), the guest's serial console qga.in,
 * qga.out     FIFOs, qga.lock: for transport_qga(<run_dir>/qga) tpm.pid             of swtpm, where the guest has a
 * TPM: it ends with QEMU events              of a guest that may restart by itself: a second control, for watch.h vnc
 * where the guest has a display: RFB (RFC 6143), for any number of viewers console.log         all the guest ever wrote
 * on its console qemu.log            what QEMU, and swtpm, wrote on their standard error (qemu; libvirt has a log of
 * its own) domain              libvirt: which domain of which libvirt it is; written before that is defined. Then, in
 *                       libvirt's words, as what it was defined and what its machine was before its CPUs ran
 * When a start fails the two logs stay.
 */
#ifndef NESTVISOR_DRIVER_DRIVER_H
#define NESTVISOR_DRIVER_DRIVER_H

#include "base/process.h"
#include "model/lab.h"
#include "model/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct cancel;
struct error;
struct image;
struct reporter;

enum accelerator { ACCEL_KVM, ACCEL_TCG };
const char *accelerator_name(enum accelerator accelerator);

struct driver_nic {
	unsigned queues;    /* of the tap; at least 1 */
	const int *tap_fds; /* qemu: one for each queue */
	const char *tap;    /* libvirt: the name of a tap that is there, in the namespace that libvirt is in */
	uint8_t mac[6];
	unsigned mtu;
};

struct driver_disk {
	const char *path;
	const char *format; /* "raw", "qcow2" */
	const char *serial; /* at most 20 characters, or NULL */
	bool read_only;
};

struct driver_guest {
	const char *lab, *path; /* for names and messages */
	const char *name;
	const char *id;	     /* 8 hexadecimal digits; the machine's UUID derives from it */
	const char *run_dir; /* exists; see below for what comes to lie in it */
	unsigned layer;	     /* 1 for a guest of L0 */
	unsigned cpus;
	uint64_t memory; /* bytes */
	bool nested;	 /* has guests of its own: sees svm or vmx */
	const struct image *image;
	const char *append; /* further words for the kernel command line, for images with a kernel */
	const char *os;	    /* profile name */
	enum firmware firmware;
	bool tpm, display, hypervisor_hidden;
	const char
		*own_dir; /* needed by UEFI and a TPM: what is kept of the guest from one start to the next (own.h) */
	const struct driver_nic *nics;
	size_t nic_count;
	const struct driver_disk *disks;
	size_t disk_count;
	const char *const *cds; /* images of CDs, that it boots from where no disk does */
	size_t cd_count;
	enum accelerator accelerator;
	bool svm_emulated; /* KVM runs on the SVM of a QEMU that emulates its CPU: cpu_svm_is_emulated() */
	const char *saved; /* what `save` wrote of its memory: the machine goes on from there; NULL: it boots */
	int netns;	   /* namespace QEMU runs in, or -1; of a libvirt guest its taps alone come there */
	unsigned user;	 /* libvirt: whose it is, 0 is root; the driver finds it out (libvirt_user.h) */
	const char *uri;   /* of the libvirt that it is to be a domain of; NULL: QEMU is started here */
	/* libvirt: brings the taps to their networks. Called once QEMU holds them and before the guest's CPUs run. */
	int (*plug)(void *data, struct error **err);
	void *plug_data;
};

/* What `save` is to do with a guest that runs. */
struct driver_save {
	const char *memory;	    /* a new file, for what its memory, CPUs and devices are */
	const char *disk, *overlay; /* its disk, and the empty qcow2 over it that it writes to from then on; or NULL */
};

struct driver_state {
	bool running;
	struct process_id process;
	enum accelerator accelerator;
	const char *status; /* QEMU's RunState ("running", "paused", …) */
};

struct driver_ops {
	const char *name;
	/* -EPIPE with QEMU's own message where QEMU ended, -EEXIST where one runs in run_dir already, -EOPNOTSUPP where
	 * this host cannot run such a guest. */
	int (*start)(const struct driver_guest *guest, struct cancel *cancel, struct driver_state *ret,
		     struct error **err);
	/* Waits until the guest agent answers. A guest that dies meanwhile gives its last console lines and QEMU's own
	 * message; one that hangs (no console output for a while) gives -ETIMEDOUT, one whose CPU was reset without a
	 * word -ECONNRESET: both are worth a second start. */
	int (*wait_ready)(const char *run_dir, const char *path, enum accelerator accelerator,
			  struct reporter *reporter, struct cancel *cancel, struct error **err);
	/* Ends the guest: QMP quit, else signals. Its run_dir's files are removed. Not running is success. */
	int (*stop)(const char *run_dir, struct error **err);
	/* The same where a libvirt does not do it: its QEMU is ended by signals, and what libvirt has of it stays with
	 * libvirt, under the name in *ret, freed by the caller. NULL: stop needs nobody. */
	int (*stop_without)(const char *run_dir, char **ret, struct error **err);
	/* Whether the guest in run_dir lives; cheap (no QMP). */
	int (*look)(const char *run_dir, struct driver_state *ret, struct error **err);
	/*
	 * What somebody else changed of each guest since it was defined: one entry for each run_dir, all of them asked
	 * in one conversation. What cannot be found out is said in the entry. NULL, as `restore` is: nobody can.
	 */
	void (*drift)(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret);
	/*
	 * Stops the guest's CPUs and writes down what its memory is at that moment; as the last thing it has it write
	 * to the overlay. The guest stays stopped, also where that failed, until `resume`: so what else belongs to this
	 * moment can be copied. Whether it writes to the overlay then, driver_holds tells.
	 */
	int (*save)(const char *run_dir, const struct driver_save *save, struct cancel *cancel, struct error **err);
	/* Its CPUs stand still, and nothing that a killed `save` began goes on: what driver_holds tells then stays so. */
	int (*pause)(const char *run_dir, struct error **err);
	/* Its CPUs run. One that runs is success. */
	int (*resume)(const char *run_dir, struct error **err);
	/* Defines it again as it was defined here. What runs goes on as it is. */
	int (*restore)(const char *run_dir, struct error **err);
};

extern const struct driver_ops driver_qemu;
/* Its guests need a libvirtd in this machine's own network namespace. -EPERM for a domain without nestvisor's mark,
 * which is left alone; -EIO for what libvirt does not do, in its own words. */
extern const struct driver_ops driver_libvirt;

/*
 * Of a guest that is to be started: how many queues its NICs get, where its lab says `said`, or nothing (0). Never more
 * than its CPUs, which is what virtio-net uses of them. Unsaid: under KVM one for each CPU, at most 8; one where that
 * does not pay, under emulation and without PCI, where all queues share one interrupt.
 */
unsigned driver_queues(const struct driver_guest *guest, unsigned said);

/* Whether the guest's QEMU has this very file open. */
bool driver_holds(const char *run_dir, const char *path);

/* For a guest that is to be started: by its uri. */
const struct driver_ops *driver_for(const char *uri);
/* For one that was started, by what lies in its run_dir; with nothing there either may be asked. */
const struct driver_ops *driver_of(const char *run_dir);

/*
 * Which accelerator works here, found by booting a probe guest and cached per machine, kernel and QEMU under
 * image_cache_dir(). Inside a guest of a lab the first guest's own boot is the probe and /dev/kvm is trusted until
 * then, unless PROBE_BOOT asks for one all the same; it then gets more time, since what is below may be emulated.
 * ret_why says, in one sentence, why it is not KVM (freed by the caller; NULL for KVM).
 */
enum {
	PROBE_INSIDE = 1, /* this host is itself a guest of a lab */
	PROBE_BOOT = 2,
};
int driver_probe(unsigned flags, struct reporter *reporter, struct cancel *cancel, enum accelerator *ret,
		 char **ret_why, struct error **err);

#endif
