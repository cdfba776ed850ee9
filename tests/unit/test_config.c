/*
 * config/: golden files of problems (tests/golden/config), the model of the examples, finding the file.
 * NESTVISOR_GOLDEN=write writes the golden files anew.
 */
#include "base/file.h"

#include <glob.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "config_load.h"

enum { MOST_ROUTES = 8 };

static char *source_path(const char *name)
{
	const char *slash = strrchr(__FILE__, '/');
	char *path;

	assert_non_null(slash);
	assert_true(asprintf(&path, "%.*s/../../%s", (int)(slash - __FILE__), __FILE__, name) > 0);
	return path;
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
	cleanup_lab struct lab *lab = load_fine("lab: x\nnetworks: {n: {subnet: [10.0.0.0/24, \"fd00::/64\"], dhcp: true}}\n"
						"guests: {a: {nics: [{network: n, address: [10.0.0.5, \"fd00::5\"]}], "
						"tags: [one, two], publish: [22, 53/udp, {port: 3389/tcp, "
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	       cmocka_unit_test(test_problems_are_safe),
		cmocka_unit_test(test_first_networks), cmocka_unit_test(test_first_guests),
		cmocka_unit_test(test_first_policy),   cmocka_unit_test(test_examples),
		cmocka_unit_test(test_defaults),       cmocka_unit_test(test_images),
		cmocka_unit_test(test_mtu_defaults),   cmocka_unit_test(test_nic_by_default),
		cmocka_unit_test(test_publish),	       cmocka_unit_test(test_find),
		cmocka_unit_test(test_missing_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
