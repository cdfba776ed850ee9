/* Copies bytes both ways between a pair of descriptors and a socket or terminal line until one side ends. */
#ifndef NESTVISOR_CLI_PUMP_H
#define NESTVISOR_CLI_PUMP_H

struct cancel;

enum { PUMP_NO_ESCAPE = -1 };

/*
 * in_fd → peer and peer → out_fd. With an escape byte, reading it from in_fd ends the pump. The end of in_fd is passed
 * on as the end of writing where the peer is a socket, and does not end the pump; the end of the peer does. Returns 0,
 * -ECANCELED or -errno.
 */
int pump(int in_fd, int out_fd, int peer, int escape, const struct cancel *cancel);

#endif
