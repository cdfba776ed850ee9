/*
 * The answers with which Windows Setup asks nothing: autounattend.xml, and the CD on which Setup finds it.
 *
 * One disk (number 0) is wiped and parted for UEFI. Drivers of disk and network come from the CD of virtio-win, whose
 * drive letter nobody knows beforehand. Remote Desktop is on, with Network Level Authentication. At the first logon of
 * the account, which happens by itself once, the drivers and the guest agent of virtio-win are installed, and OpenSSH
 * from Windows Update. No check of Windows' requirements is switched off: the machine meets them (model/windows.h).
 *
 * Never tried with a real Windows. Source: Microsoft, Unattended Windows Setup Reference
 * (learn.microsoft.com/windows-hardware/customize/desktop/unattend). Passes stand in the order in which Setup goes
 * through them, components and their settings in the reference's, which is that of the alphabet.
 */
#ifndef NESTVISOR_IMAGE_UNATTEND_H
#define NESTVISOR_IMAGE_UNATTEND_H

#include "model/windows.h"

struct error;
struct strbuf;

struct unattend {
	enum windows_version version;
	unsigned build; /* of a server, as its drivers differ; 0: not known */
	const char *edition;	   /* the image's name on the medium: "Windows 11 Pro" */
	const char *language;	   /* "de-DE": one that the medium has */
	const char *keyboard;	   /* a language, or NULL: the same */
	const char *time_zone;	   /* as Windows names it: "W. Europe Standard Time" */
	const char *computer_name; /* at most 15 letters, digits and "-" */
	const char *user;	   /* an administrator */
	const char *password;	   /* of that user; it stands in the file as it is */
	const char *product_key;   /* or NULL */
};

/* Appends autounattend.xml. -EINVAL: a value that Windows would not take. */
int unattend_write(const struct unattend *answers, struct strbuf *ret, struct error **err);

/* The first and only line of a file; - is standard input. */
int unattend_read_password(const char *path, char **ret, struct error **err);

/* Writes the CD. It is readable by its owner alone, for it holds the password. */
int unattend_make_seed(const struct unattend *answers, const char *path, struct error **err);

#endif
