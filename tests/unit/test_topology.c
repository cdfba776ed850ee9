/*
 * facts/topology and its pictures. Golden trees, charts and documents of the bundles beside; what makes a host a guest
 * of another; names that nobody should have; and the drawing that the owner of a real stack made of it by hand, element
 * by element (skipped where ../shared/captures is missing; bundles/mirrored has the same shape and is always there).
 */
#include "facts_check.h"

#include "base/arena.h"
#include "render/schema.h"
#include "render/topology.h"
#include "schema_check.h"

#include <sys/socket.h>
#include <sys/stat.h>

static const struct style pretty = {.utf8 = true};

struct picture {
	struct arena *arena;
	struct bundle *bundle;
	struct topology *topology;
};

static void close_picture(struct picture *picture)
{
	bundle_free(picture->bundle);
	arena_free(picture->arena);
}
#define cleanup_picture __attribute__((cleanup(close_picture)))

static struct picture picture_of(struct bundle *bundle)
{
	struct picture picture = {.arena = arena_new(), .bundle = bundle};

	picture.topology = topology_new(picture.arena, picture.bundle);
	return picture;
}

static struct picture open_picture(const char *below)
{
	cleanup_free char *path = source_path(below);

	return picture_of(load(path));
}

static struct picture picture_of_json(const char *text)
{
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *json = NULL;
	struct arena *arena = arena_new();
	struct bundle *bundle = arena_new_struct(arena, struct bundle);

	bundle->arena = arena;
	assert_int_equal(json_parse(text, strlen(text), "test", &json, NULL), 0);
	if (bundle_from_json(json, bundle, &err) < 0)
		fail_msg("%s", err->message);
	return picture_of(bundle);
}

static char *tree_of(const struct picture *picture, const char *name)
{
	struct strbuf out = {};

	topology_tree(picture->topology, name, &pretty, &out);
	return strbuf_steal(&out);
}

static char *chart_of(const struct picture *picture, const char *name)
{
	struct strbuf out = {};

	topology_mermaid(picture->topology, name, &out);
	return strbuf_steal(&out);
}

static void check_fits(json_t *document)
{
	cleanup_json json_t *schema = schema_document(schema_find("graph"));
	char why[WHY_SIZE], tag[SCHEMA_TAG_SIZE];

	json_object_set_new(document, "schema", json_string(schema_tag(schema_find("graph"), tag)));
	if (!schema_value_fits(schema, schema, document, why))
		fail_msg("%s", why);
}

static void check_file(const char *name, const char *suffix, const char *got)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/render/facts-%s.%s", name, suffix) > 0);
	path = source_path(below);
	check_golden(path, got);
}

static void test_golden(void **state)
{
	static const char *const names[] = {"layers", "mixed", "iproute", "mirrored"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cleanup_free char *below = NULL, *tree = NULL, *chart = NULL, *text = NULL;
		cleanup_json json_t *document = NULL;

		assert_true(asprintf(&below, "tests/golden/facts/bundles/%s", names[i]) > 0);
		cleanup_picture struct picture picture = open_picture(below);

		tree = tree_of(&picture, names[i]);
		chart = chart_of(&picture, names[i]);
		document = topology_json(picture.topology, names[i]);
		check_fits(document);
		json_object_del(document, "schema");
		text = json_dumps(document, JSON_INDENT(1));
		check_file(names[i], "tree", tree);
		check_file(names[i], "mmd", chart);
		check_file(names[i], "graph.json", text);
	}
}

/* What a drawing says: interfaces with what is written on them, and lines between them. */

struct drawn_node {
	const char *host, *name, *role;
	const char *addresses; /* NULL: none */
	const char *mac;       /* NULL: none is drawn */
};

struct drawn_edge {
	const char *kind;
	const char *from_host, *from, *to_host, *to; /* NULL: the world */
	const char *via;			     /* of routes */
};

/* A node by its member "name" and, of interfaces, the name of its host. */
static json_t *find_node(const json_t *document, const char *host, const char *name)
{
	json_t *node, *host_node = host && name ? find_node(document, NULL, host) : NULL;
	size_t i;

	if (!host && !name)
		name = "world";
	json_array_foreach (json_object_get(document, "nodes"), i, node) {
		const char *kind = json_string_value(json_object_get(node, "kind"));
		const char *called = json_string_value(json_object_get(node, "name"));

		if (!host && strcmp(called ? called : kind, name) == 0 && strcmp(kind, "interface") != 0)
			return node;
		if (host && strcmp(kind, "interface") == 0 && strcmp(called, name) == 0 &&
		    json_equal(json_object_get(node, "host"), json_object_get(host_node, "id")))
			return node;
	}
	fail_msg("%s of %s is not drawn", name, host ? host : "nobody");
	return NULL;
}

static const char *node_id(const json_t *document, const char *host, const char *name)
{
	return json_string_value(json_object_get(find_node(document, host, name), "id"));
}

static const char *shape_of(const char *role)
{
	return strcmp(role, "bridge") == 0 ? "([" : strcmp(role, "tap") == 0 ? "[/" : "[";
}

static void check_node(const json_t *document, const char *tree, const char *chart, const struct drawn_node *wanted)
{
	const json_t *node = find_node(document, wanted->host, wanted->name);
	const char *id = json_string_value(json_object_get(node, "id")), *line;
	cleanup_free char *start = NULL, *row = NULL;

	assert_string_equal(json_string_value(json_object_get(node, "role")), wanted->role);
	if (wanted->mac)
		assert_string_equal(json_string_value(json_object_get(node, "mac")), wanted->mac);
	/* the chart's label says the same */
	assert_true(asprintf(&start, " %s%s\"", id, shape_of(wanted->role)) > 0);
	line = strstr(chart, start);
	if (!line)
		fail_msg("%s is not in the chart", start);
	row = strndup(line, strcspn(line, "\n"));
	if (wanted->addresses && !strstr(row, wanted->addresses))
		fail_msg("%s is not in %s", wanted->addresses, row);
	if (wanted->mac && !strstr(row, wanted->mac))
		fail_msg("%s is not in %s", wanted->mac, row);
	if (wanted->addresses)
		assert_non_null(strstr(tree, wanted->addresses));
	assert_non_null(strstr(tree, wanted->name));
}

static bool is_edge(const json_t *edge, const char *from, const char *to, const struct drawn_edge *wanted)
{
	const char *via = json_string_value(json_object_get(edge, "via"));

	return strcmp(json_string_value(json_object_get(edge, "kind")), wanted->kind) == 0 &&
	       strcmp(json_string_value(json_object_get(edge, "from")), from) == 0 &&
	       strcmp(json_string_value(json_object_get(edge, "to")), to) == 0 &&
	       (!wanted->via || (via && strcmp(via, wanted->via) == 0));
}

/* A line of the chart between the two, whichever comes first. */
static bool chart_joins(const char *chart, const char *a, const char *b)
{
	for (const char *line = strchr(chart, '\n'); line; line = strchr(line + 1, '\n')) {
		char from[24] = "", to[24] = "";
		cleanup_free char *row = strndup(line + 1, strcspn(line + 1, "\n"));
		char *last = strrchr(row, ' ');

		if (!strstr(row, " --- ") && !strstr(row, " ---|") && !strstr(row, " -.-|"))
			continue;
		assert_int_equal(sscanf(row, " %23s", from), 1);
		snprintf(to, sizeof(to), "%s", last + 1);
		if ((strcmp(from, a) == 0 && strcmp(to, b) == 0) || (strcmp(from, b) == 0 && strcmp(to, a) == 0))
			return true;
	}
	return false;
}

static void check_edge(const json_t *document, const char *chart, const struct drawn_edge *wanted)
{
	const char *from = node_id(document, wanted->from_host, wanted->from);
	const char *to = node_id(document, wanted->to_host, wanted->to);
	bool found = false;
	json_t *edge;
	size_t i;

	json_array_foreach (json_object_get(document, "edges"), i, edge)
		found = found || is_edge(edge, from, to, wanted);
	if (!found || !chart_joins(chart, from, to))
		fail_msg("no %s from %s of %s to %s of %s (%s)", wanted->kind, wanted->from, wanted->from_host,
			 wanted->to ? wanted->to : "world", wanted->to_host ? wanted->to_host : "",
			 found ? "in the chart" : "in the document");
}

static void check_layer(const json_t *document, const char *tree, const char *host, int layer)
{
	cleanup_free char *text = NULL;

	assert_int_equal(json_integer_value(json_object_get(find_node(document, NULL, host), "layer")), layer);
	assert_true(asprintf(&text, "L%d %s", layer, host) > 0);
	assert_non_null(strstr(tree, text));
}

/*
 * The drawing in its owner's article: four machines one inside the other, Windows' four interfaces, those of WSL2, the
 * bridges and taps, and one line from the outside through all of them. His enp1s0 carries the tap's MAC by mistake.
 */
static void test_owners_drawing(void **state)
{
	static const struct drawn_node nodes[] = {
		{"windows", "未知适配器 ctEAO-10", "nic", "10.61.2.254/32", NULL},
		{"windows", "以太网适配器 以太网", "nic", "172.24.21.109/24", NULL},
		{"windows", "以太网适配器 VMware Network Adapter VMnet1", "nic", "192.168.198.1/24", NULL},
		{"windows", "以太网适配器 VMware Network Adapter VMnet8", "nic", "192.168.237.1/24", NULL},
		{"wsl2", "eth0", "nic", "10.61.2.254/32", "00:15:5d:13:0c:12"},
		{"wsl2", "eth1", "nic", "172.24.21.109/24", "1c:83:41:cf:a8:7c"},
		{"wsl2", "virbr0", "bridge", "192.168.122.1/24", NULL},
		{"wsl2", "vnet0", "tap", NULL, "fe:54:00:fc:38:e0"},
		{"vm1", "enp1s0", "nic", "192.168.122.191/24", "52:54:00:fc:38:e0"},
		{"vm1", "virbr0", "bridge", "192.168.124.1/24", NULL},
		{"vm1", "vnet0", "tap", NULL, "fe:54:00:5a:1a:8e"},
		{"vm2", "ens3", "nic", "192.168.124.91/24", "52:54:00:5a:1a:8e"},
	};
	static const struct drawn_edge edges[] = {
		{"route", "windows", "以太网适配器 以太网", NULL, NULL, "172.24.21.254"},
		{"mirrored", "windows", "以太网适配器 以太网", "wsl2", "eth1", NULL},
		{"mirrored", "windows", "未知适配器 ctEAO-10", "wsl2", "eth0", NULL},
		{"nat", "wsl2", "virbr0", "wsl2", "eth1", NULL},
		{"port", "wsl2", "vnet0", "wsl2", "virbr0", NULL},
		{"tap", "wsl2", "vnet0", "vm1", "enp1s0", NULL},
		{"nat", "vm1", "virbr0", "vm1", "enp1s0", NULL},
		{"port", "vm1", "vnet0", "vm1", "virbr0", NULL},
		{"tap", "vm1", "vnet0", "vm2", "ens3", NULL},
	};
	static const char *const hosts[] = {"windows", "wsl2", "vm1", "vm2"};
	cleanup_free char *path = source_path("../shared/captures/wsl2-nested"), *tree = NULL, *chart = NULL;
	cleanup_json json_t *document = NULL;
	struct stat st;

	if (stat(path, &st) < 0) {
		print_message("there is no %s\n", path);
		free(steal_pointer(&path)); /* skip() does not come back */
		skip();
	}
	cleanup_picture struct picture picture = picture_of(load(path));

	tree = tree_of(&picture, "wsl2-nested");
	chart = chart_of(&picture, "wsl2-nested");
	document = topology_json(picture.topology, "wsl2-nested");
	check_fits(document);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		check_node(document, tree, chart, &nodes[i]);
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		check_edge(document, chart, &edges[i]);
	for (int i = 0; i < 4; i++)
		check_layer(document, tree, hosts[i], i);
	/* the words on the lines */
	assert_non_null(strstr(tree, "masquerades 192.168.122.0/24 to eth1"));
	assert_non_null(strstr(tree, "default via 172.24.21.254 dev eth1"));
	assert_non_null(strstr(tree, "default via 192.168.122.1 dev enp1s0  → virbr0 of wsl2"));
	assert_non_null(strstr(chart, "\"masquerades 192.168.122.0/24\""));
	assert_non_null(strstr(chart, "\"gateway 172.24.21.254\""));
}

/* Who is whose guest, in one word for each host. */
static void check_parent(const struct picture *picture, const char *host, const char *parent, unsigned layer)
{
	for (size_t i = 0; i < picture->topology->host_count; i++) {
		const struct topology_host *found = &picture->topology->hosts[i];

		if (strcmp(found->facts->name, host) != 0)
			continue;
		if (parent)
			assert_non_null(found->parent);
		assert_string_equal(parent ? found->parent->facts->name : "-", parent ? parent : "-");
		assert_true(parent || !found->parent);
		assert_int_equal(found->layer, layer);
		return;
	}
	fail_msg("%s is missing", host);
}

#define LINK(name, more) "{\"name\": \"" name "\"" more "}"
#define TAP(a, tap, b, nic)                                                                                            \
	"{\"kind\": \"tap\", \"why\": \"\", \"ends\": [{\"host\": \"" a "\", \"interface\": \"" tap                    \
	"\"}, {\"host\": \"" b "\", \"interface\": \"" nic "\"}]}"

/* Two that claim to be each other's guest: the first claim counts. A third below them is fine. */
static void test_circle(void **state)
{
	cleanup_picture struct picture picture =
		picture_of_json("{\"hosts\": [{\"name\": \"a\", \"links\": [" LINK("t", "") ", " LINK(
			"n", "") "]},"
				 "{\"name\": \"b\", \"links\": [" LINK("t", "") ", " LINK(
					 "n",
					 "") "]},"
					     "{\"name\": \"c\", \"links\": [" LINK(
						     "n",
						     "") "]}],"
							 "\"relations\": [" TAP("a", "t", "b", "n") ", " TAP(
								 "b", "t", "a",
								 "n") ", " TAP("b", "t", "c",
									       "n") ", " TAP("c", "n", "c",
											     "n") "], \"notes\": []}");

	check_parent(&picture, "a", NULL, 0);
	check_parent(&picture, "b", "a", 1);
	check_parent(&picture, "c", "b", 2);
	assert_int_equal(picture.topology->root_count, 1);
}

/* A cable between equals is no layer; a host that sees a hypervisor is a guest of somebody. */
static void test_layers(void **state)
{
	cleanup_picture struct picture picture = picture_of_json(
		"{\"hosts\": [{\"name\": \"a\", \"processor\": {\"flags\": [\"fpu\", \"hypervisor\"]}, "
		"\"links\": [" LINK("eth0", "") ", " LINK(
			"vnet0",
			"") "]},"
			    "{\"name\": \"b\", \"links\": [" LINK(
				    "eth0",
				    "") "]},"
					"{\"name\": \"c\", \"links\": [" LINK(
						"eth0",
						"") "]}],"
						    "\"relations\": [{\"kind\": \"cable\", \"why\": \"\", \"ends\": "
						    "[{\"host\": \"a\", \"interface\": \"eth0\"}, "
						    "{\"host\": \"b\", \"interface\": \"eth0\"}]}, {\"kind\": "
						    "\"cable\", \"why\": \"\", \"ends\": [{\"host\": \"c\", "
						    "\"interface\": \"eth0\"}, {\"host\": \"a\", "
						    "\"interface\": \"vnet0\"}]}], \"notes\": []}");
	cleanup_free char *tree = tree_of(&picture, "x");

	check_parent(&picture, "a", NULL, 1);
	check_parent(&picture, "b", NULL, 0);
	check_parent(&picture, "c", "a", 2);
	assert_true(picture.topology->hosts[0].is_guest);
	assert_non_null(strstr(tree, "L1+ a  itself a guest, of a host that was not captured"));
	assert_non_null(strstr(tree, "L2+ c"));
	assert_non_null(strstr(tree, "L0? b"));
}

/* A lab's network on a host is a namespace of it, and its taps carry the host's guests. */
static void test_namespaces(void **state)
{
	cleanup_picture struct picture picture = picture_of_json("{\"hosts\": [{\"name\": \"hv1\", \"links\": [" LINK(
		"eth0",
		"") "]},"
		    "{\"name\": \"hv1-lab-x\", \"links\": [" LINK(
			    "vnet0",
			    "") "]},"
				"{\"name\": \"hv1.a\", \"links\": [" LINK(
					"eth0",
					"") "]},"
					    "{\"name\": \"l0\", \"processor\": {\"flags\": [\"svm\"], \"flags_known\": "
					    "\"yes\"}, "
					    "\"links\": [" LINK(
						    "eth0",
						    "") "]},"
							"{\"name\": \"l0-lab-x\", \"links\": [" LINK(
								"vnet0",
								"") "]}],"
								    "\"relations\": [" TAP(
									    "l0-lab-x", "vnet0", "hv1",
									    "eth0") ", " TAP("hv1-lab-x", "vnet0",
											     "hv1.a",
											     "eth0") "], \"notes\": "
												     "[]}");
	cleanup_free char *tree = tree_of(&picture, "x");

	check_parent(&picture, "l0", NULL, 0);
	check_parent(&picture, "hv1", "l0", 1);
	check_parent(&picture, "hv1.a", "hv1", 2);
	check_parent(&picture, "hv1-lab-x", NULL, 1);
	assert_int_equal(picture.topology->root_count, 1);
	assert_non_null(strstr(tree, "   ├─ L0 l0-lab-x  a network namespace"));
}

/* What a lab calls L0 is its first layer, whatever else it runs on. */
static void test_called_l0(void **state)
{
	cleanup_picture struct picture picture =
		picture_of_json("{\"hosts\": [{\"name\": \"L0\", \"machine\": \"L0-root\", \"links\": [" LINK(
			"t", "") "]},"
				 "{\"name\": \"L0-root\", \"processor\": {\"flags\": [\"hypervisor\"]}, \"links\": []},"
				 "{\"name\": \"a\", \"links\": [" LINK("eth0", "") "]}],"
										   "\"relations\": [" TAP(
											   "L0", "t", "a",
											   "eth0") "], \"notes\": []}");
	cleanup_free char *tree = tree_of(&picture, "x");

	check_parent(&picture, "L0-root", NULL, 0);
	check_parent(&picture, "a", "L0-root", 1);
	assert_non_null(strstr(tree, "L0 L0-root"));
	assert_non_null(strstr(tree, "L1 a"));
}

static void write_capture(const char *folder, const char *host, const char *text)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "%s/%s", folder, host) > 0);
	assert_true(asprintf(&path, "%s/ip-d-addr.txt", below) > 0);
	assert_int_equal(mkdir(below, 0700), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

/* The ends of a veth between a machine and a namespace of its are found by their indices; others are not. */
static void test_veth(void **state)
{
	char folder[] = "/tmp/nestvisor-topology-XXXXXX";
	cleanup_bundle struct bundle *bundle = NULL;

	assert_non_null(mkdtemp(folder));
	write_capture(
		folder, "l0",
		"7: up@if2: <UP> mtu 1500\n    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    veth\n"
		"8: other@if2: <UP> mtu 1500\n    link/ether 52:54:00:00:00:02 brd ff:ff:ff:ff:ff:ff\n    veth\n");
	write_capture(
		folder, "l0-lab-x",
		"2: uplink@if7: <UP> mtu 1500\n    link/ether 52:54:00:00:00:03 brd ff:ff:ff:ff:ff:ff\n    veth\n");
	write_capture(
		folder, "l1",
		"2: uplink@if7: <UP> mtu 1500\n    link/ether 52:54:00:00:00:04 brd ff:ff:ff:ff:ff:ff\n    veth\n");
	bundle = load(folder);
	dir_remove(folder, NULL);
	assert_int_equal(bundle->relation_count, 1);
	assert_int_equal(bundle->relations[0].kind, RELATION_CABLE);
	assert_string_equal(bundle->relations[0].ends[0].interface, "up");
	assert_string_equal(bundle->relations[0].ends[1].host, "l0-lab-x");
}

/* WSL2 behind Windows' NAT: the switch is called after it. */
static void test_wsl_nat(void **state)
{
	cleanup_picture struct picture picture =
		picture_of_json("{\"hosts\": [{\"name\": \"pc\", \"system\": \"windows\", \"links\": [" LINK(
			"Ethernet adapter vEthernet (WSL (Hyper-V firewall))",
			"") "]},"
			    "{\"name\": \"wsl\", \"links\": [" LINK(
				    "eth0", "") "]}],"
						"\"relations\": [{\"kind\": \"subnet\", \"why\": \"\", \"subnet\": "
						"\"172.20.0.0/20\", "
						"\"ends\": [{\"host\": \"pc\", "
						"\"interface\": \"Ethernet adapter vEthernet (WSL (Hyper-V "
						"firewall))\", \"address\": \"172.20.0.1\"}, "
						"{\"host\": \"wsl\", \"interface\": \"eth0\", \"address\": "
						"\"172.20.5.5\"}]}], \"notes\": []}");

	check_parent(&picture, "pc", NULL, 0);
	check_parent(&picture, "wsl", "pc", 1);
	assert_true(picture.topology->hosts[1].wsl);
}

static const struct topology_nat *nat_of(const struct picture *picture, const char *link)
{
	const struct topology_host *host = &picture->topology->hosts[0];

	for (size_t i = 0; i < host->nat_count; i++)
		if (strcmp(host->nats[i].inside->link->name, link) == 0)
			return &host->nats[i];
	return NULL;
}

/* What rules say of who is translated: directly, through jumps, by exclusion; and what they do not say. */
static void test_nat(void **state)
{
	static const char session[] = "# ip addr\n"
				      "1: eth0: <UP> mtu 1500\n    inet 203.0.113.9/24 scope global eth0\n"
				      "2: docker0: <UP> mtu 1500\n    inet 172.17.0.1/16 scope global docker0\n"
				      "3: br1: <UP> mtu 1500\n    inet 10.1.0.1/24 scope global br1\n"
				      "4: br2: <UP> mtu 1500\n    inet 10.2.0.1/24 scope global br2\n"
				      "5: br3: <UP> mtu 1500\n    inet 10.3.0.1/24 scope global br3\n"
				      "6: eth1: <UP> mtu 1500\n    inet 198.51.100.9/24 scope global eth1\n"
				      "# ip route\ndefault via 203.0.113.1 dev eth0\n"
				      "# iptables-save\n*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT "
				      "[0:0]\n:OUT - [0:0]\n:LOOP - [0:0]\n"
				      "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"
				      "-A POSTROUTING -o eth1 -j OUT\n"
				      "-A POSTROUTING -j LOOP\n"
				      "-A LOOP -j LOOP\n-A LOOP -j LOOP\n"
				      "-A OUT -s 10.1.0.0/24 -j SNAT --to-source 198.51.100.9\n"
				      "-A OUT -m set --match-set some src -s 10.2.0.0/24 -o eth+ -j MASQUERADE\n"
				      "-A PREROUTING -s 10.3.0.0/24 -j DNAT --to-destination 10.3.0.7\n"
				      "COMMIT\n";
	cleanup_picture struct picture picture =
		picture_of(bundle_from_text("session.txt", session, sizeof(session) - 1));
	const struct topology_nat *docker = nat_of(&picture, "docker0"), *one = nat_of(&picture, "br1");

	assert_non_null(docker);
	assert_true(docker->masquerade);
	assert_string_equal(docker->outside->link->name, "eth0");
	assert_non_null(one);
	assert_false(one->masquerade);
	assert_string_equal(one->outside->link->name, "eth1");
	assert_null(nat_of(&picture, "br2")); /* two interfaces are asked for: not followed */
	assert_null(nat_of(&picture, "br3"));
	assert_true(picture.topology->hosts[0].nat4_known);
	assert_false(picture.topology->hosts[0].nat6_known);
}

/* Names that break out of a label, move a cursor or reorder a line stand in no picture. */
static void test_hostile(void **state)
{
	static const char document[] =
		"{\"hosts\": [{\"name\": \"x\\\"]\\u001b[31m\\nend\", \"kernel\": {\"release\": \"a\\u0007b\"}, "
		"\"links\": [{\"name\": \"e\\\"]:::world\\n\\u202egnp\", \"kind\": \"a\\\"b\", \"addresses\": "
		"[{\"prefix\": \"10.0.0.1/24\"}]}]}, {\"name\": \"\", \"links\": []}], \"relations\": [], \"notes\": "
		"[]}";
	cleanup_picture struct picture picture = picture_of_json(document);
	cleanup_free char *tree = tree_of(&picture, "\x1b]0;x\x07"), *chart = chart_of(&picture, "a\"\nb");

	for (const char *at = tree; *at; at++)
		assert_true((unsigned char)*at >= 0x20 || *at == '\n');
	assert_null(strstr(tree, "\xe2\x80\xae"));
	assert_null(strstr(chart, "\xe2\x80\xae"));
	assert_null(strstr(chart, "x\"]"));
	assert_null(strstr(chart, "e\"]"));
	check_file("hostile", "tree", tree);
	check_file("hostile", "mmd", chart);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	cmocka_unit_test(test_owners_drawing), cmocka_unit_test(test_circle),
		cmocka_unit_test(test_layers),	cmocka_unit_test(test_namespaces),     cmocka_unit_test(test_called_l0),
		cmocka_unit_test(test_veth),	cmocka_unit_test(test_wsl_nat),	       cmocka_unit_test(test_nat),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
