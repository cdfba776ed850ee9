/*
 * What a CD image of the user's is to an installation of Windows: a medium of Windows itself, with the editions that
 * its image file has (the XML of a WIM: Microsoft, "Windows Imaging File Format"), the drivers of virtio-win, or
 * something else.
 *
 * Never tried with a real medium of Windows: what is asked of one is what Microsoft documents, and the tests make media
 * with other people's programs (genisoimage, xorriso, wimlib).
 */
#ifndef NESTVISOR_IMAGE_MEDIUM_H
#define NESTVISOR_IMAGE_MEDIUM_H

#include "model/windows.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct error;

enum medium_kind {
	MEDIUM_OTHER,
	MEDIUM_WINDOWS,
	MEDIUM_VIRTIO, /* virtio-win: drivers and guest agent */
};

/* One of the systems that a medium can install. */
struct medium_edition {
	const char *name;	  /* "Windows 11 Pro": what Setup finds it by (/IMAGE/NAME) */
	const char *edition;	  /* "Professional" */
	const char *architecture; /* "x64", "ARM64", …; "" where it is not said */
	const char **languages;	  /* "de-DE" */
	size_t language_count;
	unsigned build;		      /* 26100 */
	enum windows_version version; /* 0: none of those that are known here */
};

struct medium {
	enum medium_kind kind;
	const char *path, *label, *format;
	uint64_t size; /* bytes */
	/* Windows */
	const char *file; /* "sources/install.wim" */
	bool boots_uefi;  /* has a boot loader for UEFI on x86-64 */
	struct medium_edition *editions;
	size_t edition_count;
	/* virtio-win: of which Windows it has the drivers of disk and network */
	const char **drivers; /* its folders of them: "w11" */
	size_t driver_count;
	bool agent;
	/* other: why it is neither */
	const char *why;
};

/*
 * Looks at a file. What is no CD, broken or truncated, or no medium of Windows that could be used is an error; a whole
 * CD of something else is MEDIUM_OTHER.
 */
int medium_read(struct arena *arena, const char *path, struct medium *ret, struct error **err);

/*
 * Whether it installs what is wanted. `edition` and `language` may be NULL: then the one that most take, or the only
 * one, is chosen. -EMEDIUMTYPE, with what the medium is and has, where it does not. Strings returned live as long as
 * the medium.
 */
struct medium_choice {
	const struct medium_edition *edition;
	const char *language;
};
int medium_choose(const struct medium *medium, enum windows_version version, const char *edition, const char *language,
		  struct medium_choice *ret, struct error **err);

/* Whether it is virtio-win's, with the drivers of that Windows. */
int medium_check_virtio(const struct medium *medium, enum windows_version version, unsigned build, struct error **err);

/* "Windows 11, build 26100, x64" */
const char *medium_words(struct arena *arena, const struct medium *medium);

#endif
