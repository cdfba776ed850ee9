/*
 * What `iptables -L` prints behind the destination ("tcp dpt:22 ctstate NEW reject-with tcp-reset"), put back into the
 * options that say the same.
 */
#include "facts/xt.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the extensions print (their print functions in iptables' sources), and the option that says the same. A phrase
 * that ends in ':' or '=' is the beginning of a word whose rest is the value.
 */
static const struct phrase {
	const char *words;
	const char *match; /* loads it */
	const char *option;
	uint8_t values;
	const char *context; /* only inside this match */
	bool shown;	     /* what follows is kept as it is: it cannot be put back into options */
} phrases[] = {
	{"tcp", "tcp"},
	{"udp", "udp"},
	{"udplite", "udplite"},
	{"sctp", "sctp"},
	{"dccp", "dccp"},
	{"spt:", NULL, "--sport", 1},
	{"spts:", NULL, "--sport", 1},
	{"dpt:", NULL, "--dport", 1},
	{"dpts:", NULL, "--dport", 1},
	{"option=", NULL, "--tcp-option", 1, "tcp"},
	{"multiport sports", "multiport", "--sports", 1},
	{"multiport dports", "multiport", "--dports", 1},
	{"multiport ports", "multiport", "--ports", 1},
	{"ctstate", "conntrack", "--ctstate", 1},
	{"ctproto", "conntrack", "--ctproto", 1},
	{"ctorigsrc", "conntrack", "--ctorigsrc", 1},
	{"ctorigdst", "conntrack", "--ctorigdst", 1},
	{"ctreplsrc", "conntrack", "--ctreplsrc", 1},
	{"ctrepldst", "conntrack", "--ctrepldst", 1},
	{"ctorigsrcport", "conntrack", "--ctorigsrcport", 1},
	{"ctorigdstport", "conntrack", "--ctorigdstport", 1},
	{"ctreplsrcport", "conntrack", "--ctreplsrcport", 1},
	{"ctrepldstport", "conntrack", "--ctrepldstport", 1},
	{"ctstatus", "conntrack", "--ctstatus", 1},
	{"ctexpire", "conntrack", "--ctexpire", 1},
	{"ctdir", "conntrack", "--ctdir", 1},
	{"state", "state", "--state", 1},
	{"mark match", "mark", "--mark", 1},
	{"MARK match", "mark", "--mark", 1},
	{"connmark match", "connmark", "--mark", 1},
	{"CONNMARK match", "connmark", "--mark", 1},
	{"MAC", "mac", "--mac-source", 1},
	{"source IP range", "iprange", "--src-range", 1},
	{"destination IP range", "iprange", "--dst-range", 1},
	{"ADDRTYPE match", "addrtype"},
	{"src-type", NULL, "--src-type", 1, "addrtype"},
	{"dst-type", NULL, "--dst-type", 1, "addrtype"},
	{"limit-in", NULL, "--limit-iface-in", 0, "addrtype"},
	{"limit-out", NULL, "--limit-iface-out", 0, "addrtype"},
	{"match-set", "set", "--match-set", 2},
	{"return-nomatch", NULL, "--return-nomatch", 0, "set"},
	{"PHYSDEV match", "physdev"},
	{"--physdev-in", NULL, "--physdev-in", 1, "physdev"},
	{"--physdev-out", NULL, "--physdev-out", 1, "physdev"},
	{"--physdev-is-in", NULL, "--physdev-is-in", 0, "physdev"},
	{"--physdev-is-out", NULL, "--physdev-is-out", 0, "physdev"},
	{"--physdev-is-bridged", NULL, "--physdev-is-bridged", 0, "physdev"},
	{"PKTTYPE =", "pkttype", "--pkt-type", 1},
	{"length", "length", "--length", 1},
	{"TTL match TTL ==", "ttl", "--ttl-eq", 1},
	{"TTL match TTL <", "ttl", "--ttl-lt", 1},
	{"TTL match TTL >", "ttl", "--ttl-gt", 1},
	{"HL match HL ==", "hl", "--hl-eq", 1},
	{"HL match HL <", "hl", "--hl-lt", 1},
	{"HL match HL >", "hl", "--hl-gt", 1},
	{"DSCP match", "dscp", "--dscp", 1},
	{"tcpmss match", "tcpmss", "--mss", 1},
	{"realm", "realm", "--realm", 1},
	{"cpu", "cpu", "--cpu", 1},
	{"owner UID match", "owner", "--uid-owner", 1},
	{"owner GID match", "owner", "--gid-owner", 1},
	{"owner socket exists", "owner", "--socket-exists", 0},
	{"helper match", "helper", "--helper", 1},
	{"esp spi:", "esp", "--espspi", 1},
	{"ah spi:", "ah", "--ahspi", 1},
	{"limit: avg", "limit", "--limit", 1},
	{"burst", NULL, "--limit-burst", 1, "limit"},
	{"limit: up to", "hashlimit", "--hashlimit-upto", 1},
	{"limit: above", "hashlimit", "--hashlimit-above", 1},
	{"burst", NULL, "--hashlimit-burst", 1, "hashlimit"},
	{"mode", NULL, "--hashlimit-mode", 1, "hashlimit"},
	{"htable-size", NULL, "--hashlimit-htable-size", 1, "hashlimit"},
	{"htable-max", NULL, "--hashlimit-htable-max", 1, "hashlimit"},
	{"htable-gcinterval", NULL, "--hashlimit-htable-gcinterval", 1, "hashlimit"},
	{"htable-expire", NULL, "--hashlimit-htable-expire", 1, "hashlimit"},
	{"srcmask", NULL, "--hashlimit-srcmask", 1, "hashlimit"},
	{"dstmask", NULL, "--hashlimit-dstmask", 1, "hashlimit"},
	{"recent:", "recent"},
	{"SET", NULL, "--set", 0, "recent"},
	{"CHECK", NULL, "--rcheck", 0, "recent"},
	{"UPDATE", NULL, "--update", 0, "recent"},
	{"REMOVE", NULL, "--remove", 0, "recent"},
	{"TTL-Match", NULL, "--rttl", 0, "recent"},
	{"reap", NULL, "--reap", 0, "recent"},
	{"seconds:", NULL, "--seconds", 1, "recent"},
	{"hit_count:", NULL, "--hitcount", 1, "recent"},
	{"name:", NULL, "--name", 1, "recent"},
	{"side: source", NULL, "--rsource", 0, "recent"},
	{"side: dest", NULL, "--rdest", 0, "recent"},
	{"mask:", NULL, "--mask", 1, "recent"},
	{"statistic", "statistic"},
	{"mode", NULL, "--mode", 1, "statistic"},
	{"probability", NULL, "--probability", 1, "statistic"},
	{"every", NULL, "--every", 1, "statistic"},
	{"packet", NULL, "--packet", 1, "statistic"},
	{"policy match", "policy"},
	{"dir", NULL, "--dir", 1, "policy"},
	{"pol", NULL, "--pol", 1, "policy"},
	{"strict", NULL, "--strict", 0, "policy"},
	{"reqid", NULL, "--reqid", 1, "policy"},
	{"spi", NULL, "--spi", 1, "policy"},
	{"proto", NULL, "--proto", 1, "policy"},
	{"mode", NULL, "--mode", 1, "policy"},
	{"tunnel-dst", NULL, "--tunnel-dst", 1, "policy"},
	{"tunnel-src", NULL, "--tunnel-src", 1, "policy"},
	{"rpfilter", "rpfilter"},
	{"loose", NULL, "--loose", 0, "rpfilter"},
	{"validmark", NULL, "--validmark", 0, "rpfilter"},
	{"accept-local", NULL, "--accept-local", 0, "rpfilter"},
	{"invert", NULL, "--invert", 0, "rpfilter"},
	{"quota:", "quota", "--quota", 1},
	{"bytes", NULL, NULL, 0, "quota"},
	{"TTL match TTL !=", "ttl", "! --ttl-eq", 1},
	{"HL match HL !=", "hl", "! --hl-eq", 1},
	{"PKTTYPE !=", "pkttype", "! --pkt-type", 1},
	{"tos match", "tos", "--tos", 1},
	{"cgroup", "cgroup", "--cgroup", 1},
	{"esp", "esp"},
	{"ah", "ah"},
	{"comp", "ipcomp"},
	{"spi:", NULL, "--espspi", 1, "esp"},
	{"spis:", NULL, "--espspi", 1, "esp"},
	{"spi:", NULL, "--ahspi", 1, "ah"},
	{"spis:", NULL, "--ahspi", 1, "ah"},
	{"spi:", NULL, "--ipcompspi", 1, "ipcomp"},
	{"spis:", NULL, "--ipcompspi", 1, "ipcomp"},
	{"ECN match CWR", "ecn", "--ecn-tcp-cwr", 0},
	{"ECN match ECE", "ecn", "--ecn-tcp-ece", 0},
	{"ECN match ECT=", "ecn", "--ecn-ip-ect", 1},
	{"incl. suppl. groups", NULL, "--suppl-groups", 0, "owner"},
	{"rate-match", NULL, "--hashlimit-rate-match", 0, "hashlimit"},
	{"rate-interval", NULL, "--hashlimit-rate-interval", 1, "hashlimit"},
	{"#conn", "connlimit", .shown = true},
	{"connbytes", "connbytes", .shown = true},
	{"connlabel", "connlabel", .shown = true},
	{"STRING match", "string", .shown = true},
	{"socket", "socket", .shown = true},
	{"TIME", "time", .shown = true},
	{"u32", "u32", .shown = true},
	{"match bpf", "bpf", .shown = true},
	{"rateest match", "rateest", .shown = true},
	{"cluster", "cluster", .shown = true},
	{"OS fingerprint match", "osf", .shown = true},
	{"srh", "srh", .shown = true},
	{"frag", "frag", .shown = true},
	{"rt", "rt", .shown = true},
	{"mh", "mh", .shown = true},
	{"dst", "dst", .shown = true},
	{"hbh", "hbh", .shown = true},
	{"ipv6header", "ipv6header", .shown = true},
	{"ipvs", "ipvs", .shown = true},
	{"[0]", NULL, NULL, 0, "policy", true},
	{"[1]", NULL, NULL, 0, "policy", true},
	{"all", NULL, NULL, 0, "sctp", true},
	{"any", NULL, NULL, 0, "sctp", true},
	{"only", NULL, NULL, 0, "sctp", true},
};

/* The same for targets; what they print comes last on the line. */
static const struct target_phrase {
	const char *words, *target, *option;
	uint8_t values;
} target_phrases[] = {
	{"reject-with", "REJECT", "--reject-with", 1},
	{"to:", "DNAT", "--to-destination", 1},
	{"to:", "SNAT", "--to-source", 1},
	{"to:", "NETMAP", "--to", 1},
	{"masq ports:", "MASQUERADE", "--to-ports", 1},
	{"redir ports", "REDIRECT", "--to-ports", 1},
	{"random", NULL, "--random", 0},
	{"random-fully", NULL, "--random-fully", 0},
	{"persistent", NULL, "--persistent", 0},
	{"MARK set", "MARK", "--set-mark", 1},
	{"MARK and", "MARK", "--and-mark", 1},
	{"MARK or", "MARK", "--or-mark", 1},
	{"MARK xor", "MARK", "--xor-mark", 1},
	{"MARK xset", "MARK", "--set-xmark", 1},
	{"CONNMARK set", "CONNMARK", "--set-mark", 1},
	{"CONNMARK and", "CONNMARK", "--and-mark", 1},
	{"CONNMARK or", "CONNMARK", "--or-mark", 1},
	{"CONNMARK xor", "CONNMARK", "--xor-mark", 1},
	{"CONNMARK xset", "CONNMARK", "--set-xmark", 1},
	{"CONNMARK save", "CONNMARK", "--save-mark", 0},
	{"CONNMARK restore", "CONNMARK", "--restore-mark", 0},
	{"nfmask", "CONNMARK", "--nfmask", 1},
	{"ctmask", "CONNMARK", "--ctmask", 1},
	{"mask", "CONNMARK", "--mask", 1},
	{"CT notrack", "CT", "--notrack", 0},
	{"NOTRACK", "CT", "--notrack", 0},
	{"CT helper", "CT", "--helper", 1},
	{"CT zone", "CT", "--zone", 1},
	{"TOS set", "TOS", "--set-tos", 1},
	{"DSCP set", "DSCP", "--set-dscp", 1},
	{"TTL set to", "TTL", "--ttl-set", 1},
	{"TTL increment by", "TTL", "--ttl-inc", 1},
	{"TTL decrement by", "TTL", "--ttl-dec", 1},
	{"HL set to", "HL", "--hl-set", 1},
	{"HL increment by", "HL", "--hl-inc", 1},
	{"HL decrement by", "HL", "--hl-dec", 1},
	{"NFQUEUE num", "NFQUEUE", "--queue-num", 1},
	{"NFQUEUE balance", "NFQUEUE", "--queue-balance", 1},
	{"bypass", "NFQUEUE", "--queue-bypass", 0},
	{"cpu-fanout", "NFQUEUE", "--queue-cpu-fanout", 0},
	{"add-set", "SET", "--add-set", 2},
	{"del-set", "SET", "--del-set", 2},
};

/* Targets that decide nothing: whatever else is printed for them belongs to them. */
static const char *const silent_targets[] = {"LOG",	 "NFLOG",	"ULOG",	 "TCPMSS",	"CHECKSUM", "AUDIT",
					     "CLASSIFY", "IDLETIMER",	"TRACE", "CONNSECMARK", "SECMARK",  "LED",
					     "RATEEST",	 "TCPOPTSTRIP", "ECN",	 "CT",		"TEE",	    "TPROXY",
					     "SYNPROXY", "HMARK",	"SNPT",	 "DNPT",	"CLUSTERIP"};

void xt_line_push(struct xt_line *line, struct span word)
{
	struct xt_scratch *scratch = line->scratch;

	if (scratch->word_count >= scratch->word_capacity) {
		scratch->word_capacity = scratch->word_capacity ? scratch->word_capacity * 2 : 64;
		scratch->words = reallocarray(scratch->words, scratch->word_capacity, sizeof(*scratch->words));
		if (!scratch->words)
			abort();
	}
	scratch->words[scratch->word_count++] = word;
}

void xt_line_push_text(struct xt_line *line, const char *word)
{
	xt_line_push(line, span_of(word));
}

static void push_target_word(struct xt_line *line, struct span word)
{
	if (line->target_word_count >= line->target_word_capacity) {
		line->target_word_capacity = line->target_word_capacity ? line->target_word_capacity * 2 : 16;
		line->target_words =
			reallocarray(line->target_words, line->target_word_capacity, sizeof(*line->target_words));
		if (!line->target_words)
			abort();
	}
	line->target_words[line->target_word_count++] = word;
}

/* "!docker0" is docker0, negated. */
struct span xt_line_strip_not(struct xt_line *line, struct span word)
{
	if (word.length > 1 && word.at[0] == '!') {
		xt_line_push_text(line, "!");
		return span_skip(word, 1);
	}
	return word;
}

/* Does the text begin with these words? What is behind them stays in *rest. */
static bool take_phrase(struct span text, const char *words, struct span *rest)
{
	struct span pattern = span_of(words), expected, word;

	while (span_word(&pattern, &expected)) {
		bool open = expected.at[expected.length - 1] == ':' || expected.at[expected.length - 1] == '=';

		if (!span_word(&text, &word))
			return false;
		if (open && pattern.length == 0 && expected.length > 1) {
			if (word.length < expected.length || memcmp(word.at, expected.at, expected.length) != 0)
				return false;
			*rest = (struct span){word.at + expected.length,
					      text.length + (size_t)(text.at - word.at) - expected.length};
			return true;
		}
		if (word.length != expected.length || memcmp(word.at, expected.at, word.length) != 0)
			return false;
	}
	*rest = text;
	return true;
}

static size_t phrase_length(const struct phrase *phrase)
{
	return strlen(phrase->words) + (phrase->context ? 100 : 0);
}

/* The longest phrase the text begins with, those of the match loaded last first. */
static const struct phrase *find_phrase(const struct xt_line *line, struct span text, struct span *rest)
{
	const struct phrase *best = NULL;
	struct span behind;

	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++) {
		const struct phrase *phrase = &phrases[i];

		if (phrase->words[0] != text.at[0] ||
		    (phrase->context && (!line->match || strcmp(phrase->context, line->match) != 0)))
			continue;
		if (take_phrase(text, phrase->words, &behind) &&
		    (!best || phrase_length(phrase) > phrase_length(best))) {
			best = phrase;
			*rest = behind;
		}
	}
	return best;
}

static const struct target_phrase *find_target_phrase(const struct xt_line *line, struct span text, struct span *rest)
{
	for (size_t i = 0; i < sizeof(target_phrases) / sizeof(*target_phrases); i++) {
		const struct target_phrase *phrase = &target_phrases[i];

		if ((!phrase->target || span_is(line->target, phrase->target)) &&
		    take_phrase(text, phrase->words, rest))
			return phrase;
	}
	return NULL;
}

/* A value: the next word, without the quotes some are printed in. Old versions glued "flags:" to a port. */
static struct span take_value(struct span *rest)
{
	struct span word;
	size_t glued;

	if (!span_word(rest, &word))
		return (struct span){"", 0};
	glued = span_find(word, "flags:");
	if (glued != SIZE_MAX && glued > 0) {
		rest->length += (size_t)(rest->at - (word.at + glued));
		rest->at = word.at + glued;
		word.length = glued;
	}
	if (word.length >= 2 && word.at[0] == '"' && span_ends(word, "\""))
		word = span_skip(span_first(word, word.length - 1), 1);
	return word;
}

static void load_match(struct xt_line *line, const char *match)
{
	xt_line_push_text(line, "-m");
	xt_line_push_text(line, match);
	line->match = match;
}

/* Keeps words as they are, up to the next that a phrase begins with. */
static struct span keep_shown(struct xt_line *line, struct span rest)
{
	struct span word, after;

	xt_line_push_text(line, "--shown");
	while (rest.length > 0) {
		struct span next = span_trim(rest);
		const struct phrase *phrase = find_phrase(line, next, &after);

		if (phrase && phrase->shown && phrase->match == line->match) /* it prints its name several times */
			phrase = NULL;
		if (phrase || find_target_phrase(line, next, &after) || span_starts(next, "/*") ||
		    !span_word(&rest, &word))
			break;
		if (word.at[0] != '-' && !span_is(word, "!"))
			xt_line_push(line, word);
	}
	return rest;
}

static struct span apply_phrase(struct xt_line *line, const struct phrase *phrase, struct span rest, bool negated)
{
	struct span after, word;

	if (phrase->match)
		load_match(line, phrase->match);
	if (phrase->shown)
		return keep_shown(line, rest);
	if (!phrase->option)
		return rest;
	after = rest;
	if (phrase->values && span_word(&after, &word) && span_is(word, "!")) {
		negated = true;
		rest = after;
	}
	rest = span_trim(rest);
	if (phrase->values && rest.length > 1 && rest.at[0] == '!') {
		negated = true;
		rest = span_skip(rest, 1);
	}
	if (negated || phrase->option[0] == '!')
		xt_line_push_text(line, "!");
	xt_line_push_text(line, phrase->option[0] == '!' ? phrase->option + 2 : phrase->option);
	for (unsigned i = 0; i < phrase->values; i++) {
		word = take_value(&rest);
		if (word.length)
			xt_line_push(line, word);
	}
	return rest;
}

/* "flags:0x17/0x02", "flags: 0x17/0x02", "flags:!FIN,SYN/SYN" */
static struct span apply_flags(struct xt_line *line, struct span rest)
{
	struct span value;

	rest = span_trim(rest);
	if (rest.length > 0 && rest.at[0] == '!') {
		xt_line_push_text(line, "!");
		rest = span_skip(rest, 1);
	}
	value = take_value(&rest);
	xt_line_push_text(line, "--tcp-flags");
	xt_line_push(line, span_cut(&value, '/'));
	xt_line_push(line, value);
	return rest;
}

/* "tos match!0x10/0x3f" */
static struct span apply_glued(struct xt_line *line, struct span rest)
{
	if (rest.at[0] == '!') {
		xt_line_push_text(line, "!");
		rest = span_skip(rest, 1);
	}
	xt_line_push_text(line, "--tos");
	xt_line_push(line, take_value(&rest));
	return rest;
}

/* "icmptype 3 code 4", "icmp echo-request", "icmp !type 8", "ipv6-icmptype 128" */
static bool apply_icmp(struct xt_line *line, struct span text, struct span *rest)
{
	bool v6 = span_starts(text, "ipv6-icmp"), negated = false;
	struct span after, word, value = {}, code;
	const char *type_code;

	if (!v6 && !span_starts(text, "icmp"))
		return false;
	after = span_skip(text, strlen(v6 ? "ipv6-icmp" : "icmp"));
	if (after.length > 0 && after.at[0] != ' ' && !span_starts(after, "type"))
		return false;
	if (!span_word(&after, &word))
		return false;
	if (span_starts(word, "!")) {
		negated = true;
		word = span_skip(word, 1);
	}
	load_match(line, v6 ? "icmp6" : "icmp");
	value = word;
	*rest = after;
	if (span_is(word, "type")) {
		span_word(rest, &value);
		after = *rest;
		if (span_word(&after, &word) && span_is(word, "code") && span_word(&after, &code)) {
			type_code = arena_printf(line->reader->pool->arena, "%.*s/%.*s", (int)value.length, value.at,
						 (int)code.length, code.at);
			value = span_of(type_code);
			*rest = after;
		}
	}
	if (negated)
		xt_line_push_text(line, "!");
	xt_line_push_text(line, v6 ? "--icmpv6-type" : "--icmp-type");
	xt_line_push(line, value);
	return true;
}

static bool is_silent(struct span target)
{
	for (size_t i = 0; i < sizeof(silent_targets) / sizeof(*silent_targets); i++)
		if (span_is(target, silent_targets[i]))
			return true;
	return false;
}

/* A match nobody knows: its words up to the next that is known. */
static struct span take_unknown(struct xt_line *line, struct span text)
{
	struct span rest = text, word;

	span_word(&rest, &word);
	xt_line_push_text(line, "-m");
	xt_line_push(line, word);
	line->match = NULL;
	return keep_shown(line, rest);
}

static struct span take_comment(struct xt_line *line, struct span text)
{
	size_t end = span_find(text, "*/");
	struct span comment = span_trim(span_skip(span_first(text, end), 2));

	load_match(line, "comment");
	xt_line_push_text(line, "--comment");
	xt_line_push(line, comment);
	return end == SIZE_MAX ? span_skip(text, text.length) : span_skip(text, end + 2);
}

/* What stands behind the destination. */
void xt_line_details(struct xt_line *line, struct span text, bool *ret_goto)
{
	const struct phrase *phrase;
	const struct target_phrase *target_phrase;
	struct span rest, word;

	*ret_goto = false;
	for (text = span_trim(text); text.length > 0; text = span_trim(text)) {
		bool negated = span_starts(text, "! ");

		if (negated)
			text = span_trim(span_skip(text, 1));
		if (span_starts(text, "[goto]")) {
			*ret_goto = true;
			text = span_skip(text, strlen("[goto]"));
		} else if (span_starts(text, "/*")) {
			text = take_comment(line, text);
		} else if (span_starts(text, "tos match") && text.length > 9 && text.at[9] != ' ') { /* here as well */
			load_match(line, "tos");
			text = apply_glued(line, span_skip(text, 9));
		} else if (span_starts(text, "tcpflags:")) { /* old versions forgot the space */
			load_match(line, "tcp");
			text = apply_flags(line, span_skip(text, strlen("tcpflags:")));
		} else if (span_starts(text, "flags:")) {
			text = apply_flags(line, span_skip(text, strlen("flags:")));
		} else if ((target_phrase = find_target_phrase(line, text, &rest))) {
			push_target_word(line, span_of(target_phrase->option));
			for (unsigned i = 0; i < target_phrase->values; i++)
				push_target_word(line, take_value(&rest));
			text = rest;
		} else if (apply_icmp(line, text, &rest)) {
			text = rest;
		} else if ((phrase = find_phrase(line, text, &rest))) {
			text = apply_phrase(line, phrase, rest, negated);
		} else if (is_silent(line->target)) {
			span_word(&text, &word);
		} else {
			text = take_unknown(line, text);
		}
	}
}
