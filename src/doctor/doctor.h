/*
 * The doctor: checks over facts, in one table. Each says what it looks at, how bad it is, why that matters and what
 * mends it. Checks read facts and nothing else, so that a check works alike on this machine, on a guest asked through
 * its agent, on a bundle that somebody sent, on a folder made for a test, and on a guest that does not run yet, whose
 * facts are derived from the host it will run on and the lab file (derive.h).
 *
 * A missing fact makes the result unknown, never pass.
 */
#ifndef NESTVISOR_DOCTOR_DOCTOR_H
#define NESTVISOR_DOCTOR_DOCTOR_H

#include "base/json.h"
#include "doctor/fix.h"
#include "facts/bundle.h"
#include "model/lab.h"

enum result {
	RESULT_NONE, /* does not apply to this host: not shown */
	RESULT_PASS,
	RESULT_WARN,
	RESULT_UNKNOWN,
	RESULT_FAIL,
};

enum severity {
	SEVERITY_NOTE,	   /* worth knowing; never changes the exit status */
	SEVERITY_ADVICE,   /* slower, less safe, harder to run */
	SEVERITY_REQUIRED, /* without it guests, or guests of guests, do not run: unknown here matters */
};

/* What must follow once the remedy was applied. */
enum afterwards {
	AFTER_NOTHING,
	AFTER_RELOAD, /* of a module or service, while no guest runs */
	AFTER_RELOGIN,
	AFTER_REBOOT,
	AFTER_WSL, /* wsl --shutdown in Windows, and a new start */
};

struct examination;
struct patient;

struct check {
	const char *id;	   /* "kvm.nested"; what stands before the dot groups them in the manual */
	const char *title; /* what it looks at: "nested virtualization is switched on" */
	enum severity severity;
	const char *matters; /* one sentence that a beginner understands */
	enum afterwards after;
	bool of_definitions; /* it looks at the definitions of libvirt's guests */
	bool fixable;	    /* doctor --fix may apply it */
	const char *manual; /* the place in docs/doctor.md: "kvm-nested"; NULL: the id with a dash */
	const void *data;   /* its own, for look functions that several checks share */
	/* Looks at one host and adds as many findings as there are; none where it does not apply. */
	void (*look)(const struct check *check, struct examination *examination, const struct patient *patient);
};

/* Did a tiny guest run under KVM? */
enum probe_result {
	PROBE_NOT_ASKED,
	PROBE_WORKS,
	PROBE_FAILS,
};

/* A host as the doctor sees it. */
struct patient {
	const char *host; /* "L0", a guest's path, a host's name in a bundle */
	unsigned layer;
	bool layer_known; /* of a bundle it may not be */
	const struct facts *facts;
	bool captured;		     /* its facts were captured, or lie in a folder: --fix is for others */
	bool derived;		     /* it does not run: its facts are what it will see */
	bool definitions;	     /* its facts are definitions of libvirt's guests alone: only checks of these have
				      * something to say, and they say it of each setting by itself */
	const char *unreachable;     /* it runs and could not be asked: why; facts are derived then */
	const struct patient *outer; /* the host it runs on, where that is a patient, too */
	const struct guest *guest;   /* of the lab; NULL: L0, or no lab */
	const struct host *wanted;   /* what the lab file has it run; NULL: nothing, or no lab */
	enum probe_result probe;
	const char *probe_why; /* one sentence: what was seen, why it fails, or why it could not be asked */
	enum truth nests;      /* has it guests with guests, or a lab that will have them? */
	const char *nests_why; /* "the lab first" */
};

struct finding {
	const struct check *check;
	const struct patient *patient;
	enum result result;
	const char *why;      /* what is the case here: one sentence */
	const char *evidence; /* the fact it rests on, with its origin: "N (/sys/module/kvm_intel/parameters/nested)" */
	const char **remedy;  /* exact commands, or sentences where there is none */
	size_t remedy_count;
	const struct fix *fix; /* what --fix does; NULL: nothing that is safe */
	enum afterwards after; /* of the remedy; as the check says unless a finding differs */
};

/* A user's file that a guest of the lab boots from or is installed from. */
struct examined_image {
	const struct guest *guest; /* the first that has it */
	const char *path;
	const char *problem, *hint; /* NULL: it can be used */
};

struct examination {
	struct arena *arena;
	const struct lab *lab;	     /* NULL: none */
	const struct bundle *bundle; /* relations between the hosts; NULL: none */
	struct patient **patients;   /* outermost first */
	size_t patient_count;
	struct examined_image *images; /* of the lab, where they were looked at */
	size_t image_count;
	struct finding *findings;
	size_t finding_count;
};

extern const struct check *const doctor_checks[]; /* NULL-terminated */

struct examination *examination_new(void);
void examination_free(struct examination *examination); /* NULL is fine */
struct patient *examination_add(struct examination *examination, const char *host, const struct facts *facts);
/* Of hosts of a bundle, once all are added: which runs on which, and in what layer; orders them, outermost first. */
void examination_relate(struct examination *examination, const struct bundle *bundle);
/* Of a lab that has its files on this machine: looks at each image and medium that a guest names. As `validate` does, it
 * chooses the edition and the language where the lab file leaves them open. */
void examination_look_at_images(struct examination *examination, struct lab *lab);
/* Runs every check on every patient and sorts: by layer, in it the worst first, then in the table's order. */
void examination_run(struct examination *examination);

/* 0: nothing failed; 1: something fails; 4: something that matters is unknown, and nothing fails. */
int examination_status(const struct examination *examination);
/* One sentence: what this host can and cannot run. */
const char *examination_summary(struct examination *examination);
json_t *examination_json(struct examination *examination); /* the members of nestvisor/doctor/1; a new reference */

/* For checks. The returned finding may be given evidence, remedies and a fix; it moves when the next one is added. */
struct finding *finding_add(const struct check *check, struct examination *examination, const struct patient *patient,
			    enum result result, const char *format, ...) __attribute__((format(printf, 5, 6)));
void finding_evidence(struct examination *examination, struct finding *finding, const struct origin *origin,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));
void finding_remedy(struct examination *examination, struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "apt install X" in the words of the host's distribution; `packages` by family. NULL: this family has none. */
struct packages {
	const char *debian, *fedora, *arch, *suse, *alpine;
};
void finding_install(struct examination *examination, struct finding *finding, const struct packages *packages);

#endif
