/*
 * Names of files and command lines are read alike, as a list of words: "ip-d-link.txt" and "ip -d link" are both ip, d,
 * link. Words that say nothing here (dates, host names) are passed over in names, but not in commands.
 */
#include "facts/recognise.h"

#include <string.h>

enum { WORDS_MAX = 24 };

struct words {
	struct span at[WORDS_MAX];
	size_t count;
	bool command; /* not a file's name: what is not known makes it another command */
};

static const struct format formats[] = {
	{"iptables-save", parse_xt_save, NULL, 4},
	{"iptables -S", parse_xt_save, NULL, 3},
	{"iptables -L", parse_xt_list, NULL, 2},
	{"nft list ruleset", parse_nft, parse_nft_json, 4},
	{"ipset save", parse_ipset, NULL, 4},
	{"ip addr", parse_links, parse_links_json},
	{"ip link", parse_links, parse_links_json},
	{"ip route", parse_routes, parse_routes_json},
	{"ip rule", parse_policy_rules, parse_policy_rules_json},
	{"ip neigh", parse_neighbours, parse_neighbours_json},
	{"bridge link", parse_links, parse_links_json},
	{"bridge fdb", parse_fdb, parse_fdb_json},
	{"brctl show", parse_brctl},
	{"route -n", parse_route_n},
	{"sysctl", parse_sysctl},
	{"conntrack -L", parse_conntrack},
	{"ss -lntu", parse_listeners},
	{"ipconfig", parse_ipconfig},
	{".wslconfig", parse_wslconfig},
	{"wsl.conf", parse_wslconf},
	{"uname -a", parse_uname},
	{"os-release", parse_os_release},
	{"/proc/cmdline", parse_command_line},
	{"lsmod", parse_modules},
	{"/proc/cpuinfo", parse_cpuinfo},
	{"/proc/meminfo", parse_meminfo},
	{"getent group", parse_groups},
	{"getent passwd", parse_users},
	{"grep -r . /sys", parse_attributes},
	{"--version", parse_version},
	{"virsh dumpxml", parse_document},
	{"ls -l", parse_modes},
	{"id", parse_id},
	{"dpkg-query -W", parse_packages},
	{"command -v", parse_programs},
	{"dmesg", parse_log, .plain = true},
	{"tail", parse_log, .plain = true},
	{"wslinfo", parse_wslinfo},
	{"wsl --version", parse_windows_version},
	{"grep -H ''", parse_attributes, .plain = true},
};

static bool set_format(struct recognised *ret, const char *command)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (strcmp(formats[i].command, command) == 0)
			ret->format = &formats[i];
	return true;
}

static bool is(const struct words *words, size_t index, const char *word)
{
	return index < words->count && span_is_nocase(words->at[index], word);
}

static bool is_any(const struct words *words, size_t index, const char *const *list)
{
	for (; *list; list++)
		if (is(words, index, *list))
			return true;
	return false;
}

/* Where the word stands from `start` on; SIZE_MAX: nowhere. */
static size_t find(const struct words *words, size_t start, const char *word)
{
	for (size_t i = start; i < words->count; i++)
		if (is(words, i, word))
			return i;
	return SIZE_MAX;
}

/* iptables' short options may stand together: "Lnv", "vnL". */
static bool has_letters(const struct words *words, size_t start, char letter)
{
	for (size_t i = start; i < words->count; i++) {
		struct span word = words->at[i];
		bool letters = word.length <= 5;

		for (size_t j = 0; j < word.length && letters; j++)
			letters = strchr("LSnvxt46", word.at[j]) != NULL;
		if (letters && span_find_char(word, letter) != SIZE_MAX)
			return true;
	}
	return false;
}

static void find_xt_table(struct pool *pool, const struct words *words, size_t start, struct asked *asked)
{
	static const char *const tables[] = {"filter", "nat", "mangle", "raw", "security", "broute", NULL};

	for (size_t i = start; i < words->count; i++)
		if (is_any(words, i, tables))
			asked->table = pool_intern(pool, words->at[i]);
}

static bool recognise_xt(struct pool *pool, const struct words *words, struct recognised *ret)
{
	static const struct {
		const char *word;
		enum family family;
	} programs[] = {{"iptables", FAMILY_IP}, {"ip6tables", FAMILY_IP6}, {"ebtables", FAMILY_BRIDGE}};

	for (size_t p = 0; p < sizeof(programs) / sizeof(*programs); p++) {
		size_t at = find(words, 0, programs[p].word), start = at + 1;

		if (at == SIZE_MAX || (words->command && at != 0))
			continue;
		while (is(words, start, "nft") || is(words, start, "legacy"))
			start++;
		ret->asked.family = programs[p].family;
		for (size_t i = start; i < words->count; i++) {
			if (!span_starts(words->at[i], "save"))
				continue;
			if (words->command) /* in a name it may be part of another word */
				find_xt_table(pool, words, start, &ret->asked);
			return set_format(ret, "iptables-save");
		}
		find_xt_table(pool, words, words->command ? start : 0, &ret->asked);
		if (has_letters(words, start, 'S') || find(words, start, "list-rules") != SIZE_MAX)
			return set_format(ret, "iptables -S");
		if (has_letters(words, start, 'L') || find(words, start, "list") != SIZE_MAX)
			return set_format(ret, programs[p].family == FAMILY_BRIDGE ? "iptables -S" : "iptables -L");
		return false;
	}
	if (!words->command && words->count >= 2 && is(words, 0, "rules") &&
	    (is(words, 1, "v4") || is(words, 1, "v6"))) {
		ret->asked.family = is(words, 1, "v6") ? FAMILY_IP6 : FAMILY_IP; /* iptables-persistent's files */
		return set_format(ret, "iptables-save");
	}
	return false;
}

static bool recognise_nft(struct pool *pool, const struct words *words, struct recognised *ret)
{
	size_t at = find(words, 0, "nft");
	size_t list = at == SIZE_MAX ? SIZE_MAX : find(words, at, "list");

	if (at == SIZE_MAX || (words->command && (at != 0 || list == SIZE_MAX)))
		return false;
	ret->asked.json = find(words, at, "j") != SIZE_MAX || find(words, at, "json") != SIZE_MAX;
	if (list != SIZE_MAX && is(words, list + 1, "table") && list + 3 < words->count) {
		ret->asked.family = family_find(words->at[list + 2].at, words->at[list + 2].length);
		ret->asked.table = pool_intern(pool, words->at[list + 3]);
	} else if (list != SIZE_MAX && is(words, list + 1, "ruleset") && list + 2 < words->count) {
		ret->asked.family = family_find(words->at[list + 2].at, words->at[list + 2].length);
	}
	return set_format(ret, "nft list ruleset");
}

/* The table of "ip route show table 500"; in names the number may stand alone ("ip-route-500-2016-06-27"). */
static void find_route_table(struct pool *pool, const struct words *words, size_t start, struct asked *asked)
{
	size_t at = find(words, start, "table");
	uint64_t number;

	if (at == SIZE_MAX && !words->command && start < words->count && span_number(words->at[start], &number) &&
	    number < 1900) /* not a year */
		at = start - 1;
	if (at == SIZE_MAX || at + 1 >= words->count)
		return;
	if (is(words, at + 1, "all") || is(words, at + 1, "0"))
		asked->all_tables = true;
	else
		asked->table = pool_intern(pool, words->at[at + 1]);
}

static bool recognise_ip(struct pool *pool, const struct words *words, struct recognised *ret)
{
	static const char *const options[] = {"d",	    "details", "4",    "6",	"j",	 "json", "s",
					      "o",	    "oneline", "br",   "brief", "c",	 "p",	 "pretty",
					      "statistics", "family",  "inet", "inet6", "color", NULL};
	static const char *const addr[] = {"a", "ad", "addr", "address", "addresses", NULL},
				 *const link[] = {"l", "li", "link", "links", NULL},
				 *const route[] = {"r", "ro", "route", "routes", NULL},
				 *const rule[] = {"ru", "rule", "rules", NULL},
				 *const neigh[] = {"n", "nei", "neigh", "neighbor", "neighbour", "neighbours", NULL};

	for (size_t i = 0; i < words->count && (i == 0 || !words->command); i++) {
		size_t at = i + 1;

		if (!is(words, i, "ip") && !is(words, i, "ip6") && !is(words, i, "ip4"))
			continue;
		if (is(words, i, "ip6"))
			ret->asked.family = FAMILY_IP6;
		for (; is_any(words, at, options); at++) {
			ret->asked.json = ret->asked.json || is(words, at, "j") || is(words, at, "json");
			if (is(words, at, "6") || is(words, at, "inet6"))
				ret->asked.family = FAMILY_IP6;
			else if (is(words, at, "4") || is(words, at, "inet"))
				ret->asked.family = FAMILY_IP;
		}
		if (is_any(words, at, addr)) {
			/* "ip addr show dev eth0" shows one link only */
			ret->asked.addresses = true;
			ret->filtered = find(words, at, "dev") != SIZE_MAX;
			return set_format(ret, "ip addr");
		}
		if (is_any(words, at, link))
			return set_format(ret, "ip link");
		if (is_any(words, at, route)) {
			if (is(words, at + 1, "get"))
				return false;
			find_route_table(pool, words, at + 1, &ret->asked);
			return set_format(ret, "ip route");
		}
		if (is_any(words, at, rule))
			return set_format(ret, "ip rule");
		if (is_any(words, at, neigh))
			return set_format(ret, "ip neigh");
		ret->asked = (struct asked){};
	}
	return false;
}

static bool recognise_bridge(const struct words *words, struct recognised *ret)
{
	size_t at = find(words, 0, "bridge");

	if (at == SIZE_MAX || (words->command && at != 0))
		return find(words, 0, "brctl") != SIZE_MAX && set_format(ret, "brctl show");
	ret->asked.bridge = true;
	ret->asked.json = find(words, at, "j") != SIZE_MAX || find(words, at, "json") != SIZE_MAX;
	if (find(words, at, "fdb") != SIZE_MAX)
		return set_format(ret, "bridge fdb");
	if (find(words, at, "link") != SIZE_MAX || (!words->command && at + 1 == words->count))
		return set_format(ret, "bridge link");
	return false;
}

/* conntrack -L, -f ipv6, -o extended: with anything else it lists some of them. A file of that name is the kernel's. */
static bool recognise_conntrack(const struct words *words, size_t at, struct recognised *ret)
{
	bool listed = false;

	ret->asked.all_tables = !words->command || is(words, at, "nf_conntrack");
	for (size_t i = at + 1; i < words->count && words->command; i++) {
		if (is(words, i, "L") || is(words, i, "list")) {
			listed = true;
		} else if ((is(words, i, "f") || is(words, i, "family")) &&
			   (is(words, i + 1, "ipv4") || is(words, i + 1, "ipv6"))) {
			ret->asked.family = is(words, ++i, "ipv6") ? FAMILY_IP6 : FAMILY_IP;
		} else if ((is(words, i, "o") || is(words, i, "output")) && is(words, i + 1, "extended")) {
			i++;
		} else {
			ret->filtered = true;
		}
	}
	if (!ret->asked.all_tables && !listed)
		ret->filtered = true;
	return set_format(ret, "conntrack -L");
}

/* Words that say it by themselves. */
static bool recognise_other(struct pool *pool, const struct words *words, struct recognised *ret)
{
	static const struct {
		const char *word, *command;
	} table[] = {{"ipset", "ipset save"},	   {"ss", "ss -lntu"},		 {"ipconfig", "ipconfig"},
		     {"wslconfig", ".wslconfig"},  {"uname", "uname -a"},	 {"lsmod", "lsmod"},
		     {"cmdline", "/proc/cmdline"}, {"cpuinfo", "/proc/cpuinfo"}, {"meminfo", "/proc/meminfo"},
		     {"modules", "lsmod"},	   {"group", "getent group"},	 {"passwd", "getent passwd"},
		     {"dumpxml", "virsh dumpxml"}, {"sys", "grep -r . /sys"},	 {"neigh", "ip neigh"}};
	size_t at = find(words, 0, "sysctl");

	if (at != SIZE_MAX && (!words->command || at == 0)) {
		ret->asked.all_tables = is(words, at + 1, "a") || is(words, at + 1, "all");
		return set_format(ret, "sysctl");
	}
	if ((at = find(words, 0, "os")) != SIZE_MAX && is(words, at + 1, "release"))
		return set_format(ret, "os-release");
	if ((at = find(words, 0, "wsl")) != SIZE_MAX && is(words, at + 1, "conf"))
		return set_format(ret, "wsl.conf");
	if (find(words, 0, "wsl") == 0 && (is(words, 1, "version") || (is(words, 1, "exe") && is(words, 2, "version"))))
		return set_format(ret, "wsl --version");
	if (words->count == 1 && (is(words, 0, "ver") || is(words, 0, "systeminfo")))
		return set_format(ret, "wsl --version");
	if ((at = find(words, 0, "route")) == 0 && is(words, 1, "n"))
		return set_format(ret, "route -n");
	at = find(words, 0, "version");
	if (at != SIZE_MAX && at > 0 && at + 1 == words->count) {
		struct span first = words->at[0], last = words->at[at - 1];

		ret->asked.subject =
			pool_intern(pool, (struct span){first.at, (size_t)(last.at + last.length - first.at)});
		return set_format(ret, "--version");
	}
	if ((at = find(words, 0, "conntrack")) == SIZE_MAX)
		at = find(words, 0, "nf_conntrack");
	if (at != SIZE_MAX && (!words->command || at <= 1))
		return recognise_conntrack(words, at, ret);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		at = find(words, 0, table[i].word);
		if (at == SIZE_MAX || (words->command && at > 1))
			continue;
		if (strcmp(table[i].word, "dumpxml") == 0 && at + 1 < words->count)
			ret->asked.subject = pool_intern(pool, words->at[at + 1]);
		return set_format(ret, table[i].command);
	}
	return false;
}

/* Names that nobody gives by chance: of what nestvisor itself collects (source.c). */
static bool recognise_own(struct pool *pool, const struct words *words, struct recognised *ret)
{
	static const struct {
		const char *first, *second, *command;
	} table[] = {{"values", NULL, "grep -H ''"},
		     {"settings", NULL, "grep -H ''"},
		     {"ls", "l", "ls -l"},
		     {"id", NULL, "id"},
		     {"packages", NULL, "dpkg-query -W"},
		     {"programs", NULL, "command -v"},
		     {"dpkg", "query", "dpkg-query -W"},
		     {"dmesg", NULL, "dmesg"},
		     {"journalctl", NULL, "dmesg"},
		     {"log", NULL, "tail"},
		     {"wslinfo", NULL, "wslinfo"}};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (!is(words, 0, table[i].first) || (table[i].second && !is(words, 1, table[i].second)))
			continue;
		if (is(words, 0, "journalctl"))
			ret->asked.subject = pool_text(pool, "journal");
		return set_format(ret, table[i].command);
	}
	return false;
}

static bool recognise_words(struct pool *pool, const struct words *words, struct recognised *ret)
{
	*ret = (struct recognised){};
	if (!words->command && recognise_own(pool, words, ret))
		return true;
	*ret = (struct recognised){};
	if (recognise_xt(pool, words, ret))
		return true;
	*ret = (struct recognised){};
	if (recognise_nft(pool, words, ret))
		return true;
	*ret = (struct recognised){};
	if (recognise_ip(pool, words, ret))
		return true;
	*ret = (struct recognised){};
	if (recognise_bridge(words, ret))
		return true;
	*ret = (struct recognised){.weak = true};
	return recognise_other(pool, words, ret);
}

static void add_word(struct words *words, struct span word)
{
	if (word.length > 0 && words->count < WORDS_MAX)
		words->at[words->count++] = word;
}

/* "iptables-save" and "-L" of a command line: dashes at the start go, those within part words. */
static void add_command_word(struct words *words, struct span word)
{
	while (word.length > 0 && word.at[0] == '-')
		word = span_skip(word, 1);
	if (words->count == 0) {
		for (size_t slash; (slash = span_find_char(word, '/')) != SIZE_MAX && slash + 1 < word.length;)
			word = span_skip(word, slash + 1); /* a program's path */
		while (word.length > 0)
			add_word(words, span_cut(&word, '-'));
		return;
	}
	if (span_starts(word, "/proc/") || span_starts(word, "/etc/")) {
		while (word.length > 0)
			add_word(words, span_cut(&word, '/'));
		return;
	}
	add_word(words, word);
}

static bool recognise_command(struct pool *pool, struct span command, struct recognised *ret)
{
	struct words words = {.command = true};
	struct span rest = command, word;
	bool filtered = span_find_char(command, '|') != SIZE_MAX, found;

	rest = span_first(rest, span_find_char(rest, '|'));
	rest = span_first(rest, span_find_char(rest, '>')); /* into a file */
	while (span_word(&rest, &word)) {
		if (words.count == 0 && (span_is(word, "sudo") || span_is(word, "cat")))
			continue;
		if (words.count == 0 && span_starts(word, "/proc/"))
			word = span_skip(word, strlen("/proc/"));
		if (words.count == 0 && span_starts(word, "/etc/"))
			word = span_skip(word, strlen("/etc/"));
		if (words.count == 0 && span_is(word, "os-release")) {
			add_word(&words, span_of("os"));
			add_word(&words, span_of("release"));
			continue;
		}
		if (words.count == 0 && span_is(word, "wsl.conf")) {
			add_word(&words, span_of("wsl"));
			add_word(&words, span_of("conf"));
			continue;
		}
		add_command_word(&words, word);
	}
	found = words.count > 0 && recognise_words(pool, &words, ret);
	ret->filtered = found && (ret->filtered || filtered);
	return found;
}

/* Programs whose name behind a prompt begins a new part. Others, even known ones, are too likely to be plain words. */
static bool is_program(struct span word)
{
	static const char *const programs[] = {"ip",
					       "iptables",
					       "iptables-save",
					       "ip6tables",
					       "ip6tables-save",
					       "iptables-nft",
					       "iptables-nft-save",
					       "iptables-legacy",
					       "iptables-legacy-save",
					       "ip6tables-legacy-save",
					       "ebtables",
					       "ebtables-save",
					       "nft",
					       "bridge",
					       "brctl",
					       "sysctl",
					       "ipset",
					       "conntrack",
					       "ss",
					       "route",
					       "uname",
					       "lsmod",
					       "ipconfig",
					       "cat",
					       "getent",
					       "virsh"};

	for (size_t slash; (slash = span_find_char(word, '/')) != SIZE_MAX && slash + 1 < word.length;)
		word = span_skip(word, slash + 1);
	if (span_ends(word, ".exe"))
		word.length -= strlen(".exe");
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		if (span_is(word, programs[i]))
			return true;
	return false;
}

/* "root@host:~", "[root@host dir]": what stands before a prompt's last character. */
static bool is_user_at_host(struct span text)
{
	size_t at = span_find_char(text, '@'), start = text.length > 0 && (text.at[0] == '[' || text.at[0] == '(');

	if (at == SIZE_MAX || at == start || at + 1 >= text.length)
		return false;
	for (size_t i = start; i < at; i++) {
		char c = text.at[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
		    c != '.')
			return false;
	}
	return text.at[at + 1] != ' ';
}

bool recognise_prompt(struct pool *pool, struct span line, struct recognised *ret, struct span *ret_command)
{
	size_t limit = line.length < 120 ? line.length : 120;

	if (limit == 0 || line.at[0] == '-' || line.at[0] == ':')
		return false;
	for (size_t i = 0; i < limit; i++) {
		struct span command, rest, word;

		if (line.at[i] != '#' && line.at[i] != '$' && line.at[i] != '>' && line.at[i] != '%')
			continue;
		/* a prompt stands alone, or behind a user, a host or a folder */
		if (i > 0 && !is_user_at_host(span_first(line, i)) && line.at[i] != '>' &&
		    span_find_char(span_first(line, i), ' ') != SIZE_MAX)
			return false;
		command = rest = span_trim(span_skip(line, i + 1));
		if (!span_word(&rest, &word))
			return false;
		if (span_is(word, "sudo") && !span_word(&rest, &word))
			return false;
		*ret_command = command;
		*ret = (struct recognised){};
		if (is_program(word) && recognise_command(pool, command, ret))
			return true;
		/* "user@host:~$ docker ps": whatever follows is none of ours. */
		*ret = (struct recognised){};
		return i > 0 && line.at[i] != '>' && is_user_at_host(span_first(line, i));
	}
	return false;
}

bool recognise_name(struct pool *pool, struct span name, struct recognised *ret)
{
	static const char *const extensions[] = {".txt", ".json", ".out", ".log", ".xml", ".conf"};
	struct words words = {};
	size_t start = 0;
	bool json = span_ends(name, ".json"), wsl = span_is_nocase(name, "wsl.conf");

	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions) && !wsl; i++)
		if (span_ends(name, extensions[i]))
			name.length -= strlen(extensions[i]);
	for (size_t i = 0; i <= name.length; i++) {
		bool stop = i == name.length || strchr("-_. ", name.at[i]);

		if (stop) {
			add_word(&words, span_first(span_skip(name, start), i - start));
			start = i + 1;
		}
	}
	if (words.count == 0 || !recognise_words(pool, &words, ret))
		return false;
	ret->asked.json = ret->asked.json || json;
	return true;
}

static bool looks_like_link(struct span line)
{
	struct span rest = line, index = span_cut(&rest, ':');
	uint64_t number;

	return index.length < line.length && span_number(index, &number) && span_find(rest, ": <") != SIZE_MAX;
}

static bool looks_like_table(struct span line)
{
	struct span rest = line, word;

	return span_word(&rest, &word) && span_is(word, "table") && span_word(&rest, &word) &&
	       span_find(line, " {") != SIZE_MAX;
}

/* One line that only one program prints. */
static bool recognise_line(struct span line, struct recognised *ret)
{
	static const struct {
		const char *start, *command;
	} starts[] = {{"*filter", "iptables-save"},
		      {"*nat", "iptables-save"},
		      {"*mangle", "iptables-save"},
		      {"*raw", "iptables-save"},
		      {"# Generated by ip", "iptables-save"},
		      {"# Generated by ebtables", "iptables-save"},
		      {"-P INPUT ", "iptables -S"},
		      {"-A ", "iptables -S"},
		      {"-N ", "iptables -S"},
		      {"iptables ", "iptables -S"},
		      {"ip6tables ", "iptables -S"},
		      {"ebtables ", "iptables -S"},
		      {"Bridge table:", "iptables -S"},
		      {"nft ", "nft list ruleset"},
		      {"add table ", "nft list ruleset"},
		      {"flush ruleset", "nft list ruleset"},
		      {"net.ipv4.", "sysctl"},
		      {"kernel.", "sysctl"},
		      {"default via ", "ip route"},
		      {"default dev ", "ip route"},
		      {"bridge name", "brctl show"},
		      {"Kernel IP routing table", "route -n"},
		      {"[wsl2]", ".wslconfig"},
		      {"[experimental]", ".wslconfig"},
		      {"Windows IP", "ipconfig"},
		      {"Netid ", "ss -lntu"},
		      {"Linux ", "uname -a"},
		      {"PRETTY_NAME=", "os-release"},
		      {"processor\t", "/proc/cpuinfo"},
		      {"MemTotal:", "/proc/meminfo"},
		      {"/sys/", "grep -r . /sys"},
		      {"/proc/sys/", "sysctl"},
		      {"0:\tfrom all lookup", "ip rule"},
		      {"0: from all lookup", "ip rule"},
		      {"<domain", "virsh dumpxml"},
		      {"<network", "virsh dumpxml"},
		      {"<filter", "virsh dumpxml"}};

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		if (span_starts(line, starts[i].start))
			return set_format(ret, starts[i].command);
	if (span_starts(line, "Chain ") && span_find_char(line, '(') != SIZE_MAX)
		return set_format(ret, "iptables -L");
	if (span_starts(line, "create ") &&
	    (span_find(line, " hash:") != SIZE_MAX || span_find(line, " bitmap:") != SIZE_MAX ||
	     span_find(line, " list:set") != SIZE_MAX))
		return set_format(ret, "ipset save");
	if (looks_like_table(line))
		return set_format(ret, "nft list ruleset");
	if (looks_like_link(line))
		return set_format(ret, "ip addr");
	if (span_find(line, " dev ") != SIZE_MAX && span_find(line, " lladdr ") != SIZE_MAX)
		return set_format(ret, "ip neigh");
	if (span_find(line, " dev ") != SIZE_MAX && span_find(line, " proto kernel ") != SIZE_MAX)
		return set_format(ret, "ip route");
	return false;
}

bool recognise_text(struct span text, struct recognised *ret)
{
	struct span rest = span_first(text, 65536);

	*ret = (struct recognised){};
	while (rest.length > 0 && !ret->format)
		recognise_line(span_trim(span_cut(&rest, '\n')), ret);
	if (!ret->format)
		return false;
	if (ret->format->parse == parse_xt_save || ret->format->parse == parse_xt_list) {
		bool v6 = span_find(text, "ipv6-icmp") != SIZE_MAX || span_find(text, "icmp6-") != SIZE_MAX ||
			  span_find(text, "::/0") != SIZE_MAX || span_find(text, "ip6tables-save") != SIZE_MAX;

		ret->asked.family = v6 ? FAMILY_IP6 : FAMILY_IP;
	}
	ret->asked.addresses = span_find(text, "inet ") != SIZE_MAX || span_find(text, "inet6 ") != SIZE_MAX;
	return true;
}

bool recognise_json(const json_t *document, struct recognised *ret)
{
	const json_t *first = json_array_get(document, 0);

	*ret = (struct recognised){};
	ret->asked.json = true;
	if (json_object_get(document, "nftables"))
		return set_format(ret, "nft list ruleset");
	if (json_object_get(first, "addr_info")) {
		ret->asked.addresses = true;
		return set_format(ret, "ip addr");
	}
	if (json_object_get(first, "mac") && json_object_get(first, "ifname"))
		return set_format(ret, "bridge fdb");
	if (json_object_get(first, "ifname"))
		return set_format(ret, "ip link");
	if (json_object_get(first, "priority") && json_object_get(first, "src"))
		return set_format(ret, "ip rule");
	if (json_object_get(first, "lladdr"))
		return set_format(ret, "ip neigh");
	return json_object_get(first, "dst") && set_format(ret, "ip route");
}

const char *recognised_command(struct pool *pool, const struct recognised *recognised)
{
	const struct asked *asked = &recognised->asked;
	const char *command = recognised->format->command;
	bool xt = recognised->format->parse == parse_xt_save || recognised->format->parse == parse_xt_list;
	bool routes = recognised->format->parse == parse_routes;
	bool ip = strncmp(command, "ip ", 3) == 0;

	if (xt && asked->family == FAMILY_IP6)
		command = arena_printf(pool->arena, "ip6%s", command + 2);
	else if (xt && asked->family == FAMILY_BRIDGE)
		command = arena_printf(pool->arena, "eb%s", command + 2);
	else if (ip && (asked->json || asked->family))
		command = arena_printf(pool->arena, "ip%s%s%s", asked->json ? " -j" : "",
				       asked->family == FAMILY_IP6  ? " -6"
				       : asked->family == FAMILY_IP ? " -4"
								    : "",
				       command + 2);
	else if (asked->json && strncmp(command, "nft", 3) == 0)
		command = "nft -j list ruleset";
	if (xt && asked->table)
		command = arena_printf(pool->arena, "%s -t %s", command, asked->table);
	if (routes && (asked->table || asked->all_tables))
		command = arena_printf(pool->arena, "%s show table %s", command, asked->table ? asked->table : "all");
	if (asked->subject)
		command = arena_printf(pool->arena, strcmp(command, "--version") == 0 ? "%2$s %1$s" : "%1$s %2$s",
				       command, asked->subject);
	return command;
}
