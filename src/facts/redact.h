/*
 * Secrets are taken out of what is collected before anybody sees it: each becomes [redacted]. What is looked for:
 * private keys in PEM, and age's; passwords in URIs (scheme://user:password@host); the values of names that say so
 * (password, passwd, secret, token, psk, api-key, private-key, …) on kernel command lines, in settings, in XML and in
 * arguments of programs; ipsec's PSK "…"; the data of QEMU's secret objects; password hashes of crypt(5).
 *
 * It errs on the side of taking too much: a value that is no secret may be lost, names never are. Nothing can know
 * every secret, so whoever sends a bundle on looks into it first.
 */
#ifndef NESTVISOR_FACTS_REDACT_H
#define NESTVISOR_FACTS_REDACT_H

#include <stddef.h>

#define REDACTED "[redacted]"

/* A copy without secrets, NUL-terminated, to be freed; *ret_count: how many were taken out. What is redacted already
 * stays as it is. */
char *redact_text(const char *text, size_t length, size_t *ret_length, size_t *ret_count);

#endif
