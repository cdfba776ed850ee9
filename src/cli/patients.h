/* Whom `doctor` and its kin look at: this host, the hosts of a bundle, a root folder. */
#ifndef NESTVISOR_CLI_PATIENTS_H
#define NESTVISOR_CLI_PATIENTS_H

#include "cli/command.h"
#include "doctor/doctor.h"
#include "facts/bundle.h"

/* What is examined, with everything that it stands on. */
struct patients {
	struct invocation *inv;
	struct examination *examination;
	struct bundle **bundles;
	size_t bundle_count;
	struct lab **labs;
	size_t lab_count;
};

void patients_open(struct invocation *inv, struct patients *ret);
void patients_close(struct patients *patients);
#define cleanup_patients __attribute__((cleanup(patients_close)))

/*
 * Each adds what it says and returns EXIT_DONE, or the exit status to return, with the reason printed.
 *
 * This host is called L0, or, inside a guest of a lab, by its path there, with its layer. `probe`: boot a guest under
 * KVM (driver.h), where that was not done before.
 */
int patients_add_this_host(struct patients *patients, bool probe);
int patients_add_bundle(struct patients *patients, const char *path);
/* One libvirt definition of a guest, as virsh dumpxml prints it; - is standard input. */
int patients_add_definition(struct patients *patients, const char *path);
int patients_add_root(struct patients *patients, const char *path);
/*
 * This host and every guest of the lab that has guests. Those that run are asked through their agents; for the others,
 * and for those that do not answer, what they will see is derived (doctor/derive.h). The lab is taken over.
 */
int patients_add_lab(struct patients *patients, struct lab *lab, bool probe);

#endif
