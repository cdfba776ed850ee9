/*
 * Questions and answers as JSON: one object each, as `nestvisor path --batch` reads and writes them, line by line.
 *
 * A question: `at` the host; `iif` the interface where the packet arrives there, null where the host sends it; `src`,
 * `dst`; `proto`, a name or a number; `sport`, `dport`; `icmp_type`, `icmp_code`; `state` new (if left out),
 * established, related or invalid. Where they matter: `src_mac`, `dst_mac`, `in_port` (the bridge port it came in by),
 * `bridged` (the frame is for another port of that bridge), `tcp_flags` ("SA"), `ttl`, `fragment` first or later, `of`
 * (the first packet of an established connection, or of the one that an ICMP error is about: a question of its own)
 * with `direction` original or reply. An ICMP error that goes the way of replies is about that packet, one that goes
 * the other way about what answered it. Nothing else is read; question_keys() has all of them.
 *
 * An answer: `verdict`; `where` it ended; `to` what; `src`, `dst`, `sport`, `dport` at the end (null: not one value);
 * `rule`, `table`, `chain`, `hook` that decided; `reason` of lost ones; `answered` of rejected ones; `out_port` where
 * it left by a bridge; `rules`: all that matched; `assumptions`; `missing` of unknown ones. `id` is the question's.
 */
#ifndef NESTVISOR_VERIFY_BATCH_H
#define NESTVISOR_VERIFY_BATCH_H

#include "base/json.h"
#include "verify/walk.h"

struct arena;
struct error;

/* -EINVAL, with the member that is wrong. The question lives in the arena. */
int question_from_json(const struct stack *stack, const json_t *json, struct arena *arena, struct question **ret,
		       struct error **err);

/* The members that a question may have, NULL-terminated. */
const char *const *question_keys(void);

/* A new reference. */
json_t *answer_json(const struct answer *answer);
/* What was assumed, or is missing: [{"text", "command"}]. */
json_t *assumptions_json(const struct assumption *assumptions, size_t count);

/*
 * The defaults of a question whose packet's protocol is set: a source port as hosts choose one, any destination port,
 * flags as the state has them, an echo request.
 */
void question_complete(struct question *question, bool has_sport, bool has_dport, bool has_flags, bool has_type);

#endif
