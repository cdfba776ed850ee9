/* Base64 (RFC 4648, section 4): how the guest agent carries bytes inside JSON. */
#ifndef NESTVISOR_TRANSPORT_BASE64_H
#define NESTVISOR_TRANSPORT_BASE64_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf;

void base64_encode(struct strbuf *to, const void *data, size_t length);

/* Strict: no white space, full padding, no stray bits. ret_data gets a NUL after its end; the caller frees it. */
bool base64_decode(const char *text, size_t length, char **ret_data, size_t *ret_length);

#endif
