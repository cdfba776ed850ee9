/*
 * What WSL knows: every key of .wslconfig and wsl.conf, in one table.
 *
 * Sources: "Advanced settings configuration in WSL", https://learn.microsoft.com/windows/wsl/wsl-config, as of
 * 2026-04-15 (sections, defaults, which Windows a key needs), and where that is silent WSL itself,
 * https://github.com/microsoft/WSL version 2.9.4, as of 2026-08-08 (src/windows/common/WslCoreConfig.{h,cpp},
 * src/linux/init/WslDistributionConfig.{h,cpp}). Both read on 2026-11-21.
 */
#ifndef NESTVISOR_DOCTOR_WSL_KEYS_H
#define NESTVISOR_DOCTOR_WSL_KEYS_H

#include "facts/facts.h"
#include "facts/ini.h"

#include <stdbool.h>

enum wsl_type {
	WSL_BOOLEAN, /* true, false, 1, 0 */
	WSL_INTEGER, /* as strtol(3) reads it with base 0 */
	WSL_SIZE,    /* bytes, or with B, KB, MB, GB, TB */
	WSL_TEXT,
	WSL_PATH, /* of Windows: each backslash is written twice */
	WSL_CHOICE,
	WSL_PORTS,   /* 67,5353 */
	WSL_ADDRESS, /* IPv4 */
	WSL_MAC,
};

/* Builds of Windows that matter. */
enum {
	WINDOWS_11 = 22000,
	WINDOWS_11_22H2 = 22621,
};

struct wsl_key {
	enum ini_reader file;
	const char *section;
	const char *also; /* a section in which it stood as an experiment, and may still; NULL: none */
	const char *name;
	enum wsl_type type;
	const char *const *choices; /* NULL-terminated */
	const char *fallback;	    /* the default; NULL: it depends, or there is none */
	unsigned windows;	    /* the first build of Windows that has it; 0: as old as WSL 2 */
	/* Another key of the same file and the value it must have, or must not have, for this one to count; NULL: none.
	 */
	const char *with, *with_value, *without_value;
	bool undocumented; /* only the source speaks of it */
	const char *use;   /* what it is for */
};

extern const struct wsl_key wsl_keys[]; /* a NULL name ends it */

/* "%USERPROFILE%\\.wslconfig", "/etc/wsl.conf" */
const char *wsl_file_name(enum ini_reader file);

const struct wsl_key *wsl_key(enum ini_reader file, const char *section, const char *name); /* NULL: unknown */
/* The key that has this name, wherever it belongs, in this file rather than in the other; NULL: there is none, or the
 * name says nothing, because several sections have it ("enabled"). */
const struct wsl_key *wsl_key_named(enum ini_reader file, const char *name);
/* The key that is probably meant by a misspelt name; NULL: none is near. */
const struct wsl_key *wsl_key_near(enum ini_reader file, const char *section, const char *name);
/* A section that is probably meant; NULL: none is near, or it is one. */
const char *wsl_section_near(enum ini_reader file, const char *section);

/* What is wrong with a value, as the end of a sentence that begins with the value; NULL: nothing. */
const char *wsl_value_problem(const struct wsl_key *key, const char *value);
bool wsl_is_true(const char *value);
bool wsl_is_false(const char *value);
bool wsl_has_port(const char *ports, unsigned port);

/* The settings of a host's facts for a key: the first that WSL takes, in either section; NULL: none. */
const struct setting *wsl_setting(const struct facts *facts, const struct wsl_key *key);

#endif
