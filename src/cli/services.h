/* Ports and protocols as options name them: 22, ssh, 53/udp, ping. */
#ifndef NESTVISOR_CLI_SERVICES_H
#define NESTVISOR_CLI_SERVICES_H

#include "cli/command.h"
#include "verify/reach_lab.h"

struct arena;

/* Of --hook, which hook_read() reads. */
#define HOOK_CHOICES ((const char *const[]){"forward", "input", "output", "prerouting", "postrouting", NULL})
/* How much sets of packets may take. */
#define MEMORY_OPTION                                                                                                  \
	{                                                                                                              \
		.name = "memory", .kind = OPTION_INTEGER, .argument = "MIB",                                           \
		.help = "give up when sets of packets take more", .fallback = "2048", .minimum = 1, .maximum = 65536   \
	}

enum hook hook_read(const struct invocation *inv);
size_t memory_read(const struct invocation *inv); /* bytes */

/* By number or by name ("tcp", "ssh"); false: neither. */
bool protocol_read(const char *word, uint8_t *ret);
bool port_read(const char *word, uint16_t *ret);

/* --port, repeated, with --proto where a port says none. EXIT_DONE, or the status to return with the reason printed. */
int services_read(struct invocation *inv, struct arena *arena, struct reach_service **ret, size_t *ret_count);

#endif
