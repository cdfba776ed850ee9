/*
 * Line by line, from left to right: where something begins that may be secret its name is copied and its value is not.
 */
#include "facts/redact.h"

#include "base/strbuf.h"
#include "facts/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct redaction {
	struct strbuf out;
	size_t count;
	bool in_key;	    /* between the marks that begin and end a private key */
	bool began_here;    /* in the line that is read */
	bool secret_object; /* behind "secret," of QEMU's arguments: data= is the secret */
};

static void put(struct redaction *redaction, struct span text)
{
	strbuf_add_bytes(&redaction->out, text.at, text.length);
}

static void put_redacted(struct redaction *redaction, struct span secret)
{
	if (secret.length == 0)
		return;
	redaction->count += !span_is(secret, REDACTED);
	strbuf_add(&redaction->out, REDACTED);
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Does `name` hold the word? Written in any case, with or without _, - and . between its parts. */
static bool holds_word(struct span name, const char *word, bool whole)
{
	char plain[128];
	size_t length = 0;

	for (size_t i = 0; i < name.length && length + 1 < sizeof(plain); i++)
		if (isalnum((unsigned char)name.at[i]))
			plain[length++] = (char)tolower((unsigned char)name.at[i]);
	plain[length] = '\0';
	return whole ? strcmp(plain, word) == 0 : strstr(plain, word) != NULL;
}

static bool is_secret_name(struct span name)
{
	static const char *const anywhere[] = {"password",   "passwd",	   "passphrase",    "secret",	 "token",
					       "apikey",     "privatekey", "presharedkey",  "accesskey", "authkey",
					       "credential", "sessionkey", "encryptionkey", "psk"};
	static const char *const whole[] = {"pass",	"pwd",	    "auth",   "authorization", "pw",
					    "wepkey0",	"wepkey1",  "wepkey", "rootpw",	       "userpw",
					    "rootpass", "userpass", "saslpw"};

	/* a kernel parameter, and libvirt's names of things that hold no secret */
	if (holds_word(name, "secretmem", false) || holds_word(name, "secretmemenable", true) ||
	    holds_word(name, "passwordless", false))
		return false;
	for (size_t i = 0; i < sizeof(anywhere) / sizeof(*anywhere); i++)
		if (holds_word(name, anywhere[i], false))
			return true;
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (holds_word(name, whole[i], true))
			return true;
	return name.length > 5 && (span_ends(name, "_pass") || span_ends(name, "-pass"));
}

/* The value that begins here, without its quotes: up to the closing quote, or to what ends a word. */
static struct span value_at(struct span text, size_t *ret_before)
{
	char quote = text.length > 0 && (text.at[0] == '"' || text.at[0] == '\'') ? text.at[0] : 0;
	size_t end = 0;

	*ret_before = quote ? 1 : 0;
	text = span_skip(text, *ret_before);
	if (quote) {
		while (end < text.length && text.at[end] != quote)
			end += text.at[end] == '\\' && end + 1 < text.length ? 2 : 1;
	} else {
		while (end < text.length && !strchr(" \t,;&<>\"'", text.at[end]))
			end++;
	}
	return span_first(text, end);
}

/* Behind a secret's name: "=value", " = \"value\"", "\": \"value\"", and for options " value". Takes none where it is
 * something else. Returns how much of the text was copied or left out. */
static size_t take_value(struct redaction *redaction, struct span text, bool option)
{
	size_t at = 0, before;
	bool sign = false;
	struct span value;

	if (at < text.length && (text.at[at] == '"' || text.at[at] == '\'')) /* of the name itself: JSON */
		at++;
	while (at < text.length && (text.at[at] == ' ' || text.at[at] == '\t'))
		at++;
	if (at < text.length && (text.at[at] == '=' || text.at[at] == ':')) {
		sign = true;
		at++;
		while (at < text.length && (text.at[at] == ' ' || text.at[at] == '\t'))
			at++;
	}
	if (!sign && !(option && at > 0))
		return 0;
	value = value_at(span_skip(text, at), &before);
	/* "Authorization: Bearer …" */
	if (span_is_nocase(value, "bearer") || span_is_nocase(value, "basic")) {
		at += before + value.length;
		while (at < text.length && text.at[at] == ' ')
			at++;
		value = value_at(span_skip(text, at), &before);
	}
	put(redaction, span_first(text, at + before));
	put_redacted(redaction, value);
	return at + before + value.length;
}

/* "<password>…</password>", with the name copied already: what is between the brackets. */
static size_t take_element(struct redaction *redaction, struct span text)
{
	size_t end = span_find_char(text, '<');
	struct span value;

	if (text.length == 0 || text.at[0] != '>' || end == SIZE_MAX)
		return 0;
	value = span_skip(span_first(text, end), 1);
	strbuf_add_char(&redaction->out, '>');
	put_redacted(redaction, value);
	return end;
}

/* ": PSK \"…\"" and ": RSA key.pem \"…\"" of ipsec.secrets(5), with the word copied already. */
static size_t take_ipsec(struct redaction *redaction, struct span text)
{
	size_t quote = span_find_char(text, '"'), end;
	struct span rest;

	if (quote == SIZE_MAX || span_trim(span_first(text, quote)).length > 0)
		return 0;
	rest = span_skip(text, quote + 1);
	end = span_find_char(rest, '"');
	if (end == SIZE_MAX)
		end = rest.length;
	put(redaction, span_first(text, quote + 1));
	put_redacted(redaction, span_first(rest, end));
	return quote + 1 + end;
}

/* Behind "://": "user:password@". RFC 3986, but a password may hold what should have been encoded. */
static size_t take_userinfo(struct redaction *redaction, struct span text)
{
	size_t end = 0, at = SIZE_MAX, colon, slash;

	while (end < text.length && !strchr(" \t\"'<>", text.at[end])) {
		if (text.at[end] == '@')
			at = end;
		end++;
	}
	if (at == SIZE_MAX)
		return 0;
	colon = span_find_char(span_first(text, at), ':');
	slash = span_find_char(span_first(text, at), '/');
	if (colon == SIZE_MAX || (slash != SIZE_MAX && slash < colon))
		return 0;
	if (slash != SIZE_MAX && strspn(text.at + colon + 1, "0123456789") == slash - colon - 1)
		return 0; /* host:8080/path@x */
	put(redaction, span_first(text, colon + 1));
	put_redacted(redaction, span_skip(span_first(text, at), colon + 1));
	return at;
}

/* "$6$salt$hash": crypt(5) */
static size_t take_hash(struct redaction *redaction, struct span text)
{
	size_t id = 1, end = 0;

	while (id < text.length && isalnum((unsigned char)text.at[id]) && id < 5)
		id++;
	if (id == 1 || id >= text.length || text.at[id] != '$')
		return 0;
	while (end < text.length && (isalnum((unsigned char)text.at[end]) || strchr("$./=,+", text.at[end])))
		end++;
	if (end < 20)
		return 0;
	put_redacted(redaction, span_first(text, end));
	return end;
}

/* Where a name begins. Returns how much was taken, at least the name. */
static size_t take_name(struct redaction *redaction, struct span text, bool after_less)
{
	size_t end = 0, taken = 0;
	bool option = span_starts(text, "--");
	struct span name, rest;

	while (end < text.length && is_name_char(text.at[end]))
		end++;
	name = span_first(text, end);
	rest = span_skip(text, end);
	if (span_starts(name, "AGE-SECRET-KEY-")) {
		put_redacted(redaction, name);
		return end;
	}
	put(redaction, name);
	if (redaction->secret_object && span_is(name, "data"))
		taken = take_value(redaction, rest, false);
	else if (holds_word(name, "psk", true) && (taken = take_ipsec(redaction, rest)) > 0)
		return end + taken;
	else if (is_secret_name(name))
		taken = after_less ? take_element(redaction, rest) : take_value(redaction, rest, option);
	if (span_is(name, "secret") && span_starts(rest, ","))
		redaction->secret_object = true;
	return end + taken;
}

static void take_line(struct redaction *redaction, struct span line)
{
	for (size_t at = 0; at < line.length;) {
		struct span rest = span_skip(line, at);
		size_t taken = 0;

		if (span_starts(rest, "://")) {
			put(redaction, span_first(rest, 3));
			at += 3;
			taken = take_userinfo(redaction, span_skip(line, at));
		} else if (rest.at[0] == '$') {
			taken = take_hash(redaction, rest);
		} else if (is_name_char(rest.at[0])) {
			taken = take_name(redaction, rest, at > 0 && line.at[at - 1] == '<');
		}
		if (taken == 0 && at < line.length && !is_name_char(line.at[at])) {
			if (isspace((unsigned char)line.at[at]))
				redaction->secret_object = false;
			strbuf_add_char(&redaction->out, line.at[at]);
			taken = 1;
		}
		at += taken;
	}
}

/* Where "-----BEGIN … PRIVATE KEY-----" begins and ends in a line; false: it is not there. */
static bool find_mark(struct span line, const char *mark, size_t *ret_start, size_t *ret_end)
{
	static const char what[] = "PRIVATE KEY";
	size_t at = span_find(line, mark), kind, dashes;
	struct span rest;

	if (at == SIZE_MAX)
		return false;
	rest = span_skip(line, at + strlen(mark));
	kind = span_find(rest, what);
	if (kind == SIZE_MAX)
		return false;
	rest = span_skip(rest, kind + strlen(what));
	dashes = span_find(rest, "-----");
	*ret_start = at;
	*ret_end = dashes == SIZE_MAX ? line.length : (size_t)(rest.at - line.at) + dashes + 5;
	return true;
}

/* A line, with the keys that begin, end or go on in it. False: nothing of it is left. */
static bool take_keys(struct redaction *redaction, struct span line)
{
	size_t start, behind;

	if (redaction->in_key && !find_mark(line, "-----END ", &start, &behind))
		return false;
	do {
		if (redaction->in_key) {
			if (!find_mark(line, "-----END ", &start, &behind)) { /* it goes on below */
				strbuf_add(&redaction->out, "\n" REDACTED);
				redaction->count++;
				return true;
			}
			if (redaction->began_here)
				put_redacted(redaction, span_first(line, start));
		} else {
			if (!find_mark(line, "-----BEGIN ", &start, &behind))
				break;
			take_line(redaction, span_first(line, start));
		}
		put(redaction, span_skip(span_first(line, behind), start));
		redaction->in_key = redaction->began_here = !redaction->in_key;
		line = span_skip(line, behind);
	} while (line.length > 0 || redaction->in_key);
	take_line(redaction, line);
	return true;
}

char *redact_text(const char *text, size_t length, size_t *ret_length, size_t *ret_count)
{
	struct redaction redaction = {0};
	struct span rest = {text, length};

	while (rest.length > 0) {
		struct span line = span_first(rest, span_find_char(rest, '\n'));
		bool more = line.length < rest.length;

		rest = span_skip(rest, line.length + more);
		redaction.secret_object = redaction.began_here = false;
		if (take_keys(&redaction, line) && more)
			strbuf_add_char(&redaction.out, '\n');
	}
	*ret_length = redaction.out.length;
	*ret_count = redaction.count;
	return strbuf_steal(&redaction.out);
}
