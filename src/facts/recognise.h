/* What a capture holds: from the command it was made with, from the name of its file, or from what it looks like. */
#ifndef NESTVISOR_FACTS_RECOGNISE_H
#define NESTVISOR_FACTS_RECOGNISE_H

#include "facts/parse.h"

struct format {
	const char *command; /* as one would type it: "iptables-save" */
	void (*parse)(struct reader *reader, const struct asked *asked);
	void (*parse_json)(struct reader *reader, const struct asked *asked, json_t *document); /* NULL: has no JSON */
	/* Of two captures that show the same rules the one with the higher rank counts; 0: holds no rules. */
	unsigned rank;
	bool plain; /* what looks like a prompt in it is none: a log, a setting */
};

struct recognised {
	const struct format *format; /* NULL: not recognised */
	struct asked asked;
	bool filtered; /* through a pipe: only a part is there */
	bool weak;     /* by one word of a name, which may be about something else */
};

/*
 * A line of a terminal: a prompt and a command ("ip -6 route show table 500", "sudo iptables -t nat -L"), or, with no
 * format, behind a prompt that can be nothing else, any other.
 */
bool recognise_prompt(struct pool *pool, struct span line, struct recognised *ret, struct span *ret_command);

/* A file's name: "ip6-route.txt", "2015_aug_iptables-Lnv", "iptables-nat-list.txt". */
bool recognise_name(struct pool *pool, struct span name, struct recognised *ret);

/* The text itself. */
bool recognise_text(struct span text, struct recognised *ret);

/* A JSON document that one of the programs printed. */
bool recognise_json(const json_t *document, struct recognised *ret);

/* The command that was recognised, with what was asked for: "ip route show table 500". */
const char *recognised_command(struct pool *pool, const struct recognised *recognised);

#endif
