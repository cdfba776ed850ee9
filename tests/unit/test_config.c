/*
 * config/: golden files of problems (tests/golden/config), the model of the examples, every key misspelt, hostile
 * files. NESTVISOR_GOLDEN=write writes the golden files anew.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "config/config.h"
#include "config/schema.h"
#include "config/spelling.h"

#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_ROUTES = 8 };

/* ─── helpers ─── */

static char *source_path(const char *name)
{
	const char *slash = strrchr(__FILE__, '/');
	char *path;

	assert_non_null(slash);
	assert_true(asprintf(&path, "%.*s/../../%s", (int)(slash - __FILE__), __FILE__, name) > 0);
	return path;
}

/* What loading gave: the lab, or what is wrong. */
struct loaded {
	struct lab *lab;
	struct problems problems;
	struct strbuf text;
	int r;
};

static void loaded_clear(struct loaded *loaded)
{
	lab_free(loaded->lab);
	problems_clear(&loaded->problems);
	free(loaded->text.text);
}
#define cleanup_loaded __attribute__((cleanup(loaded_clear)))

static void load_bytes(struct loaded *ret, const char *name, const char *text, size_t length,
		       const struct surroundings *machine)
{
	cleanup_error struct error *err = NULL;

	memset(ret, 0, sizeof(*ret));
	ret->r = config_load_text(name, text, length, machine, &ret->problems, &ret->lab, &err);
	assert_int_equal(ret->r, ret->problems.errors ? -EINVAL : 0);
	assert_int_equal(ret->lab == NULL, ret->r != 0);
	assert_true((ret->r != 0) == (err != NULL));
	problems_format(&ret->problems, &ret->text);
	strbuf_add(&ret->text, "");
}

static void load_text(struct loaded *ret, const char *text)
{
	load_bytes(ret, "test.nest.yaml", text, strlen(text), NULL);
}

/* A lab that must be fine. */
static struct lab *load_fine(const char *text)
{
	struct loaded loaded;
	struct lab *lab;

	load_text(&loaded, text);
	if (loaded.problems.errors)
		fail_msg("%s\nin:\n%s", loaded.text.text, text);
	lab = steal_pointer(&loaded.lab);
	loaded_clear(&loaded);
	return lab;
}

static void assert_error(const char *text, const char *message)
{
	cleanup_loaded struct loaded loaded = {0};

	load_text(&loaded, text);
	if (loaded.r == 0 || !strstr(loaded.text.text, message))
		fail_msg("expected \"%s\", got:\n%s", message, loaded.text.text);
}

/* ─── golden files ─── */

/* "# machine: cpus=4 memory=4096 route=10.0.0.0/8@eth0" in the first line is the machine to check against. */
static bool read_machine(const char *text, struct surroundings *machine, struct surroundings_route routes[MOST_ROUTES])
{
	static const char start[] = "# machine: ";
	cleanup_free char *line = NULL;
	char *save = NULL;

	if (strncmp(text, start, strlen(start)) != 0)
		return false;
	line = strndup(text + strlen(start), strcspn(text, "\n") - strlen(start));
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (sscanf(word, "cpus=%u", &machine->cpus) == 1)
			continue;
		if (sscanf(word, "memory=%lu", &machine->memory) == 1) {
			machine->memory <<= 20;
			continue;
		}
		assert_int_equal(strncmp(word, "route=", 6), 0);
		assert_true(machine->route_count < MOST_ROUTES && strchr(word, '@'));
		strcpy(routes[machine->route_count].interface, strchr(word, '@') + 1);
		*strchr(word, '@') = '\0';
		assert_true(prefix_parse(word + 6, &routes[machine->route_count++].prefix));
	}
	machine->routes = routes;
	return true;
}

static void check_golden(const char *path)
{
	struct surroundings_route routes[MOST_ROUTES] = {0};
	struct surroundings machine = {0};
	cleanup_free char *text = NULL, *wanted = NULL, *golden = NULL;
	cleanup_strbuf struct strbuf got = {0};
	cleanup_loaded struct loaded loaded = {0};
	const char *name = strrchr(path, '/') + 1;
	size_t length;
	bool with_machine;

	assert_int_equal(file_read(path, 1 << 20, &text, &length, NULL), 0);
	with_machine = read_machine(text, &machine, routes);
	load_bytes(&loaded, name, text, length, with_machine ? &machine : NULL);
	strbuf_printf(&got, "%s%zu errors, %zu warnings\n", loaded.text.text, loaded.problems.errors,
		      loaded.problems.count - loaded.problems.errors);
	assert_true(asprintf(&golden, "%.*s.expected", (int)(strlen(path) - strlen(".nest.yaml")), path) > 0);
	if (getenv("NESTVISOR_GOLDEN") && strcmp(getenv("NESTVISOR_GOLDEN"), "write") == 0) {
		assert_int_equal(file_write_atomic(golden, got.text, got.length, 0644, NULL), 0);
		return;
	}
	if (file_read(golden, 1 << 20, &wanted, &length, NULL) < 0)
		fail_msg("%s is missing; NESTVISOR_GOLDEN=write makes it", golden);
	assert_string_equal(got.text, wanted);
}

static void test_golden(void **state)
{
	cleanup_free char *pattern = source_path("tests/golden/config/*.nest.yaml");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_golden(found.gl_pathv[i]);
	globfree(&found);
}

/* Every line of the format is safe to print, and the caret stands in the line it says. */
static void test_problems_are_safe(void **state)
{
	cleanup_free char *pattern = source_path("tests/golden/config/*.nest.yaml");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		cleanup_free char *text = NULL;
		cleanup_json json_t *json = NULL;
		cleanup_loaded struct loaded loaded = {0};
		size_t length;

		assert_int_equal(file_read(found.gl_pathv[i], 1 << 20, &text, &length, NULL), 0);
		load_bytes(&loaded, "\033]0;name\xff", text, length, NULL);
		for (const char *c = loaded.text.text; *c; c++)
			assert_true((unsigned char)*c >= 0x20 || *c == '\n');
		json = problems_json(&loaded.problems);
		assert_non_null(json);
		assert_int_equal(json_array_size(json), loaded.problems.count);
		for (size_t j = 0; j < loaded.problems.count; j++) {
			assert_non_null(json_array_get(json, j));
			assert_true(j == 0 || loaded.problems.items[j].place.line == 0 ||
				    loaded.problems.items[j].place.line >= loaded.problems.items[j - 1].place.line);
		}
	}
	globfree(&found);
}

/* ─── the model ─── */

static struct lab *load_example(const char *name)
{
	cleanup_problems struct problems problems = {0};
	cleanup_free char *path = source_path(name);
	cleanup_strbuf struct strbuf text = {0};
	struct lab *lab = NULL;

	config_load(path, NULL, &problems, &lab, NULL);
	problems_format(&problems, &text);
	if (problems.count)
		fail_msg("%s", text.text);
	assert_non_null(lab);
	return lab;
}

static void assert_ip(const struct ip *ip, const char *text)
{
	char got[IP_TEXT_SIZE];

	assert_string_equal(ip_format(ip, got), text);
}

static void test_first_networks(void **state)
{
	cleanup_lab struct lab *lab = load_example("examples/first.nest.yaml");
	const struct network *outer = lab_find_network(lab, "lab"), *inner = lab_find_network(lab, "hv1/inner");
	char text[PREFIX_TEXT_SIZE];

	assert_int_equal(lab->network_count, 2);
	assert_string_equal(prefix_format(&outer->subnet4, text), "192.168.122.0/24");
	assert_string_equal(prefix_format(&outer->subnet6, text), "fd00:122::/64");
	assert_ip(&outer->gateway4, "192.168.122.1");
	assert_ip(&outer->gateway6, "fd00:122::1");
	assert_int_equal(outer->uplink, UPLINK_NAT);
	assert_int_equal(inner->uplink, UPLINK_ROUTE);
	assert_int_equal(inner->mtu, 1500);
	assert_string_equal(inner->bridge, "inner");
	assert_ptr_equal(inner->owner->guest, lab_find_guest(lab, "hv1"));
	assert_ptr_equal(outer->owner, lab->root);
	assert_int_equal(outer->place.line, 5);
	assert_int_equal(outer->place.column, 3);
}

static void test_first_guests(void **state)
{
	cleanup_lab struct lab *lab = load_example("examples/first.nest.yaml");
	const struct guest *hv1 = lab_find_guest(lab, "hv1"), *a = lab_find_guest(lab, "hv1/a");

	assert_string_equal(lab->name, "first");
	assert_int_equal(lab->guest_count, 3);
	assert_int_equal(hv1->layer, 1);
	assert_int_equal(hv1->cpus, 2);
	assert_int_equal(hv1->memory, 1 << 30);
	assert_true(hv1->nested);
	assert_false(a->nested);
	assert_int_equal(a->layer, 2);
	assert_ptr_equal(a->parent, hv1->host);
	assert_null(a->host);
	assert_int_equal(a->index, 1);
	assert_int_equal(a->memory, 128 << 20);
	assert_string_equal(a->image, "micro");
	assert_string_equal(a->os, "linux");
	assert_int_equal(a->seed, SEED_NATIVE);
	assert_int_equal(a->nic_count, 1);
	assert_ip(&a->nics[0].address4, "192.168.124.91");
	assert_ip(&a->nics[0].address6, "fd00:124::91");
	assert_string_equal(a->nics[0].tap, "a-0");
	assert_ptr_equal(a->nics[0].network, lab_find_network(lab, "hv1/inner"));
	assert_ptr_equal(host_guest_towards(lab->root, a), hv1);
}

static void test_first_policy(void **state)
{
	cleanup_lab struct lab *lab = load_example("examples/first.nest.yaml");
	const struct policy *policy = &lab->policies[0];

	assert_true(lab->policy_count > 1);
	assert_int_equal(policy->verb, POLICY_ALLOW);
	assert_int_equal(policy->from.kind, ENDPOINT_L0);
	assert_int_equal(policy->to.kind, ENDPOINT_GUEST);
	assert_ptr_equal(policy->to.guest, lab_find_guest(lab, "hv1/a"));
	assert_int_equal(policy->ports[0].first, 22);
	assert_int_equal(policy->ports[0].protocol, IPPROTO_TCP);
	assert_string_equal(policy->text, "allow: {from: L0, to: hv1/a, port: 22/tcp}");
}

static void test_examples(void **state)
{
	cleanup_free char *pattern = source_path("examples/*.nest.yaml");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 4);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		cleanup_free char *name = NULL;
		cleanup_lab struct lab *lab = NULL;

		assert_true(asprintf(&name, "examples/%s", strrchr(found.gl_pathv[i], '/') + 1) > 0);
		lab = load_example(name);
		assert_true(lab->guest_count > 0);
	}
	globfree(&found);
}

static void test_defaults(void **state)
{
	cleanup_lab struct lab *lab =
		load_fine("lab: x\n"
			  "defaults: {image: debian-12, world: cut, cpu-overcommit: 2}\n"
			  "guests:\n"
			  "  a: {nics: []}\n"
			  "  b: {nics: [], image: micro, world: open}\n"
			  "  c: {nics: [], cpus: 2, memory: 4G, guests: {d: {nics: []}, e: {nics: [], cpus: 2}}}\n");

	assert_string_equal(lab_find_guest(lab, "a")->image, "debian-12");
	assert_int_equal(lab_find_guest(lab, "a")->memory, 1 << 30);
	assert_int_equal(lab_find_guest(lab, "a")->cpus, 1);
	assert_int_equal(lab_find_guest(lab, "a")->world, WORLD_CUT);
	assert_int_equal(lab_find_guest(lab, "b")->memory, 256 << 20);
	assert_int_equal(lab_find_guest(lab, "b")->world, WORLD_OPEN);
	assert_int_equal(lab_find_guest(lab, "c/d")->world, WORLD_CUT);
	assert_int_equal(lab_find_guest(lab, "c")->host->cpu_overcommit, 200);
}

static void test_images(void **state)
{
	cleanup_problems struct problems problems = {0};
	static const char text[] = "lab: x\nguests:\n"
				   "  a: {nics: [], image: disk.qcow2, ssh: {user: me, key: id}}\n"
				   "  b: {nics: [], image: ./disk.qcow2, os: windows-11, ssh: {key: ~/.ssh/id}}\n"
				   "  c: {nics: [], image: /srv/disk}\n"
				   "  d: {nics: [], image: ../up.img, seed: cloud-init}\n";
	struct lab *lab = NULL;

	assert_int_equal(config_load_text("/usr/./lab.nest.yaml", text, strlen(text), NULL, &problems, &lab, NULL), 0);
	assert_string_equal(lab_find_guest(lab, "a")->image, "/usr/disk.qcow2");
	assert_string_equal(lab_find_guest(lab, "a")->ssh_user, "me");
	assert_string_equal(lab_find_guest(lab, "a")->ssh_key, "/usr/id");
	assert_int_equal(lab_find_guest(lab, "a")->seed, SEED_AGENT);
	assert_string_equal(lab_find_guest(lab, "b")->image, "/usr/disk.qcow2");
	assert_string_equal(lab_find_guest(lab, "b")->ssh_key, "~/.ssh/id");
	assert_string_equal(lab_find_guest(lab, "b")->os, "windows-11");
	assert_string_equal(lab_find_guest(lab, "c")->image, "/srv/disk");
	assert_string_equal(lab_find_guest(lab, "d")->image, "/usr/../up.img");
	assert_int_equal(lab_find_guest(lab, "d")->seed, SEED_CLOUD_INIT);
	lab_free(lab);
}

static void test_mtu_defaults(void **state)
{
	cleanup_lab struct lab *lab =
		load_fine("lab: x\n"
			  "networks:\n"
			  "  n: {subnet: 10.0.0.0/24, mtu: 1400}\n"
			  "  big: {subnet: 10.0.9.0/24, mtu: 9000}\n"
			  "  v: {subnet: 10.0.1.0/24, vxlan: {id: 1, peers: [203.0.113.7]}}\n"
			  "  g: {subnet: 10.0.2.0/24, geneve: {id: 1, peers: [\"2001:db8::1\"], options: 8}}\n"
			  "guests:\n"
			  "  hv:\n"
			  "    nics: [{network: n, address: 10.0.0.2}, {network: big, address: 10.0.9.2}]\n"
			  "    networks:\n"
			  "      in: {subnet: 10.1.0.0/24}\n"
			  "      v: {subnet: 10.1.1.0/24, vxlan: {id: 1, peers: [203.0.113.7]}}\n"
			  "      near: {subnet: 10.1.2.0/24, vxlan: {id: 2, peers: [10.0.9.7]}}\n");

	assert_int_equal(lab_find_network(lab, "v")->mtu, 1450);
	assert_int_equal(lab_find_network(lab, "g")->mtu, 1422);
	assert_int_equal(lab_find_network(lab, "hv/in")->mtu, 1400);
	assert_int_equal(lab_find_network(lab, "hv/v")->mtu, 1350);
	assert_int_equal(lab_find_network(lab, "hv/near")->mtu, 1500); /* by the NIC in the peer's own subnet */
}

static void test_nic_by_default(void **state)
{
	cleanup_lab struct lab *lab = load_fine("lab: x\n"
						"networks: {n: {subnet: 10.0.0.0/24, dhcp: true}}\n"
						"guests: {a: {}, b: {nics: []}}\n");
	const struct guest *a = lab_find_guest(lab, "a");

	assert_int_equal(a->nic_count, 1);
	assert_ptr_equal(a->nics[0].network, lab_find_network(lab, "n"));
	assert_int_equal(a->nics[0].place.line, 3);
	assert_int_equal(lab_find_guest(lab, "b")->nic_count, 0);
}

static void test_publish(void **state)
{
	cleanup_lab struct lab *lab = load_fine("lab: x\nnetworks: {n: {subnet: 10.0.0.0/24, dhcp: true}}\n"
						"guests: {a: {tags: [one, two], publish: [22, 53/udp, {port: 3389/tcp, "
						"as: 13389, address: \"::\"}]}}\n");
	const struct guest *a = lab_find_guest(lab, "a");

	assert_int_equal(a->publish_count, 3);
	assert_int_equal(a->publish[0].port, 22);
	assert_int_equal(a->publish[0].as, 0);
	assert_int_equal(a->publish[0].protocol, IPPROTO_TCP);
	assert_int_equal(a->publish[1].protocol, IPPROTO_UDP);
	assert_int_equal(a->publish[2].as, 13389);
	assert_ip(&a->publish[2].address, "::");
	assert_int_equal(a->tag_count, 2);
	assert_string_equal(a->tags[1], "two");
}

/* ─── every key, out of the table ─── */

/* Where an object stands in a file, with %s for its keys. */
static const struct {
	const char *id, *text;
} templates[] = {
	{"lab", "%s\n"},
	{"defaults", "lab: x\ndefaults: {%s}\n"},
	{"network", "lab: x\nnetworks: {n: {%s}}\n"},
	{"dhcp", "lab: x\nnetworks: {n: {dhcp: {%s}}}\n"},
	{"vxlan", "lab: x\nnetworks: {n: {vxlan: {%s}}}\n"},
	{"geneve", "lab: x\nnetworks: {n: {geneve: {%s}}}\n"},
	{"guest", "lab: x\nguests: {g: {%s}}\n"},
	{"nic", "lab: x\nguests: {g: {nics: [{%s}]}}\n"},
	{"publish", "lab: x\nguests: {g: {publish: [{%s}]}}\n"},
	{"ssh", "lab: x\nguests: {g: {ssh: {%s}}}\n"},
	{"policy", "lab: x\npolicy: [{%s}]\n"},
	{"rule", "lab: x\npolicy: [{allow: {%s}}]\n"},
};

static char *in_template(const struct object *object, const char *key, const char *value)
{
	cleanup_strbuf struct strbuf pair = {0}, text = {0};

	strbuf_printf(&pair, "%s: %s", key, value);
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		const char *hole = strstr(templates[i].text, "%s");

		if (strcmp(templates[i].id, object->id) != 0)
			continue;
		strbuf_add_bytes(&text, templates[i].text, (size_t)(hole - templates[i].text));
		strbuf_add(&text, pair.text);
		strbuf_add(&text, hole + 2);
		return strbuf_steal(&text);
	}
	fail_msg("the object %s has no template", object->id);
	return NULL;
}

static void assert_did_you_mean(const struct object *object, const struct key *key, const char *misspelt)
{
	cleanup_free char *text = in_template(object, misspelt, key->example), *expected = NULL, *hint = NULL;
	cleanup_loaded struct loaded loaded = {0};

	assert_true(asprintf(&expected, "unknown key \"%s\"", misspelt) > 0);
	assert_true(asprintf(&hint, "did you mean \"%s\"?", key->name) > 0);
	load_text(&loaded, text);
	for (size_t i = 0; i < loaded.problems.count; i++) {
		const struct problem *problem = &loaded.problems.items[i];
		const char *line = text;

		if (!strstr(problem->message, expected))
			continue;
		assert_string_equal(problem->hint, hint);
		for (unsigned n = 1; n < problem->place.line; n++)
			line = strchr(line, '\n') + 1;
		assert_int_equal(strncmp(line + problem->place.column - 1, misspelt, strlen(misspelt)), 0);
		assert_int_equal(problem->width, strlen(misspelt));
		return;
	}
	fail_msg("\"%s\" was not refused in:\n%s\ngot:\n%s", misspelt, text, loaded.text.text);
}

/* Swaps two neighbours that differ; doubles, drops and replaces a letter in the middle. */
static void misspell_and_check(const struct object *object, const struct key *key)
{
	size_t length = strlen(key->name), middle = length / 2, at = 0;
	char word[64];

	while (key->name[at] == key->name[at + 1])
		at++;
	strcpy(word, key->name);
	word[at] = key->name[at + 1];
	word[at + 1] = key->name[at];
	assert_did_you_mean(object, key, word);
	sprintf(word, "%.*s%c%s", (int)middle, key->name, key->name[middle], key->name + middle);
	assert_did_you_mean(object, key, word);
	if (length < 4)
		return;
	sprintf(word, "%.*s%s", (int)middle, key->name, key->name + middle + 1);
	assert_did_you_mean(object, key, word);
	sprintf(word, "%.*sx%s", (int)middle, key->name, key->name + middle + 1);
	assert_did_you_mean(object, key, word);
}

static void test_every_key_misspelt(void **state)
{
	size_t checked = 0;

	for (const struct object *const *object = schema_objects; *object; object++)
		for (size_t i = 0; i < (*object)->key_count; i++)
			if (schema_is_public(*object, &(*object)->keys[i])) {
				misspell_and_check(*object, &(*object)->keys[i]);
				checked++;
			}
	assert_true(checked > 40);
}

/* The table's own examples and defaults are values that it accepts. */
static void test_every_example(void **state)
{
	for (const struct object *const *object = schema_objects; *object; object++)
		for (size_t i = 0; i < (*object)->key_count; i++) {
			const struct key *key = &(*object)->keys[i];
			cleanup_free char *text = NULL;
			cleanup_loaded struct loaded loaded = {0};

			if (!schema_is_public(*object, key))
				continue;
			text = in_template(*object, key->name, key->example);
			load_text(&loaded, text);
			if (strstr(loaded.text.text, "must be") || strstr(loaded.text.text, "unknown key") ||
			    strstr(loaded.text.text, "not YAML"))
				fail_msg("%s\nin:\n%s", loaded.text.text, text);
			assert_true(strlen(key->description) > 5);
		}
}

static void test_schema_has_every_key(void **state)
{
	cleanup_json json_t *schema = config_schema();
	cleanup_strbuf struct strbuf manual = {0};
	json_t *defs = json_object_get(schema, "$defs");

	config_manual(&manual);
	for (const struct object *const *object = schema_objects; *object; object++) {
		json_t *described = json_object_get(defs, (*object)->id), *properties;

		properties = json_object_get(described, "properties");
		assert_non_null(properties);
		assert_true(json_is_false(json_object_get(described, "additionalProperties")));
		for (size_t i = 0; i < (*object)->key_count; i++) {
			const struct key *key = &(*object)->keys[i];
			cleanup_free char *term = NULL;

			assert_int_equal(json_object_get(properties, key->name) != NULL,
					 schema_is_public(*object, key));
			if (!schema_is_public(*object, key))
				continue;
			assert_non_null(json_object_get(json_object_get(properties, key->name), "description"));
			assert_true(asprintf(&term, "*%s*", key->name) > 0);
			assert_non_null(strstr(manual.text, term));
		}
	}
	assert_null(strstr(manual.text, "image-id"));
}

static void test_manual_is_scdoc(void **state)
{
	static const char *const argv[] = {"scdoc", NULL};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_strbuf struct strbuf manual = {0};
	cleanup_free char *path = NULL;

	if (process_find("scdoc", "scdoc", &path, NULL) < 0)
		skip();
	config_manual(&manual);
	assert_int_equal(process_run(&spec, manual.text, manual.length, -1, NULL, &output, NULL), 0);
	assert_string_equal(output.err, "");
	assert_int_equal(output.status, 0);
	assert_true(output.out_length > 1000);
}

/* ─── hostile files ─── */

static char *repeat(const char *start, const char *piece, size_t count, size_t *ret_length)
{
	struct strbuf text = {0};

	strbuf_add(&text, start);
	for (size_t i = 0; i < count; i++)
		strbuf_add(&text, piece);
	*ret_length = text.length;
	return strbuf_steal(&text);
}

static void assert_refused(const char *text, size_t length, const char *message)
{
	cleanup_loaded struct loaded loaded = {0};

	load_bytes(&loaded, "test", text, length, NULL);
	if (loaded.r == 0 || !strstr(loaded.text.text, message))
		fail_msg("expected \"%s\", got:\n%.2000s", message, loaded.text.text);
	assert_true(loaded.text.length < 200000); /* whatever the file's size, a person can read what is said */
}

static void test_empty(void **state)
{
	assert_refused("", 0, "the file is empty");
	assert_refused("\n\n  \n", 5, "the file is empty");
	assert_refused("---\n...\n", 8, "the file is empty");
	assert_refused("~", 1, "the file is empty");
}

static void test_binary(void **state)
{
	char bytes[4096];
	uint32_t random = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (char)(random >> 24);
	}
	assert_refused(bytes, sizeof(bytes), "this is not a text file");
	assert_refused("\x7f"
		       "ELF\x02\x01\x01\0\0\0",
		       10, "this is not a text file");
	assert_refused("lab: x\0y\n", 9, "test:1:7: error: this is not a text file");
	assert_refused("\xff\xfel\0a\0b\0", 8, "UTF-16");
}

static void test_ten_megabytes(void **state)
{
	static const struct {
		const char *start, *piece, *message;
	} files[] = {
		{"", "aaaaaaaaaa", "must be a map"},
		{"", "a: 1\n", "there are more"},
		{"lab: x\nguests: {a: {tags: [", "[", "more than 200 levels"},
		{"lab: x\nguests:\n", " - a\n", "must be a map of names"},
		{"lab: x\npolicy:\n", " - deny: {from: a, to: b}\n", "there are more"},
		{"lab: x\nguests: {g: {nics: [], publish: [", "22,", "not YAML"},
		{"", "#aaaaaaaaa\n", "the file is empty"},
		{"lab: ", "&a ", "not YAML"},
		{"", "\xff\xff\xff\xff", "not a text file"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t length;
		cleanup_free char *text =
			repeat(files[i].start, files[i].piece, 10000000 / strlen(files[i].piece), &length);

		assert_refused(text, length, files[i].message);
	}
}

static void test_too_large(void **state)
{
	size_t length;
	cleanup_free char *text = repeat("lab: x\n", "################################################################",
					 (64 << 20) / 64, &length);

	assert_refused(text, length, "larger than 64 MiB");
}

static void test_aliases(void **state)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_loaded struct loaded loaded = {0};
	size_t said = 0;

	strbuf_add(&text, "lab: x\ndefaults: &a0 {cpus: 1}\n");
	for (int i = 1; i < 1000; i++)
		strbuf_printf(&text, "k%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1);
	load_bytes(&loaded, "test", text.text, text.length, NULL);
	for (size_t i = 0; i < loaded.problems.count; i++)
		said += strstr(loaded.problems.items[i].message, "anchors and aliases") != NULL;
	assert_int_equal(said, 1); /* once, however many there are */
}

static void test_many_problems_are_cut(void **state)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_loaded struct loaded loaded = {0};

	strbuf_add(&text, "lab: x\nguests:\n");
	for (int i = 0; i < 5000; i++)
		strbuf_printf(&text, "  g%d: {cpus: none, nisc: []}\n", i);
	load_bytes(&loaded, "test", text.text, text.length, NULL);
	assert_true(loaded.problems.errors > 100 && loaded.problems.errors < 300);
	assert_int_equal(loaded.problems.items[0].place.line, 3);
	assert_non_null(strstr(loaded.problems.items[loaded.problems.count - 1].message, "there are more"));
}

static void test_hostile_names(void **state)
{
	static const char *const names[] = {"../x", "..",  ".",	   "a b", "it's", "a\\\"b", "$(x)", "`x`",
					    "a;b",  "-rf", "/etc", "a/b", "A",	  "é",	    ""};
	char name[301];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cleanup_free char *lab = NULL, *guest = NULL, *network = NULL;

		assert_true(asprintf(&lab, "lab: \"%s\"\n", names[i]) > 0);
		assert_error(lab, "is not a name");
		assert_true(asprintf(&guest, "lab: x\nguests: {\"%s\": {nics: []}}\n", names[i]) > 0);
		assert_error(guest, "is not a name");
		assert_true(asprintf(&network, "lab: x\nnetworks: {\"%s\": {subnet: 10.0.0.0/24}}\n", names[i]) > 0);
		assert_error(network, "is not a name");
	}
	memset(name, 'x', 300);
	name[300] = '\0';
	{
		cleanup_free char *lab = NULL, *guest = NULL;

		assert_true(asprintf(&lab, "lab: %s\n", name) > 0);
		assert_error(lab, "has 300 characters; a name has at most 40");
		assert_true(asprintf(&guest, "lab: x\nguests: {%s: {nics: []}}\n", name) > 0);
		assert_error(guest, "has 300 characters");
	}
	name[40] = '\0';
	{
		cleanup_free char *lab = NULL;

		assert_true(asprintf(&lab, "lab: %s\n", name) > 0);
		lab_free(load_fine(lab));
	}
}

/* ─── finding the file ─── */

static void make_file(const char *folder, const char *name)
{
	cleanup_free char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	assert_int_equal(file_write_atomic(path, "lab: x\n", 7, 0600, NULL), 0);
}

static void test_find(void **state)
{
	char folder[] = "/tmp/nestvisor-test-config.XXXXXX";
	cleanup_free char *before = getcwd(NULL, 0), *found = NULL;
	cleanup_error struct error *none = NULL, *several = NULL;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(config_find(&found, &none), -ENOENT);
	make_file(folder, "other.yaml");
	make_file(folder, ".hidden.nest.yaml");
	make_file(folder, "one.nest.yaml");
	assert_int_equal(config_find(&found, NULL), 0);
	assert_string_equal(found, "one.nest.yaml");
	make_file(folder, "two.nest.yaml");
	free(steal_pointer(&found));
	assert_int_equal(config_find(&found, &several), -ENOTUNIQ);
	assert_non_null(strstr(several->message, "one.nest.yaml, two.nest.yaml"));
	assert_int_equal(chdir(before), 0);
	assert_int_equal(dir_remove(folder, NULL), 0);
}

static void test_missing_file(void **state)
{
	cleanup_problems struct problems problems = {0};
	cleanup_error struct error *err = NULL;
	struct lab *lab;

	assert_int_equal(config_load("/nowhere/x.nest.yaml", NULL, &problems, &lab, &err), -ENOENT);
	assert_null(lab);
	assert_int_equal(problems.count, 0);
	assert_non_null(strstr(err->message, "/nowhere/x.nest.yaml"));
}

static const char *nearest(const char *word, const char *one, const char *other)
{
	struct spelling spelling = {.word = word};

	spelling_try_path(&spelling, one);
	spelling_try_path(&spelling, other);
	return spelling.best ? spelling.best : "";
}

static void test_spelling(void **state)
{
	assert_string_equal(nearest("memroy", "memory", "cpus"), "memory");
	assert_string_equal(nearest("meomry", "cpus", "memory"), "memory");
	assert_string_equal(nearest("os", "to", "as"),
			    "as"); /* the nearer; "to" has no letter in common where it should */
	assert_string_equal(nearest("xyz", "abc", "cpus"), "");
	assert_string_equal(nearest("ab", "xy", ""), "");
	assert_string_equal(nearest("win11", "hv1/a", "hv1/win11"), "hv1/win11");
	assert_string_equal(nearest("", "a", "b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_problems_are_safe),
		cmocka_unit_test(test_first_networks),
		cmocka_unit_test(test_first_guests),
		cmocka_unit_test(test_first_policy),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_mtu_defaults),
		cmocka_unit_test(test_nic_by_default),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_every_key_misspelt),
		cmocka_unit_test(test_every_example),
		cmocka_unit_test(test_schema_has_every_key),
		cmocka_unit_test(test_manual_is_scdoc),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_ten_megabytes),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_many_problems_are_cut),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
