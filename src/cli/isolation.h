/* What cut, open, seal and isolate have in common: choosing guests, carrying it out, telling what became of it. */
#ifndef NESTVISOR_CLI_ISOLATION_H
#define NESTVISOR_CLI_ISOLATION_H

#include "apply/isolate.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/proof.h"

/* The options that choose guests, for the tables of all three; an operand GUEST… goes with them. */
#define ISOLATION_OPTIONS                                                                                              \
	{"all", .help = "all guests of the lab, at every layer"}, PROOF_OPTION,                                        \
		{"method", .kind = OPTION_CHOICE,                                                                      \
		 .help = "by what it is done: nft at every host, or, for guests of libvirt at this one, nwfilter on "  \
			 "their live interfaces",                 \
		 .choices = (const char *const[]){"nft", "nwfilter", NULL}, .fallback = "nft"},                        \
	{                                                                                                              \
		"tag", 't', OPTION_STRING, "TAG", .help = "all guests with this tag; may be repeated",                 \
						  .repeated = true, .no_env = true                                     \
	}

#define ISOLATION_OPERANDS                                                                                             \
	(const struct command_operand[])                                                                               \
	{                                                                                                              \
		{"GUEST", "a guest's path", COMPLETE_GUEST, .optional = true, .repeated = true},                       \
		{                                                                                                      \
			0                                                                                              \
		}                                                                                                      \
	}

#define ISOLATION_STATUSES                                                                                             \
	(const struct command_status[])                                                                                \
	{                                                                                                              \
		{EXIT_DONE, "in force at every layer that runs"},                                                      \
			{EXIT_FAILED, "not done, not at every layer, or shown not to hold: the answer says which"},    \
		{                                                                                                      \
			0                                                                                              \
		}                                                                                                      \
	}

/* The lab, the guests, the change, the answer. `more`: what the log says of the command beyond its guests, or NULL.
 * Returns the exit status. */
int isolation_run(struct invocation *inv, const char *more, isolate_edit edit, void *data);

/* "2026-11-21 18:49:10", in local time. */
enum { UNTIL_TEXT_SIZE = 32 };
void isolation_format_until(long long until, char ret[UNTIL_TEXT_SIZE]);

/*
 * The answer for what became of a change, printed or as a document. `what`: the command, when the proof that it holds
 * is to be part of it (cli/proof.h) and of the audit log; or NULL.
 */
int isolation_answer(struct invocation *inv, const struct lab *lab, const struct guest *const *guests, size_t count,
		     const struct isolate_result *result, const char *what);

/* The places that a guest keeps, with the names that they were resolved from: "198.51.100.7:443/tcp (update.example)".
 */
void isolation_put_allowed(const struct allowance *allowed, size_t count, struct strbuf *out);

/* {"path", "world", …} of one guest. */
json_t *isolation_guest_json(const struct isolation *isolation, const struct guest *guest);

#endif
