/*
 * The property that nesting rests on: a host's nestvisor makes of its part of the lab, by itself, exactly what the
 * whole lab has there: the same paths, ids, MACs, names of interfaces, and everything else. Checked over random labs.
 */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "model/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_GUESTS = 64, PATH_SIZE = 256, LAYERS = 3, RANDOM_LABS = 200 };

/* ─── random labs ─── */

/* A generator of labs that are fine, as random as a seed makes them. */
struct generator {
	uint32_t seed;
	unsigned subnets; /* handed out so far */
	struct strbuf text;
	char paths[MOST_GUESTS][PATH_SIZE];
	unsigned path_count;
};

static unsigned draw(struct generator *g, unsigned below)
{
	g->seed = g->seed * 1664525 + 1013904223;
	return (g->seed >> 8) % below;
}

#define one_of(g, list) ((list)[draw((g), sizeof(list) / sizeof((list)[0]))])

static void add_line(struct generator *g, unsigned depth, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void add_line(struct generator *g, unsigned depth, const char *format, ...)
{
	va_list args;
	char line[512];

	va_start(args, format);
	assert_true(vsnprintf(line, sizeof(line), format, args) < (int)sizeof(line));
	va_end(args);
	strbuf_printf(&g->text, "%*s%s\n", (int)depth * 2, "", line);
}

static void add_network(struct generator *g, unsigned depth, unsigned layer, unsigned n)
{
	static const char *const uplinks[] = {"nat", "route", "none"};
	static const char *const more[] = {"", ", dns: true", ", dhcp: true", ", mtu: 1400"};
	static const char *const tunnels[] = {
		", vxlan: {id: 7, peers: [203.0.113.9]}",
		", geneve: {id: 9, peers: [\"2001:db8::1\", \"2001:db8::2\"], options: 12}",
	};

	add_line(g, depth, "n%u: {subnet: [10.%u.%u.0/24, \"fd00:%x::/64\"], uplink: %s%s%s}", n, n / 256, n % 256, n,
		 one_of(g, uplinks), one_of(g, more), layer == 0 && draw(g, 2) ? one_of(g, tunnels) : "");
}

static void add_words(struct generator *g, unsigned depth)
{
	static const char *const lines[] = {
		"world: cut", "tags: [red, blue]", "transport: ssh", "ssh: {user: me, key: /k}",
		"disk: 20G",  "seed: agent",	   "world: sealed",  "nested: true",
	};
	static const char *const images[] = {"micro", "debian-12", "/srv/disk.qcow2", "disk.raw"};

	add_line(g, depth, "%s", one_of(g, lines));
	add_line(g, depth, "image: %s", one_of(g, images));
	if (draw(g, 3) == 0)
		add_line(g, depth, "publish: [{port: %u/udp, as: %u, address: 0.0.0.0}, %u]", draw(g, 1000) + 1,
			 10000 + g->path_count, 20000 + g->path_count);
}

static void add_guests(struct generator *g, unsigned depth, unsigned layer, const char *parent, unsigned network);

static void add_nics(struct generator *g, unsigned depth, unsigned n, unsigned i)
{
	char mac[64] = "";

	if (draw(g, 4) == 0)
		snprintf(mac, sizeof(mac), ", mac: \"06:00:00:00:00:%02x\"", g->path_count);
	add_line(g, depth, "nics: [{network: n%u, address: [10.%u.%u.%u, \"fd00:%x::%x\"]%s}]", n, n / 256, n % 256,
		 i + 2, n, i + 2, mac);
}

static void add_guest(struct generator *g, unsigned depth, unsigned layer, const char *parent, unsigned network,
		      unsigned i)
{
	static const unsigned memories[] = {16384, 4096, 256};
	char name[LAB_NAME_MAX + 1], path[PATH_SIZE];

	snprintf(name, sizeof(name), draw(g, 3) ? "g%u" : "quite-a-long-name-for-guest-number-%u", i);
	assert_true(snprintf(path, sizeof(path), "%s%s%s", parent, *parent ? "/" : "", name) < PATH_SIZE);
	strcpy(g->paths[g->path_count++], path);
	add_line(g, depth, "%s:", name);
	add_line(g, depth + 1, "memory: %uM", memories[layer]);
	add_nics(g, depth + 1, network, i);
	add_words(g, depth + 1);
	if (layer + 1 == LAYERS || draw(g, 3) == 0)
		return;
	network = ++g->subnets;
	add_line(g, depth + 1, "cpu-overcommit: 4.25");
	add_line(g, depth + 1, "networks:");
	add_network(g, depth + 2, layer + 1, network);
	add_guests(g, depth + 1, layer + 1, path, network);
}

static void add_guests(struct generator *g, unsigned depth, unsigned layer, const char *parent, unsigned network)
{
	unsigned count = 1 + draw(g, 3);

	add_line(g, depth, "guests:");
	for (unsigned i = 0; i < count && g->path_count < MOST_GUESTS; i++)
		add_guest(g, depth + 1, layer, parent, network, i);
}

static void add_policies(struct generator *g)
{
	static const char *const others[] = {"world", "L0", "10.0.0.0/15", "n0", "fd00:1::5"};

	add_line(g, 0, "policy:");
	for (unsigned i = 0; i < 6; i++)
		add_line(g, 1, "- %s: {from: %s, to: %s%s}", draw(g, 2) ? "allow" : "deny",
			 g->paths[draw(g, g->path_count)],
			 draw(g, 2) ? g->paths[draw(g, g->path_count)] : one_of(g, others),
			 draw(g, 2) ? ", port: [22, 53/udp, 8000-8010/tcp]" : "");
	add_line(g, 1, "- deny: {from: %s, to: world, even-if-compromised: %s}", g->paths[0],
		 g->paths[g->path_count - 1]);
}

static char *random_lab(uint32_t seed)
{
	struct generator *g = calloc(1, sizeof(*g));
	char *text;

	g->seed = seed;
	add_line(g, 0, "lab: random-%u", seed);
	add_line(g, 0, "defaults: {nested: true, cpus: 1}");
	add_line(g, 0, "networks:");
	add_network(g, 1, 0, 0);
	add_guests(g, 0, 0, "", 0);
	add_policies(g);
	text = strbuf_steal(&g->text);
	free(g);
	return text;
}

/* ─── the comparison ─── */

static struct lab *load(const char *name, const char *text)
{
	cleanup_problems struct problems problems = {0};
	cleanup_strbuf struct strbuf out = {0};
	struct lab *lab = NULL;

	config_load_text(name, text, strlen(text), NULL, &problems, &lab, NULL);
	if (problems.errors) {
		problems_format(&problems, &out);
		fail_msg("%s\nin:\n%s", out.text, text);
	}
	return lab;
}

static struct lab *load_json(json_t *json, size_t flags)
{
	cleanup_free char *text = json_dumps(json, flags);

	assert_non_null(text);
	return load("-", text);
}

#define same_bytes(a, b) assert_memory_equal(&(a), &(b), sizeof(a))

static void same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a)
		assert_string_equal(a, b);
}

static void same_network(const struct network *a, const struct network *b)
{
	same_text(a->name, b->name);
	same_text(a->path, b->path);
	same_text(a->owner->path, b->owner->path);
	same_bytes(a->subnet4, b->subnet4);
	same_bytes(a->subnet6, b->subnet6);
	same_bytes(a->gateway4, b->gateway4);
	same_bytes(a->gateway6, b->gateway6);
	assert_int_equal(a->uplink, b->uplink);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->dhcp, b->dhcp);
	assert_int_equal(a->dns, b->dns);
	same_bytes(a->dhcp_first, b->dhcp_first);
	same_bytes(a->dhcp_last, b->dhcp_last);
	assert_int_equal(a->encapsulation, b->encapsulation);
	assert_int_equal(a->vni, b->vni);
	assert_int_equal(a->geneve_options, b->geneve_options);
	assert_int_equal(a->peer_count, b->peer_count);
	for (size_t i = 0; i < a->peer_count; i++)
		same_bytes(a->peers[i], b->peers[i]);
	same_text(a->bridge, b->bridge);
}

static void same_nics(const struct guest *a, const struct guest *b)
{
	assert_int_equal(a->nic_count, b->nic_count);
	for (size_t i = 0; i < a->nic_count; i++) {
		same_text(a->nics[i].network->path, b->nics[i].network->path);
		assert_int_equal(a->nics[i].index, b->nics[i].index);
		same_bytes(a->nics[i].address4, b->nics[i].address4);
		same_bytes(a->nics[i].address6, b->nics[i].address6);
		same_bytes(a->nics[i].mac, b->nics[i].mac);
		assert_int_equal(a->nics[i].queues, b->nics[i].queues);
		same_text(a->nics[i].tap, b->nics[i].tap);
	}
}

/* What a deeper host is told of a published port: all of its addresses, and a number that both sides know. */
static void check_told(const struct lab *whole, const struct host *host, const struct publish *asked,
		       const struct publish *told)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(whole, host, &list);
	struct ip address = publish_address(told), wanted = publish_address(asked);

	assert_true(publish_is_any(&address));
	assert_int_equal(address.family, wanted.family);
	for (size_t i = 0; i < count; i++)
		if (list[i].publish == asked) {
			assert_int_equal(told->as, list[i].port);
			return;
		}
	fail();
}

static void same_lists(const struct lab *whole, const struct host *host, const struct guest *a, const struct guest *b)
{
	assert_int_equal(a->publish_count, b->publish_count);
	for (size_t i = 0; i < a->publish_count; i++) {
		assert_int_equal(a->publish[i].port, b->publish[i].port);
		assert_int_equal(a->publish[i].protocol, b->publish[i].protocol);
		if (host != whole->root) {
			check_told(whole, host, &a->publish[i], &b->publish[i]);
			continue;
		}
		assert_int_equal(a->publish[i].as, b->publish[i].as);
		same_bytes(a->publish[i].address, b->publish[i].address);
	}
	assert_int_equal(a->tag_count, b->tag_count);
	for (size_t i = 0; i < a->tag_count; i++)
		same_text(a->tags[i], b->tags[i]);
}

static void same_guest(const struct lab *whole, const struct host *host, const struct guest *a, const struct guest *b)
{
	same_text(a->name, b->name);
	same_text(a->path, b->path);
	same_text(a->id, b->id);
	same_text(a->parent->path, b->parent->path);
	assert_int_equal(a->layer, b->layer);
	assert_int_equal(a->cpus, b->cpus);
	assert_int_equal(a->memory, b->memory);
	assert_int_equal(a->disk, b->disk);
	same_text(a->image, b->image);
	same_text(a->image_id, b->image_id);
	same_text(a->os, b->os);
	assert_int_equal(a->seed, b->seed);
	assert_int_equal(a->transport, b->transport);
	same_text(a->ssh_user, b->ssh_user);
	same_text(a->ssh_key, b->ssh_key);
	assert_int_equal(a->nested, b->nested);
	assert_int_equal(a->world, b->world);
	same_nics(a, b);
	same_lists(whole, host, a, b);
}

static void same_policies(const struct lab *whole, const struct lab *part)
{
	size_t next = 0;

	/* Those of the part are some of those of the whole, in the same order. */
	for (size_t i = 0; i < part->policy_count; i++) {
		const struct policy *policy = &part->policies[i];

		while (next < whole->policy_count && strcmp(whole->policies[next].text, policy->text) != 0)
			next++;
		assert_true(next < whole->policy_count);
		assert_int_equal(whole->policies[next].verb, policy->verb);
		if (policy->from.guest)
			same_text(policy->from.guest->path, whole->policies[next].from.guest->path);
		next++;
	}
}

static void same_hosts(const struct host *a, const struct host *b)
{
	same_text(a->path, b->path);
	assert_int_equal(a->layer, b->layer);
	assert_int_equal(a->cpu_overcommit, b->cpu_overcommit);
	assert_int_equal(a->network_count, b->network_count);
	assert_int_equal(a->guest_count, b->guest_count);
}

/* `part` was made for `host` of `whole`. */
static void same_lab(const struct lab *whole, const struct host *host, const struct lab *part)
{
	size_t below = 0;

	same_text(whole->name, part->name);
	same_text(whole->id, part->id);
	same_hosts(host, part->root);
	assert_true(host == whole->root || !part->root->guest);
	for (size_t i = 0; i < whole->guest_count; i++) {
		const struct guest *guest = whole->guests[i], *again = lab_find_guest(part, guest->path);

		if (host != whole->root && !host_guest_towards(host, guest)) {
			assert_null(again);
			continue;
		}
		assert_non_null(again);
		same_guest(whole, host, guest, again);
		assert_int_equal(guest->host != NULL, again->host != NULL);
		if (guest->host)
			same_hosts(guest->host, again->host);
		below++;
	}
	assert_int_equal(below, part->guest_count);
	for (size_t i = 0; i < part->network_count; i++)
		same_network(lab_find_network(whole, part->networks[i]->path), part->networks[i]);
	same_policies(whole, part);
}

static void same_order(const struct lab *whole, const struct lab *again)
{
	for (size_t i = 0; i < whole->guest_count; i++)
		same_text(whole->guests[i]->path, again->guests[i]->path);
	for (size_t i = 0; i < whole->network_count; i++)
		same_text(whole->networks[i]->path, again->networks[i]->path);
}

static void check_host(const struct lab *whole, const struct host *host)
{
	cleanup_json json_t *part = config_part(whole, host), *again = NULL;
	cleanup_lab struct lab *in_order = load_json(part, JSON_COMPACT),
			       *sorted = load_json(part, JSON_SORT_KEYS | JSON_INDENT(1));

	same_lab(whole, host, in_order);
	if (host == whole->root)
		same_order(whole, in_order);
	same_lab(whole, host, sorted);
	/* Whoever has a part hands out the same parts as whoever has the whole. */
	again = config_part(in_order, in_order->root);
	assert_true(json_equal(part, again));
	for (size_t i = 0; i < in_order->guest_count; i++) {
		cleanup_json json_t *from_part = NULL, *from_whole = NULL;

		if (!in_order->guests[i]->host)
			continue;
		from_part = config_part(in_order, in_order->guests[i]->host);
		from_whole = config_part(whole, lab_find_guest(whole, in_order->guests[i]->path)->host);
		assert_true(json_equal(from_part, from_whole));
	}
}

static void test_parts(void **state)
{
	unsigned hosts = 0;

	for (uint32_t seed = 1; seed <= RANDOM_LABS; seed++) {
		cleanup_free char *text = random_lab(seed);
		cleanup_lab struct lab *lab = load("random.nest.yaml", text);

		check_host(lab, lab->root);
		for (size_t i = 0; i < lab->guest_count; i++)
			if (lab->guests[i]->host) {
				check_host(lab, lab->guests[i]->host);
				hosts++;
			}
	}
	assert_true(hosts > RANDOM_LABS);
}

static const char small[] =
	"lab: small\n"
	"networks: {n: {subnet: 10.0.0.0/24}}\n"
	"guests:\n"
	"  hv1:\n"
	"    memory: 1G\n"
	"    cpus: 2\n"
	"    nics: [{network: n, address: 10.0.0.2}]\n"
	"    networks: {in: {subnet: 10.0.1.0/24, mtu: 1400, uplink: route}}\n"
	"    guests:\n"
	"      a: {nics: [{network: in, address: 10.0.1.2, mac: \"02:00:00:00:00:07\", queues: 1}]}\n"
	"  hv2: {nics: [{network: n, address: 10.0.0.3}], networks: {in: {subnet: 10.0.2.0/24, uplink: route}}}\n"
	"policy:\n"
	"  - allow: {from: hv2, to: hv1/a, port: 22}\n"
	"  - deny: {from: hv2/in, to: world}\n"
	"  - deny: {from: L0, to: 10.0.1.7}\n"
	"  - deny: {from: hv1/in, to: hv2/in, even-if-compromised: [hv2, hv1]}\n";

static void test_part_says_all(void **state)
{
	cleanup_lab struct lab *lab = load("small", small);
	cleanup_json json_t *part = config_part(lab, lab_find_guest(lab, "hv1")->host);
	const json_t *guest = json_object_get(json_object_get(part, "guests"), "a");
	const json_t *nic = json_array_get(json_object_get(guest, "nics"), 0);

	assert_string_equal(json_get_string(part, "at", ""), "hv1");
	assert_string_equal(json_get_string(part, "lab", ""), "small");
	assert_string_equal(json_get_string(guest, "memory", ""), "256M");
	assert_string_equal(json_get_string(guest, "image", ""), "micro");
	assert_string_equal(json_get_string(guest, "world", ""), "open");
	assert_int_equal(json_get_integer(guest, "cpus", 0), 1);
	assert_string_equal(json_get_string(nic, "mac", ""), "02:00:00:00:00:07");
	assert_int_equal(json_get_integer(nic, "queues", 0), 1);
	assert_int_equal(json_get_integer(json_object_get(json_object_get(part, "networks"), "in"), "mtu", 0), 1400);
	assert_int_equal(json_array_size(json_object_get(part, "policy")), 3); /* without the one of hv2 alone */
}

static void test_part_with_names_from_outside(void **state)
{
	cleanup_lab struct lab *lab = load("small", small), *part = NULL;
	cleanup_json json_t *json = config_part(lab, lab_find_guest(lab, "hv1")->host);

	part = load_json(json, 0);
	assert_int_equal(part->root->layer, 1);
	assert_string_equal(part->root->path, "hv1");
	assert_null(part->root->guest);
	assert_int_equal(part->policies[0].from.kind, ENDPOINT_GUEST);
	assert_null(part->policies[0].from.guest);
	assert_string_equal(part->policies[0].from.text, "hv2");
	assert_ptr_equal(part->policies[0].to.guest, lab_find_guest(part, "hv1/a"));
	assert_string_equal(part->policies[2].compromised[0], "hv2");
}

static void test_whole_lab_has_no_at(void **state)
{
	cleanup_lab struct lab *lab = load("small", small);
	cleanup_json json_t *json = config_part(lab, lab->root);

	assert_null(json_object_get(json, "at"));
	assert_int_equal(json_array_size(json_object_get(json, "policy")), 4);
}

static void test_image_ids(void **state)
{
	cleanup_lab struct lab *lab = load("small", small), *part = NULL;
	cleanup_json json_t *json = config_part(lab, lab_find_guest(lab, "hv1")->host), *again = NULL;
	json_t *guest = json_object_get(json_object_get(json, "guests"), "a");

	assert_null(lab_find_guest(lab, "hv1/a")->image_id);
	json_object_set_new(guest, "image-id", json_string("0123456789abcdef0123"));
	part = load_json(json, 0);
	assert_string_equal(lab_find_guest(part, "hv1/a")->image_id, "0123456789abcdef0123");
	again = config_part(part, part->root); /* carried on to the next layer */
	assert_true(json_equal(json, again));
}

/* Whoever runs a part cannot act on what the lab's author was warned of. */
static void test_part_is_not_warned(void **state)
{
	static const char text[] =
		"{\"lab\": \"x\", \"at\": \"hv\", \"guests\": {\"a\": {\"nics\": [], \"disk\": \"1G\"}}}";
	cleanup_problems struct problems problems = {0};
	cleanup_lab struct lab *lab = NULL;

	assert_int_equal(config_load_text("-", text, strlen(text), NULL, &problems, &lab, NULL), 0);
	assert_int_equal(problems.count, 0);
}

static void test_json_as_people_write_it(void **state)
{
	static const char *const texts[] = {
		"{\"lab\":\"x\",\"guests\":{\"a\":{\"nics\":[],\"cpus\":2,\"image\":\"\\/srv\\/d\\u00fcsk\"}}}",
		"{\n\t\"lab\" : \"x\" ,\n\t\"guests\": {\n\t\t\"a\": {\"nics\": [ ], \"cpus\": 2, \"image\": "
		"\"/srv/düsk\"}\n\t}\n}\n",
		"{\r\n  \"lab\": \"x\",\r\n  \"guests\": {\"a\": "
		"{\"nics\":[],\"cpus\":2,\"image\":\"/srv/düsk\"}}\r\n}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cleanup_lab struct lab *lab = load("json", texts[i]);

		assert_int_equal(lab_find_guest(lab, "a")->cpus, 2);
		assert_string_equal(lab_find_guest(lab, "a")->image, "/srv/düsk");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_part_says_all),
		cmocka_unit_test(test_part_with_names_from_outside),
		cmocka_unit_test(test_whole_lab_has_no_at),
		cmocka_unit_test(test_image_ids),
		cmocka_unit_test(test_part_is_not_warned),
		cmocka_unit_test(test_json_as_people_write_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
