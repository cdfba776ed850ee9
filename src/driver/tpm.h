/*
 * A guest's TPM 2.0: swtpm(8), a process of its own that has the TPM's state. It talks to QEMU over a pair of sockets
 * that have no name, and ends when QEMU does.
 */
#ifndef NESTVISOR_DRIVER_TPM_H
#define NESTVISOR_DRIVER_TPM_H

struct arena;
struct error;

/* Starts it, with its state in a folder and its pid in <run_dir>/tpm.pid; what it says goes to `log`. QEMU gets the
 * socket. -ENOENT with the package when it is not installed. */
int tpm_start(struct arena *arena, const char *run_dir, const char *state, int log, int *ret_socket,
	      struct error **err);

/* Ends one that was left behind: it goes with QEMU otherwise. */
int tpm_stop(const char *run_dir, struct error **err);

#endif
