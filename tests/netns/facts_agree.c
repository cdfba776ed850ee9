#include "facts_agree.h"

#include "machine.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "facts/json.h"
#include "facts/live.h"

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DIFFERENCES_SHOWN = 40, TRIES = 20 };

/* ---- comparing ---- */

/* What a difference is called after: "links[br0].bridge.id"; elements of lists are named where they have a name. */
struct path {
	const struct path *above;
	const char *name;
};

static void put_path(struct strbuf *out, const struct path *path)
{
	if (path->above)
		put_path(out, path->above);
	strbuf_printf(out, "%s%s", out->length && path->name[0] != '[' ? "." : "", path->name);
}

/* Members that differ by themselves, and what each side may leave out; patterns of fnmatch(3) on the path. */
static const char *const allowances[] = {
	"*.origin",
	"*.origins",
	"captures",
	"notes",
	"name",
	"*.packets",
	"*.bytes",
	"*.timeout",
	"*.expires",
	"*.shadowed", /* names a file */
	"ruleset.coverage",
	"route_coverage",
	"ruleset.ipsets_origin",
	"*.handle", /* iptables-save prints none */
	"sysctls",
	"sysctls_known",
	"sysctls_absent",
	"neighbours[[]*].state",
	"*.process",
	"kernel",
	"programs",
	"system",
	"*.xdp",
};

/* What the text cannot say: there the captured facts may be silent, but not say anything else. */
static const char *const silences[] = {
	"links[[]*].peer_netnsid", /* ip(8) prints the namespace's name instead where it knows one */
};

/* The same of nft's JSON: version 1.0.6 leaves these out. */
static const char *const json_silences[] = {
	"ruleset.tables[[]*].sets[[]*].auto_merge",
	"ruleset.tables[[]*].sets[[]*].dynamic",
	"ruleset.tables[[]*].chains[[]*].devices",
};

static bool is_one_of(const char *path, const char *const *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fnmatch(patterns[i], path, 0) == 0)
			return true;
	return false;
}

struct comparison {
	struct strbuf out;
	unsigned count;
	bool json; /* what was captured: rules and routes are then written in other words */
};

static void differ(struct comparison *c, const char *path, const json_t *live, const json_t *captured)
{
	cleanup_free char *a = live ? json_dumps(live, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	cleanup_free char *b = captured ? json_dumps(captured, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	if (c->count++ < DIFFERENCES_SHOWN)
		strbuf_printf(&c->out, "%s: the kernel says %.600s, the captured text %.600s\n", path,
			      a ? a : "nothing", b ? b : "nothing");
}

/* A route or a rule as ip(8) prints it, without what says nothing about packets. */
static char *plain_text(const char *text)
{
	static const char *const drop[] = {" pref medium", " lock", " [detached]", " [unresolved]", " nhid "};
	struct strbuf out = {};

	strbuf_add(&out, "");
	while (*text) {
		size_t skip = 0;

		for (size_t i = 0; i < sizeof(drop) / sizeof(*drop); i++)
			if (strncmp(text, drop[i], strlen(drop[i])) == 0)
				skip = strlen(drop[i]);
		text += skip;
		if (skip && text[-1] == ' ')
			text += strspn(text, "0123456789");
		if (skip)
			continue;
		if (*text == '\t' || *text == ' ') {
			text += strspn(text, " \t");
			if (*text)
				strbuf_add_char(&out, ' ');
			continue;
		}
		strbuf_add_char(&out, *text++);
	}
	return strbuf_steal(&out);
}

static bool same_value(const char *path, const json_t *live, const json_t *captured)
{
	cleanup_free char *a = NULL, *b = NULL;

	if (fnmatch("routes[[]*].text", path, 0) != 0 && fnmatch("policy_rules[[]*].text", path, 0) != 0)
		return json_equal(live, captured);
	a = plain_text(json_string_value(live));
	b = plain_text(json_string_value(captured));
	return strcmp(a, b) == 0;
}

static void compare(struct comparison *c, const struct path *at, const json_t *live, const json_t *captured);

static void compare_objects(struct comparison *c, const struct path *at, const json_t *live, const json_t *captured)
{
	json_t *all = json_object(), *value;
	const char *key;

	json_object_update(all, (json_t *)live);
	json_object_update(all, (json_t *)captured);
	json_object_foreach (all, key, value)
		compare(c, &(struct path){at, key}, json_object_get(live, key), json_object_get(captured, key));
	json_decref(all);
}

static void compare_arrays(struct comparison *c, const struct path *at, const json_t *live, const json_t *captured)
{
	size_t a = json_array_size(live), b = json_array_size(captured);

	for (size_t i = 0; i < (a > b ? a : b); i++) {
		const json_t *left = json_array_get(live, i), *right = json_array_get(captured, i);
		const char *name = json_get_string(left ? left : right, "name", "");
		cleanup_free char *text = NULL;

		assert_true(asprintf(&text, "[%zu%s%s]", i, *name ? " " : "", name) > 0);
		compare(c, &(struct path){at, text}, left, right);
	}
}

static void compare(struct comparison *c, const struct path *at, const json_t *live, const json_t *captured)
{
	cleanup_strbuf struct strbuf path = {};

	strbuf_add(&path, "");
	if (at)
		put_path(&path, at);
	if (is_one_of(path.text, allowances, sizeof(allowances) / sizeof(*allowances)) ||
	    (c->json && fnmatch("*].text", path.text, 0) == 0) ||
	    (!captured && is_one_of(path.text, silences, sizeof(silences) / sizeof(*silences))) ||
	    (!captured && c->json &&
	     is_one_of(path.text, json_silences, sizeof(json_silences) / sizeof(*json_silences))))
		return;
	if (json_is_object(live) && json_is_object(captured))
		compare_objects(c, at, live, captured);
	else if (json_is_array(live) && json_is_array(captured))
		compare_arrays(c, at, live, captured);
	else if (!live || !captured || !same_value(path.text, live, captured))
		differ(c, path.text, live, captured);
}

/* Lists come in the order of their captures; within one, the order is the kernel's and must be the same. */
static const struct {
	const char *list, *keys[3];
} orders[] = {{"tables", {"backend", "family", "name"}},
	      {"routes", {"family"}},
	      {"policy_rules", {"family"}},
	      {"neighbours", {"proxy"}}};

struct sorted {
	json_t *item;
	size_t place;
	char *key;
};

static int by_key(const void *a, const void *b)
{
	const struct sorted *left = a, *right = b;
	int order = strcmp(left->key, right->key);

	return order ? order : left->place < right->place ? -1 : left->place > right->place;
}

static void sort_list(json_t *object, const char *list, const char *const keys[3])
{
	json_t *array = json_object_get(object, list), *result = json_array();
	size_t count = json_array_size(array);
	struct sorted *items = calloc(count + 1, sizeof(*items));

	assert_non_null(items);
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_array_get(array, i);

		items[i] = (struct sorted){.item = item, .place = i};
		assert_true(asprintf(&items[i].key, "%s %s %s", json_get_string(item, keys[0], ""),
				     keys[1] ? json_get_string(item, keys[1], "") : "",
				     keys[2] ? json_get_string(item, keys[2], "") : "") > 0);
	}
	if (count)
		qsort(items, count, sizeof(*items), by_key);
	for (size_t i = 0; i < count; i++) {
		json_array_append(result, items[i].item);
		free(items[i].key);
	}
	free(items);
	if (array)
		json_object_set(object, list, result);
	json_decref(result);
}

/* nft's JSON only names iptables' extensions, so where a program shows the chain better, it shows other things. */
static void drop_shadowed(json_t *host)
{
	json_t *tables = json_object_get(json_object_get(host, "ruleset"), "tables");

	for (size_t i = 0; i < json_array_size(tables); i++) {
		json_t *chains = json_object_get(json_array_get(tables, i), "chains");

		for (size_t j = json_array_size(chains); j-- > 0;)
			if (json_object_get(json_array_get(chains, j), "shadowed"))
				json_array_remove(chains, j);
	}
}

static void sort_lists(json_t *host)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		sort_list(host, orders[i].list, orders[i].keys);
		sort_list(json_object_get(host, "ruleset"), orders[i].list, orders[i].keys);
	}
}

/* What stands in both must be the same; the text lists more sysctls, and the kernel has others while it is asked. */
static void compare_sysctls(struct comparison *c, const struct bundle *live, const struct bundle *captured)
{
	const struct facts *a = live->hosts[0], *b = captured->hosts[0];
	size_t both = 0;

	for (size_t i = 0; i < a->sysctl_count; i++) {
		const char *name = a->sysctls[i].name, *other = facts_sysctl(b, name);
		cleanup_json json_t *left = json_string(a->sysctls[i].value), *right = json_string(other ? other : "");

		if (strcmp(name, "net.netfilter.nf_conntrack_count") == 0)
			continue;
		both += other != NULL;
		if (!other)
			differ(c, name, left, NULL);
		else if (strcmp(a->sysctls[i].value, other) != 0)
			differ(c, name, left, right);
	}
	assert_true(both > 100);
	for (size_t i = 0; i < a->sysctls_absent_count; i++)
		if (facts_sysctl(b, a->sysctls_absent[i]))
			differ(c, a->sysctls_absent[i], NULL, NULL);
}

/* The number of differences, with their texts. */
static unsigned find_differences(const struct bundle *live, const struct bundle *captured, bool json, char **ret_text)
{
	cleanup_json json_t *a = bundle_json(live, NULL), *b = bundle_json(captured, NULL);
	json_t *left = json_array_get(json_object_get(a, "hosts"), 0),
	       *right = json_array_get(json_object_get(b, "hosts"), 0);
	struct comparison c = {.json = json};

	assert_int_equal(live->host_count, 1);
	assert_int_equal(captured->host_count, 1);
	if (json) {
		drop_shadowed(left);
		drop_shadowed(right);
	}
	sort_lists(left);
	sort_lists(right);
	compare_objects(&c, NULL, left, right);
	if (captured->hosts[0]->sysctls_known == TRUTH_YES)
		compare_sysctls(&c, live, captured);
	*ret_text = strbuf_steal(&c.out);
	return c.count;
}

/* ---- capturing ---- */

bool have(const char *program)
{
	return machine_try("command -v %s >/dev/null", program);
}

/* As somebody would who is asked to send a bundle; programs that are not there leave no file. */
static struct bundle *capture(bool json)
{
	static const struct {
		const char *program, *command, *file;
		bool json; /* has JSON, asked for by -j */
	} commands[] = {
		{"ip", "-d addr", "ip-d-addr", true},
		{"ip", "route show table all", "ip-route-show-table-all", true},
		{"ip", "-6 route show table all", "ip-6-route-show-table-all", true},
		{"ip", "rule", "ip-rule", true},
		{"ip", "-6 rule", "ip-6-rule", true},
		{"ip", "neigh", "ip-neigh", true},
		{"ip", "neigh show proxy", "ip-neigh-show-proxy", true},
		{"bridge", "fdb show", "bridge-fdb-show", true},
		{"nft", "-a list ruleset", "nft-a-list-ruleset", true},
		{"iptables-nft-save", "", "iptables-save", false},
		{"ip6tables-nft-save", "", "ip6tables-save", false},
		{"ebtables-nft-save", "", "ebtables-save", false},
		{"ipset", "save", "ipset-save", false},
		{"conntrack", "-L", "conntrack-L", false},
		{"ss", "-lntup", "ss-lntup", false},
		{"sysctl", "-a", "sysctl-a", false},
	};
	struct bundle *bundle = NULL;

	machine_do("rm -rf /run/captured; mkdir /run/captured");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (have(commands[i].program))
			machine_do("%s %s %s > /run/captured/%s.%s 2>/dev/null", commands[i].program,
				   json && commands[i].json ? "-j" : "", commands[i].command, commands[i].file,
				   json && commands[i].json ? "json" : "txt");
	OK(bundle_load("/run/captured", &bundle, &problem));
	return bundle;
}

/* What goes on by itself (a bridge comes up, an address is ready) must not happen between the two: then once more. */
void assert_captures_agree(void)
{
	for (unsigned tries = 0;; tries++) {
		cleanup_bundle struct bundle *before = NULL, *after = NULL, *text = NULL, *json = NULL;
		cleanup_free char *moved = NULL, *of_text = NULL, *of_json = NULL;
		unsigned in_text, in_json;

		OK(bundle_live_at(-1, "machine", &before, &problem));
		text = capture(false);
		json = capture(true);
		OK(bundle_live_at(-1, "machine", &after, &problem));
		if (find_differences(before, after, false, &moved) && tries < TRIES)
			continue;
		in_text = find_differences(after, text, false, &of_text);
		in_json = find_differences(after, json, true, &of_json);
		if (in_text || in_json)
			fail_msg("%u differences to text:\n%s\n%u differences to JSON:\n%s\n%s", in_text, of_text,
				 in_json, of_json, moved);
		return;
	}
}
