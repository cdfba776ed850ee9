/* Labs on several machines: what each of them is told, and what the home makes of it. */
#include "apply/machines.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "config/config.h"
#include "plan/state.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_load.h"

static const char text[] =
	"lab: spread\n"
	"driver: libvirt\n"
	"hosts:\n"
	"  right: {uri: 'ssh://admin@10.0.0.2:2222', address: 10.0.0.2, home: 10.0.0.1}\n"
	"  third: {uri: 'qemu+ssh://root@h/system', address: 10.0.0.3, home: 10.0.0.1}\n"
	"networks:\n"
	"  lab: {subnet: 192.168.140.0/24, vxlan: {id: 77}}\n"
	"  here: {subnet: 192.168.141.0/24}\n"
	"guests:\n"
	"  a: {nics: [{network: lab, address: 192.168.140.11}, {network: here, address: 192.168.141.11}]}\n"
	"  b: {placement: right, cpu-overcommit: 2, memory: 1G,\n"
	"      nics: [{network: lab, address: 192.168.140.12}],\n"
	"      guests: {x: {nics: [], memory: 128M}}}\n"
	"  c: {placement: third, apart: b, nics: [{network: lab, address: 192.168.140.13}], publish: [22]}\n"
	"policy:\n"
	"  - allow: {from: a, to: b}\n";

static struct lab *load_part(struct loaded *loaded, const struct lab *lab, const struct host *host)
{
	cleanup_json json_t *part = config_part(lab, host);
	cleanup_free char *json = json_text(part);

	load_text(loaded, json);
	assert_string_equal(loaded->text.text ? loaded->text.text : "", "");
	assert_non_null(loaded->lab);
	return loaded->lab;
}

static void assert_ip(const struct ip *ip, const char *expected)
{
	char is[IP_TEXT_SIZE];

	assert_string_equal(ip_format(ip, is), expected);
}

static void test_uris(void **state)
{
	cleanup_loaded struct loaded loaded = {0};
	const struct lab *lab;

	load_text(&loaded, text);
	lab = loaded.lab;
	assert_int_equal(lab->machine_count, 2);
	assert_string_equal(lab->machines[0]->ssh_host, "10.0.0.2");
	assert_string_equal(lab->machines[0]->guest->ssh_user, "admin");
	assert_int_equal(lab->machines[0]->ssh_port, 2222);
	assert_null(lab->machines[0]->libvirt);
	assert_string_equal(lab->machines[1]->ssh_host, "h");
	assert_string_equal(lab->machines[1]->libvirt, "qemu:///system");
}

/* The driver follows the machine; the lab's own is that of L0. */
static void test_drivers(void **state)
{
	cleanup_loaded struct loaded loaded = {0};

	load_text(&loaded, text);
	assert_string_equal(lab_find_guest(loaded.lab, "a")->libvirt, "qemu:///system");
	assert_null(lab_find_guest(loaded.lab, "b")->libvirt);
	assert_string_equal(lab_find_guest(loaded.lab, "c")->libvirt, "qemu:///system");
	assert_null(lab_find_guest(loaded.lab, "b/x")->machine);
	assert_string_equal(guest_machine_name(lab_find_guest(loaded.lab, "b/x")), "right");
	assert_true(host_has(loaded.lab->machines[0]->guest->host, lab_find_guest(loaded.lab, "b/x")));
	assert_false(host_has(loaded.lab->machines[1]->guest->host, lab_find_guest(loaded.lab, "b/x")));
}

static void test_tunnels_of_home(void **state)
{
	cleanup_loaded struct loaded loaded = {0};
	const struct network *network;

	load_text(&loaded, text);
	network = lab_find_network(loaded.lab, "lab");
	assert_int_equal(network->encapsulation, ENCAP_VXLAN);
	assert_int_equal(network->vni, 77);
	assert_int_equal(network->peer_count, 2);
	assert_ip(&network->peers[0], "10.0.0.2");
	assert_int_equal(network->far_count, 2);
	assert_string_equal(network->far[1].guest->path, "c");
	assert_ip(&network->far[1].machine, "10.0.0.3");
	assert_true(network_is_home(network));
	network = lab_find_network(loaded.lab, "here");
	assert_int_equal(network->encapsulation, ENCAP_NONE);
	assert_false(network_is_stretched(network));
}

static void test_part(void **state)
{
	cleanup_loaded struct loaded loaded = {0}, told = {0};
	const struct lab *part;
	const struct network *network;
	const struct guest *guest, *whole;

	load_text(&loaded, text);
	part = load_part(&told, loaded.lab, loaded.lab->machines[1]->guest->host);
	assert_string_equal(part->here, "third");
	assert_int_equal(part->root->layer, 0);
	assert_string_equal(part->root->path, "");
	assert_int_equal(part->guest_count, 1);
	assert_int_equal(part->policy_count, 0);
	assert_int_equal(part->network_count, 1); /* nobody there is on the other */
	guest = part->guests[0];
	whole = lab_find_guest(loaded.lab, "c");
	assert_string_equal(guest->path, "c");
	assert_string_equal(guest->id, whole->id);
	assert_memory_equal(guest->nics[0].mac, whole->nics[0].mac, 6);
	assert_string_equal(guest->libvirt, "qemu:///system");
	assert_null(guest->machine);
	assert_int_equal(guest->publish_count, 1);
	network = part->networks[0];
	assert_false(network_is_home(network));
	assert_ip(&network->home, "10.0.0.1");
	assert_int_equal(network->vni, 77);
	assert_int_equal(network->peer_count, 2); /* home, and right */
	assert_int_equal(network->far_count, 2);
	assert_ip(&network->far[0].machine, "10.0.0.1");
	assert_ip(&network->far[0].address4, "192.168.140.11");
	assert_ip(&network->far[1].machine, "10.0.0.2");
	assert_int_equal(network->mtu, lab_find_network(loaded.lab, "lab")->mtu);
}

/* What is kept of the whole lab says the same again, and where each guest runs. */
static void test_whole(void **state)
{
	cleanup_loaded struct loaded loaded = {0}, again = {0};
	cleanup_json json_t *first = NULL, *second = NULL;
	const struct lab *lab;

	load_text(&loaded, text);
	lab = load_part(&again, loaded.lab, loaded.lab->root);
	first = config_part(loaded.lab, loaded.lab->root);
	second = config_part(lab, lab->root);
	assert_true(lab_find_guest(lab, "c")->machine == lab->machines[1]);
	assert_int_equal(lab_find_guest(lab, "c")->apart_count, 1);
	json_object_del(json_object_get(json_object_get(first, "guests"), "a"), "placement");
	json_object_del(json_object_get(json_object_get(second, "guests"), "a"), "placement");
	assert_true(json_equal(first, second));
}

/* ─── what outlasts a reboot ─── */

static void make_folders(struct arena *arena, struct folders *ret)
{
	char *root = arena_strdup(arena, "/tmp/test_machines.XXXXXX");

	assert_non_null(mkdtemp(root));
	setenv("NESTVISOR_RUN_DIR", arena_printf(arena, "%s/run", root), 1);
	setenv("NESTVISOR_STATE_DIR", arena_printf(arena, "%s/state", root), 1);
	assert_int_equal(folders_of(arena, "spread", ret, NULL), 0);
	assert_int_equal(folders_make(ret, NULL), 0);
}

static void remove_folders(const struct folders *folders)
{
	cleanup_free char *root = strdup(folders->run);

	*strstr(root, "/run/") = '\0';
	assert_int_equal(dir_remove(root, NULL), 0);
}

static void test_reboot(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *resources = NULL, *whole = NULL;
	cleanup_state struct state *known = NULL;
	cleanup_lab struct lab *applied = NULL, *kept = NULL;
	cleanup_loaded struct loaded loaded = {0};
	struct folders folders;

	make_folders(arena, &folders);
	load_text(&loaded, text);
	whole = config_part(loaded.lab, loaded.lab->root);
	resources =
		json_pack("{s:o, s:{s:s}, s:{}}", "machine:right", machines_state(loaded.lab, loaded.lab->machines[0]),
			  "guest:b", "machine", "right", "guest:a");
	assert_int_equal(machines_keep(&folders, whole, resources, NULL), 0);

	/* While the lab is there the state says all. */
	assert_int_equal(file_write_atomic(folders.lab_file, "{}", 2, 0600, NULL), 0);
	assert_int_equal(state_open(folders.run, &known, NULL), 0);
	assert_int_equal(machines_recall(&folders, known, NULL), 0);
	assert_null(state_get(known, "machine:right"));

	assert_int_equal(dir_remove(folders.run, NULL), 0);
	assert_int_equal(machines_recall(&folders, known, NULL), 0);
	assert_null(state_get(known, "guest:a"));
	assert_string_equal(json_get_string(state_get(known, "guest:b"), "machine", ""), "right");
	assert_int_equal(machines_load_kept("spread", "right", state_get(known, "machine:right"), &kept, NULL), 0);
	assert_string_equal(kept->machines[0]->ssh_host, "10.0.0.2");
	assert_int_equal(kept->machines[0]->ssh_port, 2222);
	assert_int_equal(machines_load_hosts(&folders, &applied, NULL), 0);
	assert_string_equal(guest_machine_name(lab_find_guest(applied, "c")), "third");
	remove_folders(&folders);
}

static void test_same(void **state)
{
	assert_true(machines_same("before 1234", "after 1234"));
	assert_false(machines_same("name 1234", "name 1235"));
	assert_true(machines_same("name ", "name "));
	assert_false(machines_same("name ", "other "));
	assert_false(machines_same("name ", "name 1234"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uris), cmocka_unit_test(test_drivers), cmocka_unit_test(test_tunnels_of_home),
		cmocka_unit_test(test_part), cmocka_unit_test(test_whole),   cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
