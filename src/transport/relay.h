/*
 * The guest's side of a live stream through the guest agent (`nestvisor relay TOKEN -- COMMAND…`, hidden). The agent
 * starts it; it runs the command and carries its standard input, output and error through two memory files that the
 * host opens with guest-file-open as /proc/<pid>/fd/<n>. See relay_protocol.h. Nothing is left behind however it ends.
 */
#ifndef NESTVISOR_TRANSPORT_RELAY_H
#define NESTVISOR_TRANSPORT_RELAY_H

struct error;

/*
 * Returns when the command has ended and the host knows its status, or when the host has gone (the command is then
 * ended, -EPIPE). A command that cannot be started is told to the host and no error here. token: any text of the
 * host's, by which it knows that it talks to the relay it started.
 */
int relay_run(const char *token, const char *const argv[], struct error **err);

/* The same with the time after which a silent host is taken for gone; for tests. */
int relay_run_within(const char *token, const char *const argv[], int patience_ms, struct error **err);

#endif
