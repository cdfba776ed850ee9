/* Ports and protocols as options name them: 22, ssh, 53/udp, ping. */
#ifndef NESTVISOR_CLI_SERVICES_H
#define NESTVISOR_CLI_SERVICES_H

#include "cli/command.h"
#include "verify/reach_lab.h"

struct arena;

/* By number or by name ("tcp", "ssh"); false: neither. */
bool protocol_read(const char *word, uint8_t *ret);
bool port_read(const char *word, uint16_t *ret);

/* --port, repeated, with --proto where a port says none. EXIT_DONE, or the status to return with the reason printed. */
int services_read(struct invocation *inv, struct arena *arena, struct reach_service **ret, size_t *ret_count);

#endif
