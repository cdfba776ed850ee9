/*
 * The two hosts that WSL is about: Windows, in whose user's folder .wslconfig lies, and the distribution. One may be
 * missing from what was captured, and inside WSL both files are facts of one host.
 */
#ifndef NESTVISOR_DOCTOR_WSL_VIEW_H
#define NESTVISOR_DOCTOR_WSL_VIEW_H

#include "doctor/checks.h"
#include "doctor/wsl_keys.h"

struct wsl_view {
	const struct patient *windows;	    /* whose facts hold .wslconfig; NULL: it was not captured */
	const struct patient *distribution; /* NULL: none was captured */
	unsigned build;			    /* of Windows: 22631; 0: not known */
	const char *version;		    /* of WSL: "2.3.26"; NULL: not known */
	const struct origin *version_origin, *build_origin;
};

/*
 * What a patient has to do with WSL. False: nothing, or it is not this patient on whom checks of `file` are reported:
 * those of .wslconfig are on whoever has it, or else on the distribution.
 */
bool wsl_look(const struct examination *examination, const struct patient *patient, enum ini_reader file,
	      struct wsl_view *ret);

/* A setting of .wslconfig that counts. */
struct wsl_value {
	const struct setting *setting; /* NULL: it is not set, or set to something that WSL does not take */
	const char *text;	       /* as set, or the default where Windows is known to have it; NULL: not known */
	bool default_;		       /* it is the default */
};
struct wsl_value wsl_value(const struct wsl_view *view, const char *section, const char *name);
/* The networking mode that counts: what WSL itself says, else what is set. NULL: not known. */
const char *wsl_networking_mode(const struct wsl_view *view, struct wsl_value *ret_set);
/* -1, 0, 1: WSL is older than, equal to, newer than a version. Only where the version is known. */
int wsl_compare_version(const char *version, const char *other);

/* "networkingMode=nat in [wsl2] (…/.wslconfig:3)", or that it is not set. */
void wsl_evidence(struct examination *examination, struct finding *finding, const struct wsl_view *view,
		  const char *name, const struct wsl_value *value);
/* Which command sets it. `flag`: "--nested". */
void wsl_remedy(struct examination *examination, struct finding *finding, const char *flag);
/* How WSL is started anew, for it to read its files. */
extern const char wsl_restart[];

#endif
