/*
 * The hosts that a question is about, asked now, and the way to have a command run on one of them: as `nestvisor exec`
 * does in guests of a lab, by ssh, in a network namespace of this machine, or on this machine.
 */
#ifndef NESTVISOR_CLI_HOSTS_H
#define NESTVISOR_CLI_HOSTS_H

#include "cli/collect.h"
#include "cli/command.h"
#include "facts/bundle.h"

/* The option with which hosts are named that are no guests of a lab. */
#define HOSTS_OPTION                                                                                                   \
	{                                                                                                              \
		.name = "host", .letter = 'H', .kind = OPTION_STRING, .argument = "[NAME=]WHERE",                      \
		.help = "ask this host, too, and call it NAME: ssh://[user@]host[:port], netns:NAMESPACE, L0 (this "   \
			"machine)",                                                                                    \
		.repeated = true, .no_env = true                                                                       \
	}

struct hosts {
	struct arena *arena;
	enum collect_kind kind; /* what they are asked */
	bool thorough;		/* all facts, unless a lab is asked, whose guests take their time */
	bool all;		/* guests that no packet passes, too */
	struct lab *lab;	/* NULL: none */
	struct collect_list list;
};

void hosts_clear(struct hosts *hosts);
#define cleanup_hosts __attribute__((cleanup(hosts_clear)))

/* Adds those of --host. EXIT_DONE, or the status to return with the reason printed. */
int hosts_add_given(struct hosts *hosts, struct invocation *inv);

/* This machine, by its own name; L0 is another word for it. */
void hosts_add_this_machine(struct hosts *hosts);

/*
 * As invocation_fail, for a host that could not be asked: EXIT_UNKNOWN of commands that prove, whose EXIT_FAILED is an
 * answer.
 */
int hosts_fail(struct invocation *inv, struct error **err);

/* Asks all of them at the same time. Who is silent is told of, and left out, but for the first one. */
int hosts_ask(struct hosts *hosts, struct invocation *inv, struct bundle **ret);

/* Was one of them silent, so that its facts are not among the others'? */
bool hosts_silent(const struct bundle *bundle);

/* What those who were asked are called, and all guests of the lab, silent ones too; NULL-terminated, the arena's. */
const char *const *hosts_names(const struct hosts *hosts);

/*
 * The argv that runs `argv` on a host, by the name it has in the bundle, with standard input passed on. `gone`: an argv
 * that ends with FIX_GONE, saying so, where the host is not there (its lab does not run, its namespace was removed).
 * -ENOENT: none of them is called so. Both live in the arena of the hosts.
 */
int hosts_argv(const struct hosts *hosts, const char *host, const char *const *argv, bool gone, const char *const **ret,
	       struct error **err);

/* Those hosts of the bundle that `nestvisor up` makes anew, so that no change lasts there: a lab's networks, guests
 * that live in memory. NULL-terminated, the arena's. */
const char *const *hosts_made_anew(const struct hosts *hosts, const struct bundle *bundle);

/* What a host is, for people, where its name alone does not say: "the network of lab first on this machine". NULL: its
 * name says it. */
const char *hosts_explain(const struct hosts *hosts, const char *host);

#endif
