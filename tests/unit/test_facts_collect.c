/*
 * facts/: what is collected of a host. The script runs here, under every shell there is; its stream is cut off
 * everywhere; what comes of it says the same as asking this machine directly.
 */
#include "facts_check.h"

#include "base/process.h"
#include "base/tar.h"
#include "facts/collection.h"
#include "facts/files.h"
#include "facts/live.h"
#include "facts/recognise.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct selection everything;

/* All that the tests write; it goes also where one of them fails. */
static char scratch[] = "/tmp/nestvisor-test-collect.XXXXXX";

static int make_scratch(void **state)
{
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	return dir_remove(scratch, NULL);
}

/* A new folder there, to be freed. */
static char *new_folder(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", scratch, name) > 0);
	assert_int_equal(mkdir(path, 0700), 0);
	return path;
}

/* One run of the script here. */
struct run {
	const struct selection *selection; /* NULL: everything */
	char word[SCRIPT_WORD_SIZE];
	struct process_output output;
	struct arena *arena;
	struct collection collection;
};

static void run_clear(struct run *run)
{
	process_output_clear(&run->output);
	arena_free(run->arena);
}
#define cleanup_run __attribute__((cleanup(run_clear)))

static void parse(struct run *run, size_t length, struct collection *ret)
{
	struct collection_input input = {.host = "here",
					 .word = run->word,
					 .selection = run->selection ? run->selection : &everything,
					 .out = run->output.out,
					 .out_length = length,
					 .err = run->output.err,
					 .err_length = run->output.err_length};
	cleanup_error struct error *err = NULL;

	if (collection_parse(run->arena, &input, ret, &err) < 0)
		fail_msg("%s", err->message);
}

/* With this argv as the shell, and PATH where it is not NULL. */
static void run_script(struct run *run, const char *const *argv, const char *path)
{
	const char *env[] = {path, NULL};
	struct process_spec spec = {
		.argv = argv, .env = path ? env : NULL, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_strbuf struct strbuf script = {0};
	cleanup_error struct error *err = NULL;

	script_word(run->word);
	script_write(&script, run->word, run->selection ? run->selection : &everything);
	if (process_run(&spec, script.text, script.length, 60000, NULL, &run->output, &err) < 0)
		fail_msg("%s", err->message);
	assert_int_equal(run->output.status, 0);
	run->arena = arena_new();
	parse(run, run->output.out_length, &run->collection);
}

static const struct item *item(const struct collection *collection, const char *name)
{
	for (size_t i = 0; i < collection->item_count; i++)
		if (strcmp(collection->items[i].source->name, name) == 0)
			return &collection->items[i];
	fail_msg("%s is not collected", name);
	return NULL;
}

static bool has_program(const char *name)
{
	cleanup_free char *path = NULL;

	return process_find(name, name, &path, NULL) == 0;
}

/* Each source has a name that is recognised without looking at the text, and something to read. */
static void test_table(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct pool pool = {.arena = arena};
	struct recognised recognised;
	size_t count;
	const struct source *sources = source_table(&count);

	assert_true(count > 50);
	for (size_t i = 0; i < count; i++) {
		const struct source *source = &sources[i];

		assert_ptr_equal(source_find(source->name), source); /* no name is given twice */
		if (!(source->flags & SOURCE_BATCH) &&
		    (!recognise_name(&pool, span_of(source->name), &recognised) || !recognised.format))
			fail_msg("%s is not recognised", source->name);
		assert_true(source->limit > 0 && *source->purpose && *source->group);
		assert_true(source->files || source->command);
		assert_int_equal(source->form == SOURCE_COMMAND,
				 source->command != NULL && source->form != SOURCE_TEXT);
		for (const char *path = source->files; path; path = strchr(path, ' ')) {
			path += *path == ' ';
			assert_int_equal(*path, '/');
		}
	}
	assert_null(source_find("nothing"));
}

static void check_run(const struct run *run)
{
	struct utsname system;

	uname(&system);
	assert_true(run->collection.complete);
	for (size_t i = 0; i < run->collection.item_count; i++) {
		const struct item *each = &run->collection.items[i];

		if (each->state == ITEM_NOT_REACHED)
			fail_msg("%s was not reached", each->source->name);
		/* Only what needs root may fail. */
		if (each->state == ITEM_FAILED && (geteuid() == 0 || !strstr(each->source->group, "firewall")))
			fail_msg("%s: %s", each->source->name, each->why);
		assert_true(each->state == ITEM_TAKEN || each->why);
		if (each->partial)
			fail_msg("%s: %s", each->source->name, each->why);
	}
	assert_non_null(strstr(item(&run->collection, "uname.txt")->text, system.release));
	assert_non_null(strstr(item(&run->collection, "proc-meminfo.txt")->text, "MemTotal:"));
	assert_non_null(strstr(item(&run->collection, "sysctl-net.txt")->text, "/proc/sys/net/ipv4/ip_forward:"));
	assert_non_null(strstr(item(&run->collection, "ls-l.txt")->text, "/dev/kvm"));
	assert_non_null(strstr(item(&run->collection, "getent-passwd.txt")->text, "root:x:0:0\n"));
	assert_null(strstr(item(&run->collection, "getent-passwd.txt")->text, "/bin/"));
	assert_non_null(strstr(item(&run->collection, "id.txt")->text, "uid="));
}

/* Lines that nobody understands would be facts that are lost. */
static void check_understood(const struct run *run)
{
	cleanup_bundle struct bundle *bundle = collections_bundle(&run->collection, 1);
	const struct facts *facts = bundle->hosts[0];

	assert_int_equal(bundle->host_count, 1);
	assert_string_equal(facts->name, "here");
	for (size_t i = 0; i < facts->capture_count; i++)
		if (facts->captures[i].ignored)
			fail_msg("%s: %u lines were not understood", facts->captures[i].source,
				 facts->captures[i].ignored);
	assert_true(facts->links_known == TRUTH_YES || !has_program("ip"));
	assert_int_equal(facts->users_known, TRUTH_YES);
	assert_true(facts->processor.threads.value > 0);
	assert_non_null(facts->caller.user);
	assert_non_null(facts_node(facts, "/dev/kvm"));
	assert_non_null(facts_program(facts, "ip"));
	assert_string_equal(facts_sysctl_entry(facts, "net.ipv4.ip_forward")->origin.source,
			    "hosts/here/sysctl-net.txt");
}

static void test_shells(void **state)
{
	static const char *const shells[] = {"sh", "dash", "bash"};

	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		const char *argv[] = {shells[i], NULL};
		cleanup_run struct run run = {0};

		if (!has_program(shells[i])) {
			print_message("no %s here\n", shells[i]);
			continue;
		}
		run_script(&run, argv, NULL);
		check_run(&run);
		check_understood(&run);
	}
}

/* With no tools but busybox's, as in the smallest guests. NESTVISOR_BUSYBOX says where it is, else PATH. */
static void test_busybox(void **state)
{
	cleanup_free char *found = NULL, *path = NULL, *folder = NULL;
	const char *busybox = getenv("NESTVISOR_BUSYBOX");
	cleanup_run struct run run = {0};
	cleanup_error struct error *err = NULL;

	if (!busybox && process_find("busybox", "busybox", &found, NULL) < 0) {
		print_message("no busybox here\n");
		return;
	}
	busybox = busybox ? busybox : found;
	folder = new_folder("busybox");
	{
		/* `--install -s` links to /proc/self/exe's path: works wherever the program is. */
		const char *make[] = {busybox, "--install", "-s", folder, NULL};
		const char *argv[] = {busybox, "ash", NULL};

		if (process_must(make, NULL, &err) < 0)
			fail_msg("%s", err->message);
		/* The script adds the usual folders behind it; its own tools come first. */
		assert_true(asprintf(&path, "PATH=%s", folder) > 0);
		run_script(&run, argv, path);
	}
	check_run(&run);
	check_understood(&run);
}

/* Wherever the connection ends, what came before is whole, and it is said that there is no more. */
static void test_cut_off(void **state)
{
	static const char *const argv[] = {"sh", NULL};
	cleanup_run struct run run = {0};
	size_t step = 1000;

	run_script(&run, argv, NULL);
	for (size_t length = step; length < run.output.out_length; length += step) {
		struct collection part;
		size_t partial = 0, not_reached = 0;
		cleanup_bundle struct bundle *bundle = NULL;

		parse(&run, length, &part);
		assert_false(part.complete);
		assert_int_equal(part.item_count, run.collection.item_count);
		for (size_t i = 0; i < part.item_count; i++) {
			const struct item *whole = &run.collection.items[i], *got = &part.items[i];

			not_reached += got->state == ITEM_NOT_REACHED;
			partial += got->partial;
			if (!got->text)
				continue;
			assert_true(got->length <= whole->length);
			assert_memory_equal(got->text, whole->text, got->length);
			assert_true(got->partial || got->length == whole->length);
			assert_true(!got->partial || got->length == 0 || got->text[got->length - 1] == '\n');
		}
		assert_true(partial <= 1);
		bundle = collections_bundle(&part, 1);
		assert_non_null(
			strstr(bundle->hosts[0]->notes[bundle->hosts[0]->note_count - 1].text, "the connection ended"));
	}
}

static void parse_text(struct arena *arena, const char *out, const char *errors, struct collection *ret)
{
	static const struct selection some = {};
	struct collection_input input = {.host = "h",
					 .word = "W",
					 .selection = &some,
					 .out = out,
					 .out_length = strlen(out),
					 .err = errors,
					 .err_length = strlen(errors)};
	cleanup_error struct error *err = NULL;

	if (collection_parse(arena, &input, ret, &err) < 0)
		fail_msg("%s", err->message);
}

static void test_stream(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct collection got;
	cleanup_bundle struct bundle *bundle = NULL;

	/* a login shell's greeting, content with and without a newline at its end, words that only look like marks */
	parse_text(
		arena,
		"Welcome!\n\nW begin uname.txt\nLinux h 6.1 #1 x86_64 GNU/Linux\n\nW end uname.txt 0\n"
		"\nW begin proc-cmdline.txt\nquiet\nW begins nothing\nW end\nxW begin id.txt\nW end proc-cmdline.txt "
		"0\n"
		"\nW missing bridge-fdb.txt bridge\n"
		"\nW begin iptables-nft-save.txt\n\nW end iptables-nft-save.txt 4\n"
		"\nW begin nft-a-list-ruleset.txt\ntable ip t {\n}\ncut here\nW begin ip-rule.txt\n\nW end ip-rule.txt "
		"0\n"
		"\nW begin conntrack.txt\n\nW end conntrack.txt 0\n"
		"\nW begin wsl.conf\n\nW end wsl.conf 124\n\nW begin iptables-save.txt\n\nW end iptables-save.txt 125\n"
		"\nW done\n",
		"\nW uname.txt\n\nW iptables-nft-save.txt\n\niptables: Permission denied\nmore\n\nW ip-rule.txt\n",
		&got);
	assert_true(got.complete);
	assert_string_equal(item(&got, "uname.txt")->text, "Linux h 6.1 #1 x86_64 GNU/Linux\n");
	assert_int_equal(item(&got, "bridge-fdb.txt")->state, ITEM_MISSING);
	assert_string_equal(item(&got, "bridge-fdb.txt")->why, "there is no program bridge");
	assert_int_equal(item(&got, "iptables-nft-save.txt")->state, ITEM_FAILED);
	assert_null(item(&got, "iptables-nft-save.txt")->text);
	assert_string_equal(item(&got, "iptables-nft-save.txt")->why, "iptables: Permission denied (exit status 4)");
	assert_true(item(&got, "nft-a-list-ruleset.txt")->partial);
	assert_string_equal(item(&got, "nft-a-list-ruleset.txt")->text, "table ip t {\n}\n");
	assert_int_equal(item(&got, "conntrack.txt")->state, ITEM_TAKEN);
	assert_int_equal(item(&got, "wsl.conf")->state, ITEM_ABSENT);
	assert_int_equal(item(&got, "ip-6-rule.txt")->state, ITEM_NOT_REACHED);
	bundle = collections_bundle(&got, 1);
	/* what failed is unknown, what printed nothing is known to be nothing, what was cut off is known in part */
	assert_false(ruleset_covers(&bundle->hosts[0]->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_int_equal(facts_connections_known(bundle->hosts[0]), TRUTH_YES);
	assert_false(ruleset_covers(&bundle->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_IP, "other"));
	assert_int_equal(bundle->hosts[0]->ruleset.table_count, 1);
	assert_int_equal(bundle->hosts[0]->ruleset.tables[0].whole, TRUTH_NO);
}

static void test_no_answer(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct collection got;
	struct collection_input input = {.host = "h",
					 .word = "W",
					 .selection = &everything,
					 .out = "bash: sh: command not found",
					 .out_length = 5,
					 .err = "\nsh: not found\n",
					 .err_length = 15};

	assert_int_equal(collection_parse(arena, &input, &got, &err), -EPROTO);
	assert_string_equal(err->message, "h did not answer: sh: not found");
}

/* Writes a collection as `nestvisor capture` does. */
static char *write_bundle(const struct collection *collection)
{
	cleanup_json json_t *manifest = collection_manifest(collection);
	cleanup_free char *text = json_dumps(manifest, 0);
	cleanup_strbuf struct strbuf out = {0};
	char *path;
	char name[256];

	for (size_t i = 0; i < collection->item_count; i++) {
		const struct item *each = &collection->items[i];

		snprintf(name, sizeof(name), "hosts/%s/%s", collection->host, each->source->name);
		if (each->text)
			assert_int_equal(tar_add(&out, name, each->text, each->length, 0600, 0, NULL), 0);
	}
	snprintf(name, sizeof(name), "hosts/%s/%s", collection->host, MANIFEST_NAME);
	assert_int_equal(tar_add(&out, name, text, strlen(text), 0600, 0, NULL), 0);
	tar_end(&out);
	assert_true(asprintf(&path, "%s/bundle.tar", scratch) > 0);
	assert_int_equal(file_write_atomic(path, out.text, out.length, 0600, NULL), 0);
	return path;
}

/* A bundle on disk says what the collection says that it was made of. */
static void test_bundle_again(void **state)
{
	static const char *const argv[] = {"sh", NULL};
	cleanup_bundle struct bundle *direct = NULL, *again = NULL;
	cleanup_run struct run run = {0};
	cleanup_free char *path = NULL;
	struct collection part;

	run_script(&run, argv, NULL);
	/* also of one that was cut off */
	parse(&run, run.output.out_length / 2, &part);
	for (int i = 0; i < 2; i++) {
		const struct collection *collection = i ? &part : &run.collection;

		free(path);
		path = write_bundle(collection);
		bundle_free(direct);
		bundle_free(again);
		direct = collections_bundle(collection, 1);
		again = load(path);
		assert_int_equal(again->host_count, 1);
		assert_string_equal(again->hosts[0]->name, "here");
		assert_int_equal(again->hosts[0]->capture_count, direct->hosts[0]->capture_count);
		assert_int_equal(again->hosts[0]->link_count, direct->hosts[0]->link_count);
		assert_int_equal(again->hosts[0]->sysctl_count, direct->hosts[0]->sysctl_count);
		assert_int_equal(again->hosts[0]->attribute_count, direct->hosts[0]->attribute_count);
		assert_int_equal(again->hosts[0]->note_count, direct->hosts[0]->note_count);
	}
}

/* Values that change by themselves between two looks. */
static bool is_volatile(const char *path)
{
	static const char *const parts[] = {"uptime", "loadavg", "pressure", "meminfo",	 "temp",
					    "fan",    "free",	 "current",  "throttle", "nf_conntrack_count",
					    "aio-nr", "pages",	 "scan",     "ksm"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(path, parts[i]))
			return true;
	return false;
}

static void compare_links(const struct facts *captured, const struct facts *live)
{
	assert_int_equal(captured->link_count, live->link_count);
	for (size_t i = 0; i < captured->link_count; i++) {
		const struct link *a = &captured->links[i], *b = facts_link(live, a->name);

		assert_non_null(b);
		assert_int_equal(a->index.value, b->index.value);
		assert_int_equal(a->mtu.value, b->mtu.value);
		assert_int_equal(a->up, b->up);
		if (a->mac.known && b->mac.known)
			assert_memory_equal(a->mac.bytes, b->mac.bytes, 6);
		assert_int_equal(a->address_count, b->address_count);
		if (a->master && b->master)
			assert_string_equal(a->master, b->master);
		if (a->kind && b->kind)
			assert_string_equal(a->kind, b->kind);
	}
}

static void compare_values(const struct facts *captured, const struct facts *live)
{
	size_t compared = 0;

	for (size_t i = 0; i < captured->sysctl_count; i++) {
		const struct sysctl *a = &captured->sysctls[i];
		const char *b = facts_sysctl(live, a->name);

		if (b && !is_volatile(a->name) && ++compared && strcmp(a->value, b) != 0)
			fail_msg("%s is %s in the capture and %s live", a->name, a->value, b);
	}
	for (size_t i = 0; i < captured->attribute_count; i++) {
		const struct attribute *a = &captured->attributes[i];
		const char *b = facts_attribute(live, a->path);

		if (is_volatile(a->path))
			continue;
		if (b && ++compared && strcmp(a->value, b) != 0)
			fail_msg("%s is %s in the capture and %s live", a->path, a->value, b);
		if (!b && !strstr(a->path, "/proc/net/")) /* which only the network's own reader knows live */
			fail_msg("%s is not known live", a->path);
	}
	assert_true(compared > 100);
}

static void compare_machine(const struct facts *captured, const struct facts *live)
{
	assert_string_equal(captured->kernel.release, live->kernel.release);
	assert_string_equal(captured->kernel.version, live->kernel.version);
	assert_string_equal(captured->kernel.machine, live->kernel.machine);
	assert_string_equal(captured->kernel.command_line, live->kernel.command_line);
	assert_string_equal(captured->distribution.name, live->distribution.name);
	assert_int_equal(captured->processor.threads.value, live->processor.threads.value);
	assert_int_equal(captured->processor.flag_count, live->processor.flag_count);
	assert_int_equal(captured->memory.total.value, live->memory.total.value);
	assert_int_equal(captured->module_count, live->module_count);
	assert_int_equal(captured->user_count, live->user_count);
	assert_int_equal(captured->group_count, live->group_count);
	assert_int_equal(captured->package_count, live->package_count);
	assert_string_equal(captured->caller.user, live->caller.user);
	assert_int_equal(captured->caller.group_count, live->caller.group_count);
	assert_int_equal(captured->program_count, live->program_count);
	for (size_t i = 0; i < captured->program_count; i++)
		assert_int_equal(captured->programs[i].installed,
				 facts_program(live, captured->programs[i].name)->installed);
}

static void compare_nodes(const struct facts *captured, const struct facts *live)
{
	size_t compared = 0;

	for (size_t i = 0; i < captured->node_count; i++) {
		const struct node *a = &captured->nodes[i], *b = facts_node(live, a->path);

		if (!b)
			fail_msg("%s is not known live", a->path);
		assert_int_equal(a->exists, b->exists);
		if (a->exists != TRUTH_YES)
			continue;
		compared++;
		assert_string_equal(a->type, b->type);
		assert_int_equal(a->mode.value, b->mode.value);
		assert_string_equal(a->owner, b->owner);
		assert_string_equal(a->group, b->group);
		assert_int_equal(a->target != NULL, b->target != NULL);
	}
	assert_true(compared > 3);
}

static void test_same_as_live(void **state)
{
	static const char *const argv[] = {"sh", NULL};
	cleanup_bundle struct bundle *captured = NULL, *live = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_run struct run run = {0};

	if (!has_program("ip")) {
		print_message("no ip here\n");
		return;
	}
	run_script(&run, argv, NULL);
	captured = collections_bundle(&run.collection, 1);
	if (bundle_live(&live, &err) < 0)
		fail_msg("%s", err->message);
	compare_links(captured->hosts[0], live->hosts[0]);
	compare_values(captured->hosts[0], live->hosts[0]);
	compare_machine(captured->hosts[0], live->hosts[0]);
	compare_nodes(captured->hosts[0], live->hosts[0]);
	assert_int_equal(captured->hosts[0]->route_count, live->hosts[0]->route_count);
	assert_int_equal(captured->hosts[0]->policy_rule_count, live->hosts[0]->policy_rule_count);
}

static void write_below(const char *folder, const char *path, const char *text)
{
	cleanup_free char *whole = NULL, *parent = NULL;

	assert_true(asprintf(&whole, "%s%s", folder, path) > 0);
	parent = strdup(whole);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(dir_make(parent, 0700, NULL), 0);
	assert_int_equal(file_write_atomic(whole, text, strlen(text), 0600, NULL), 0);
}

/* A folder that stands for a machine, with a capture beside it. */
static void make_machine(const char *folder)
{
	write_below(folder, "/ip-addr.txt", "1: lo: <LOOPBACK,UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n");
	write_below(folder, "/root/proc/cpuinfo",
		    "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svm npt\n");
	write_below(folder, "/root/sys/module/kvm_amd/parameters/nested", "1\n");
	write_below(folder, "/root/sys/kernel/iommu_groups/7/devices/0000:00:1f.2/uevent",
		    "DRIVER=ahci\nPCI_CLASS=10601\n");
	write_below(folder, "/root/proc/sys/net/ipv4/conf/eth0.5/rp_filter", "2\n");
	write_below(folder, "/root/etc/modprobe.d/kvm.conf",
		    "# nesting\n\noptions kvm_amd nested=1\noptions kvm x=y\n");
	write_below(folder, "/root/etc/libvirt/qemu.conf", "#user = \"x\"\nuser = \"qemu\"\nvnc_password = \"abc\"\n");
	write_below(folder, "/root/etc/passwd",
		    "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/a:/bin/sh\n");
	write_below(folder, "/root/etc/libvirt/qemu/vm1.xml",
		    "<!--\nWARNING: <name>not this</name>\n-->\n<domain type='kvm'>\n  <name>vm1</name>\n"
		    "  <graphics type='vnc' passwd='hunter2'/>\n</domain>\n");
	write_below(folder, "/root/etc/libvirt/qemu/vm2.xml", "<domain type='kvm'>\n  <name>vm2</name>\n</domain>\n");
	write_below(folder, "/root/var/log/libvirt/qemu/vm1.log", "one\nKVM: entry failed, hardware error 0x0\n");
	write_below(folder, "/root/mnt/c/Users/Bob/.wslconfig", "[wsl2]\r\nnetworkingMode=mirrored\r\n");
	write_below(folder, "/root/run/outside", "not in the table");
}

static void check_machine(const struct facts *facts)
{
	assert_string_equal(facts->processor.vendor, "AuthenticAMD");
	assert_string_equal(facts_attribute(facts, "/sys/module/kvm_amd/parameters/nested"), "1");
	assert_string_equal(facts_attribute_entry(facts, "/sys/module/kvm_amd/parameters/nested")->origin.source,
			    "/sys/module/kvm_amd/parameters/nested");
	assert_string_equal(facts_attribute(facts, "/sys/kernel/iommu_groups/7/devices/0000:00:1f.2/uevent"),
			    "DRIVER=ahci\nPCI_CLASS=10601");
	assert_string_equal(facts_sysctl(facts, "net.ipv4.conf.eth0/5.rp_filter"), "2");
	assert_string_equal(facts_sysctl_entry(facts, "net.ipv4.conf.eth0/5.rp_filter")->origin.source,
			    "/proc/sys/net/ipv4/conf/eth0.5/rp_filter");
	assert_string_equal(facts_attribute(facts, "/etc/modprobe.d/kvm.conf"),
			    "options kvm_amd nested=1\noptions kvm x=y");
	assert_string_equal(facts_attribute(facts, "/etc/libvirt/qemu.conf"),
			    "user = \"qemu\"\nvnc_password = \"[redacted]\"");
	assert_int_equal(facts->user_count, 2);
	assert_int_equal(facts->document_count, 2);
	assert_string_equal(facts->documents[0].name, "vm1");
	assert_null(strstr(facts->documents[0].text, "hunter2"));
	assert_int_equal(strncmp(facts->documents[0].text, "<domain", 7), 0);
	assert_int_equal(facts->documents[0].origin.line, 4);
	assert_string_equal(facts->documents[1].name, "vm2");
	assert_int_equal(strncmp(facts->documents[1].text, "<domain", 7), 0);
	assert_int_equal(facts->documents[1].origin.line, 8);
	assert_int_equal(facts->log_line_count, 2);
	assert_string_equal(facts->log_lines[1].log, "/var/log/libvirt/qemu/vm1.log");
	assert_string_equal(facts_wslconfig(facts, "wsl2", "networkingMode")->value, "mirrored");
	assert_int_equal(facts->node_count, 0); /* of a copy modes say nothing */
	assert_null(facts->kernel.release);
	assert_int_equal(facts->memory.total.known, false);
	assert_int_equal(facts->modules_known, TRUTH_UNKNOWN);
}

static void test_root(void **state)
{
	cleanup_free char *folder = new_folder("machine"), *root = NULL, *link = NULL, *archive = NULL;
	cleanup_bundle struct bundle *of_root = NULL, *of_folder = NULL, *of_archive = NULL;
	cleanup_error struct error *err = NULL;

	make_machine(folder);
	assert_true(asprintf(&root, "%s/root", folder) > 0);
	/* a link that would lead out of the folder stays in it, where there is no such file */
	assert_true(asprintf(&link, "%s/proc/meminfo", root) > 0);
	assert_int_equal(symlink("/proc/meminfo2", link), 0);
	unlink(link);
	assert_int_equal(symlink("../../../../../../../../proc/version", link), 0);
	if (bundle_from_root(root, "m", &of_root, &err) < 0)
		fail_msg("%s", err->message);
	check_machine(of_root->hosts[0]);
	of_folder = load(folder);
	assert_int_equal(of_folder->host_count, 1);
	check_machine(of_folder->hosts[0]);
	assert_non_null(facts_link(of_folder->hosts[0], "lo"));
	unlink(link);
	assert_true(asprintf(&archive, "%s.tar", folder) > 0);
	if (has_program("tar")) {
		const char *argv[] = {"tar", "cf", archive, "-C", folder, ".", NULL};

		assert_int_equal(process_must(argv, NULL, NULL), 0);
		of_archive = load(archive);
		assert_int_equal(of_archive->host_count, 1);
		check_machine(of_archive->hosts[0]);
		assert_non_null(facts_link(of_archive->hosts[0], "lo"));
	}
}

static struct bundle *of_text(const char *name, const char *text)
{
	return bundle_from_text(name, text, strlen(text));
}

static void test_modes(void **state)
{
	cleanup_bundle struct bundle *bundle =
		of_text("ls-l.txt", "crw-rw----+ 1 root kvm  10, 232 Nov 21 10:37 /dev/kvm\n"
				    "ls: cannot access '/dev/sev': No such file or directory\n"
				    "ls: /dev/vhost-net: No such file or directory\n"
				    "ls: cannot access '/etc/libvirt/qemu/*.xml': No such file or directory\n"
				    "ls: cannot open directory '/x': Permission denied\n"
				    "drwsr-xr-t 2 root 1000 4096 Jan  1  2024 /etc/lib virt\n"
				    "lrwxrwxrwx 1 root root 7 Nov 21 10:37 /run/x -> /var/y\n"
				    "nonsense\n");
	const struct facts *facts = bundle->hosts[0];

	assert_int_equal(facts->node_count, 5);
	assert_string_equal(facts_node(facts, "/dev/kvm")->type, "character device");
	assert_int_equal(facts_node(facts, "/dev/kvm")->mode.value, 0660);
	assert_string_equal(facts_node(facts, "/dev/kvm")->group, "kvm");
	assert_int_equal(facts_node(facts, "/dev/sev")->exists, TRUTH_NO);
	assert_int_equal(facts_node(facts, "/dev/vhost-net")->exists, TRUTH_NO);
	assert_null(facts_node(facts, "/x"));
	assert_int_equal(facts_node(facts, "/etc/lib virt")->mode.value, 05755);
	assert_string_equal(facts_node(facts, "/run/x")->target, "/var/y");
	assert_int_equal(facts->captures[0].ignored, 1);
}

static void test_host(void **state)
{
	cleanup_bundle struct bundle *id =
		of_text("id.txt", "uid=1000(alice) gid=1000(alice) groups=1000(alice),27(sudo),1001\n");
	cleanup_bundle struct bundle *packages = of_text("packages.txt", "qemu-system-x86 1:7.2+dfsg-7\nnonsense\n");
	cleanup_bundle struct bundle *programs = of_text("programs.txt", "/usr/bin/virsh\nswtpm: not found\n");
	cleanup_bundle struct bundle *wsl = of_text("wslinfo.txt", "networking-mode: mirrored\nwsl-version: 2.3.26\n");
	cleanup_bundle struct bundle *log = of_text("dmesg.txt", "[    0.0] kvm: x\n$ ip addr\n[    1.0] kvm: y\n");
	cleanup_bundle struct bundle *netstat =
		of_text("ss-lntup.txt", "Active Internet connections (only servers)\n"
					"Proto Recv-Q Send-Q Local Address Foreign Address State PID/Program name\n"
					"tcp 0 0 0.0.0.0:22 0.0.0.0:* LISTEN 71/dropbear\n"
					"tcp 0 0 :::80 :::* LISTEN -\nudp 0 0 127.0.0.1:53 0.0.0.0:* 9/dnsmasq -k\n");
	const struct listener *listeners = netstat->hosts[0]->listeners;

	assert_string_equal(id->hosts[0]->caller.user, "alice");
	assert_int_equal(id->hosts[0]->caller.id.value, 1000);
	assert_int_equal(id->hosts[0]->caller.group_count, 3);
	assert_string_equal(id->hosts[0]->caller.groups[1], "sudo");
	assert_string_equal(id->hosts[0]->caller.groups[2], "1001");
	assert_string_equal(packages->hosts[0]->packages[0].version, "1:7.2+dfsg-7");
	assert_int_equal(packages->hosts[0]->captures[0].ignored, 1);
	assert_string_equal(facts_program(programs->hosts[0], "virsh")->path, "/usr/bin/virsh");
	assert_int_equal(facts_program(programs->hosts[0], "swtpm")->installed, TRUTH_NO);
	assert_string_equal(wsl->hosts[0]->wsl.networking_mode, "mirrored");
	assert_int_equal(log->hosts[0]->log_line_count, 3); /* a prompt in a log is none */
	assert_int_equal(netstat->hosts[0]->listener_count, 3);
	assert_string_equal(listeners[0].process, "71/dropbear");
	assert_int_equal(listeners[1].port.value, 80);
	assert_int_equal(listeners[1].address.family, 0); /* perhaps for IPv4 as well */
	assert_null(listeners[1].process);
	assert_string_equal(listeners[2].process, "9/dnsmasq -k");
}

static bool has_route(const struct facts *facts, const struct route *route)
{
	for (size_t i = 0; i < facts->route_count; i++)
		if (facts->routes[i].family == route->family && facts->routes[i].type == route->type &&
		    strcmp(facts->routes[i].table, route->table) == 0 &&
		    facts->routes[i].to.length == route->to.length &&
		    ip_equal(&facts->routes[i].to.ip, &route->to.ip) &&
		    facts->routes[i].metric.value == route->metric.value)
			return true;
	return false;
}

/* Asked at once, ip(8) says the same as asked five times. */
static void test_batch(void **state)
{
	static const struct selection way = {.with = SOURCE_WAY, .unbounded = true},
				      one_by_one = {.with = SOURCE_WAY, .without = SOURCE_BATCH};
	const char *const shell[] = {"sh", NULL};
	cleanup_run struct run at_once = {.selection = &way}, apart = {.selection = &one_by_one};
	cleanup_bundle struct bundle *left = NULL, *right = NULL;
	const struct facts *one, *other;

	if (!has_program("ip"))
		skip();
	run_script(&at_once, shell, NULL);
	run_script(&apart, shell, NULL);
	assert_null(strstr(at_once.output.out, "begin ip-rule.txt"));
	assert_int_equal(item(&at_once.collection, "ip-rule.txt")->state, ITEM_TAKEN);
	left = collections_bundle(&at_once.collection, 1);
	right = collections_bundle(&apart.collection, 1);
	one = left->hosts[0];
	other = right->hosts[0];
	assert_int_equal(one->link_count, other->link_count);
	assert_int_equal(one->policy_rule_count, other->policy_rule_count);
	assert_int_equal(one->route_count, other->route_count);
	for (size_t i = 0; i < one->link_count; i++) {
		assert_string_equal(one->links[i].name, other->links[i].name);
		assert_int_equal(one->links[i].address_count, other->links[i].address_count);
	}
	for (size_t i = 0; i < one->route_count; i++)
		assert_true(has_route(other, &one->routes[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	     cmocka_unit_test(test_shells),
		cmocka_unit_test(test_busybox),	     cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_stream),	     cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_bundle_again), cmocka_unit_test(test_same_as_live),
		cmocka_unit_test(test_root),	     cmocka_unit_test(test_modes),
		cmocka_unit_test(test_host),	     cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
