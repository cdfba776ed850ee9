/* Where a command that only reads facts has them from. */
#ifndef NESTVISOR_CLI_FACTSOURCE_H
#define NESTVISOR_CLI_FACTSOURCE_H

#include "cli/collect.h"
#include "cli/command.h"
#include "cli/hosts.h"
#include "facts/bundle.h"

/* The options such a command lists among its own. */
#define FACTSOURCE_OPTIONS                                                                                             \
	{                                                                                                              \
		.name = "facts", .kind = OPTION_STRING, .argument = "BUNDLE",                                          \
		.help = "facts that were captured: a folder, a tar archive, a file or a JSON document",                \
		.complete = COMPLETE_FILE                                                                              \
	}

/* What one nestvisor asks of another that answers for all below it: see struct collect_ends. */
#define FACTSOURCE_ENDS_OPTIONS                                                                                        \
	{.name = "ends",                                                                                               \
	 .help = "of guests without guests only those named with --end",                                               \
	 .hidden = true,                                                                                               \
	 .no_env = true},                                                                                              \
	{                                                                                                              \
		.name = "end", .kind = OPTION_STRING, .argument = "GUEST", .help = "a guest's path or address",        \
		.repeated = true, .hidden = true, .no_env = true                                                       \
	}

/*
 * The facts that a command is about, of the network alone (COLLECT_NETWORK) or all (COLLECT_FACTS):
 * - with --facts those of the bundle, whatever is in it; `host` then names one of its hosts, which must be there;
 * - else with a `host` (L0, a guest's path, ssh://…, netns:…) those of that host, asked now, with the lab's own network
 * on it as a host of its own where it has one;
 * - else with --lab (the command has it) those of this machine and every guest of the lab;
 * - else those of this machine.
 * *ret_name is the host's name in the bundle, to be freed; NULL: no one host was named. EXIT_DONE, or the exit status
 * to return with the reason printed.
 */
int factsource_bundle(struct invocation *inv, const char *host, enum collect_kind kind, struct bundle **ret,
		      char **ret_name);
/* --facts, and an option that says where else to have facts from, typed or given: the usage error's status with the
 * reason printed, else EXIT_DONE. For commands that have --lab and --host. */
int factsource_check(struct invocation *inv);
/*
 * As things are now, for a question about all there is: `lab` (a running one's name, or a file), or what --lab and
 * --host say; else the lab that runs, by the rules of target_running_lab(); else this machine. *ret_hosts as below.
 */
int factsource_now(struct invocation *inv, const char *lab, struct hosts *ret_hosts, struct bundle **ret);
/*
 * The same for a question from one end to another, of what the hosts' kind says: where one of them can only be a guest,
 * the lab is asked that other commands would take without --lab, too; where one is L0, the lab that runs, as by
 * factsource_now(); with --host, those hosts. Where the ends are not
 * said (NULL, NULL) it is factsource_now(). *ret_hosts is set, to be cleared by the caller (its arena is given by it):
 * empty with --facts.
 */
int factsource_ends(struct invocation *inv, const char *from, const char *to, struct hosts *ret_hosts,
		    struct bundle **ret);

#endif
