/* What the doctor found, as text for people. */
#ifndef NESTVISOR_DOCTOR_PRINT_H
#define NESTVISOR_DOCTOR_PRINT_H

#include "doctor/doctor.h"
#include "render/text.h"

/*
 * Grouped by host, worst first; what passes and what is not known but does not matter stands on one line each, unless
 * `all`. Ends with the summary.
 */
void examination_text(struct examination *examination, bool all, const struct style *style, struct strbuf *out);
/* The same without the summary. */
void findings_text(struct examination *examination, bool all, const struct style *style, struct strbuf *out);
/* The table of checks, for --list. */
void checks_text(const struct style *style, struct strbuf *out);
json_t *checks_json(void); /* an array; a new reference */

const char *result_name(enum result result);	    /* "pass"; "" for none */
const char *severity_name(enum severity severity);  /* "required" */
const char *afterwards_name(enum afterwards after); /* "nothing", "reload", "relogin", "reboot", "wsl" */
/* "docs/doctor.md#kvm-nested" */
const char *check_manual(struct arena *arena, const struct check *check);

#endif
