/*
 * Isolation at run time: which guests are cut, sealed or opened for a while in place of what the lab file says, kept so
 * that nothing forgets it, and made real at every layer.
 *
 *   /var/lib/nestvisor/<lab>/isolation.json   what was said (model/isolation.h); survives reboots, and
 *                                             `down --keep-disks`
 *   /var/lib/nestvisor/<lab>/isolation.next   the same of a change that goes on or was killed: it counts instead
 *   /var/lib/nestvisor/<lab>/audit.log        who said what when, and what became of it: a JSON object a line
 *   /run/nestvisor/<lab>/isolation.lock       held by whoever changes the above or the rules; see below how long
 *   /run/nestvisor/<lab>/isolation.done       which hosts below have what was said: {"hv1": a hash of it}
 *
 * A guest of libvirt's may be held by nwfilter instead of the rules (nwfilter.h). Libvirt takes its time: until its
 * filter stands the lab's rules hold the guest, and that is what is written down; so whoever is killed in between
 * leaves a guest that is cut.
 *
 * The lock is held for milliseconds, except where libvirt is asked: what there is of an adopted lab, 5 s at most, and
 * then what was known of it last counts; or to change an nwfilter, as long as that takes, so that of two changes the
 * later one is the one that stays. Other changes of this lab wait up to 10 s, and then fail. A libvirtd that does not
 * answer is given up after 5 s, before a filter is changed; one that hangs in the midst of that is waited for.
 *
 * The order of a change: it is written down; it is in force at this host, the outermost one that can see the guest;
 * then, at the same time in all of them, the hosts below are told. It is done when all have answered, and never said to
 * be done before. A host that is down gets it with its part when it comes up. The lock is not the lab's: a change
 * does not wait for an `up`, but while it puts such a filter on a guest that it starts; `up` takes what it says of
 * isolation from here at the moment when it loads rules.
 */
#ifndef NESTVISOR_APPLY_ISOLATE_H
#define NESTVISOR_APPLY_ISOLATE_H

#include "apply/folders.h"
#include "base/json.h"
#include "model/isolation.h"
#include "net/net.h"

struct arena;
struct cancel;
struct error;
struct reporter;
struct session;

/* What holds now: the lab file's word and what was said since. Without anything said, what the lab file says. */
int isolate_load(const struct folders *folders, const struct lab *lab, struct isolation **ret, struct error **err);

enum isolate_outcome {
	ISOLATE_DONE,
	ISOLATE_WAITS,	/* the host does not run: it gets it when it starts */
	ISOLATE_FAILED, /* it could not be told: `why` */
};
const char *isolate_outcome_name(enum isolate_outcome outcome);

struct isolate_layer {
	const char *host; /* its path; "" for L0 */
	enum isolate_outcome outcome;
	const char *why; /* of a failure, or NULL */
	double ms;	 /* since the change began, until it was in force there */
};

struct isolate_result {
	const struct isolation *before;	   /* as it was until then */
	const struct isolation *isolation; /* as it is now */
	struct isolate_layer *layers;	   /* this host first */
	size_t layer_count;
	struct net_switched switched; /* at this host */
	size_t flows;		      /* that were ended at this host */
	bool complete;		      /* nothing failed, and nothing is unsure */
	const char *unsure;	      /* of an adopted lab: why somebody may not be held all the same, in sentences */
};

/* What a guest is to have in place of what it has; *ret is that at first. Borrows what it sets until the change is
 * done. */
typedef int (*isolate_edit)(void *data, const struct guest *guest, struct isolation_setting *ret, struct error **err);

struct isolate_request {
	const char *what; /* the command, for the audit log: "cut --all" */
	const struct guest *const *guests;
	size_t guest_count;
	isolate_edit edit;
	void *data;
};

/*
 * Carries it out. Returns 0 also where hosts below failed: see ret->complete; they are told again by the next change,
 * the same one included, and by `up`. Everything lives in the arena.
 */
int isolate_change(struct arena *arena, const struct lab *lab, const struct isolate_request *request,
		   struct cancel *cancel, struct isolate_result *ret, struct error **err);

/* A line in the audit log behind that of the change: what was found afterwards, "proved" or "violated", say. */
int isolate_log_verdict(const struct lab *lab, const char *what, const char *verdict, struct error **err);

/*
 * What the layer above says, in place of all that was said here: {"serial", "guests": {…}} as isolation_json writes it.
 * What is older than what it said before is left alone.
 */
int isolate_take(struct arena *arena, const struct lab *lab, const json_t *said, struct cancel *cancel,
		 struct isolate_result *ret, struct error **err);

/* The same with a part, whose rules are loaded afterwards by its own steps. */
int isolate_adopt(struct session *session, const char *said, struct error **err);

/* net_make_rules with what holds at this moment. */
int isolate_make_rules(struct session *session, struct error **err);

/*
 * Brings the taps of a guest of libvirt's, which QEMU holds and whose CPUs do not run yet, to their networks; and where
 * it is held by nwfilter, puts that on them. With what holds at this moment.
 */
int isolate_plug(struct session *session, const struct guest *guest, struct error **err);

/* Whether a guest of this host is held at all: cut or sealed. */
bool isolate_holds_any(const struct isolation *isolation);

/*
 * Of an adopted lab: asks libvirt what it has now, and loads the rules anew where they are others by that.
 * *ret_held: whether anybody is held. *ret_open: that it has to be asked again, since it does not answer or does not
 * know a port of the bridges.
 */
int isolate_refresh(const struct lab *lab, struct cancel *cancel, bool *ret_held, bool *ret_open, struct error **err);

/* For the part of a guest that is a host: what to say to it; and that it has it. Frees nothing of what it is given. */
json_t *isolate_part(const struct isolation *isolation, const struct guest *guest);
void isolate_forget(const struct folders *folders, const struct guest *guest); /* it starts anew, and has nothing */
int isolate_confirm(const struct folders *folders, const struct guest *guest, const struct isolation *said,
		    struct error **err);

/* Whether a host below is known to have what holds. */
bool isolate_is_confirmed(const struct folders *folders, const struct guest *guest, const struct isolation *isolation);

#endif
