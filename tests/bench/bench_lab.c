#include "bench_lab.h"

#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *what, struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->message : strerror(errno));
	exit(1);
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		die(command, NULL);
}

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct lab *make_lab(size_t guests)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_problems struct problems problems = {0};
	struct error *err = NULL;
	struct lab *lab = NULL;

	strbuf_add(&text, "lab: switch\ncpu-overcommit: 100\nnetworks:\n  one: {subnet: 10.80.0.0/24}\n"
			  "  two: {subnet: 10.81.0.0/24}\nguests:\n");
	for (size_t i = 0; i < guests; i++)
		strbuf_printf(&text, "  g%zu: {nics: [{network: %s, address: 10.%d.0.%zu}]}\n", i,
			      i % 2 ? "two" : "one", i % 2 ? 81 : 80, i / 2 + 2);
	if (config_load_text("switch.nest.yaml", text.text, text.length, NULL, &problems, &lab, &err) < 0)
		die(problems.count ? problems.items[0].message : "lab", err);
	return lab;
}

static struct net *stand(const struct lab *lab)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *json = config_part(lab, lab->root);
	struct folders folders;
	struct error *err = NULL;
	struct net *net;

	if (folders_of(arena, lab->name, &folders, &err) < 0 || folders_make(&folders, &err) < 0 ||
	    json_write_file_in_order(folders.lab_file, json, &err) < 0 || net_open(lab, folders.run, &net, &err) < 0 ||
	    net_make_namespace(net, &err) < 0 || net_make_rules(net, &err) < 0 ||
	    net_make_uplink(net, NULL, &err) < 0 || net_make_publish(net, NULL, &err) < 0)
		die("network", err);
	for (size_t i = 0; i < lab->network_count; i++)
		if (net_make_network(net, lab->networks[i], &err) < 0)
			die("network", err);
	return net;
}

int socket_in(const char *netns, int type)
{
	char path[64];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other, fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	other = open(path, O_RDONLY | O_CLOEXEC);
	if (other < 0 || setns(other, CLONE_NEWNET) < 0)
		die(path, NULL);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setns(home, CLONE_NEWNET) < 0)
		die("socket", NULL);
	close(home);
	close(other);
	return fd;
}

struct sockaddr_in at_port(const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

void be_first(bool first)
{
	const struct sched_param param = {.sched_priority = first ? 1 : 0};

	if (sched_setscheduler(0, first ? SCHED_FIFO : SCHED_OTHER, &param) < 0)
		die("sched_setscheduler", NULL);
}

/* A guest is a namespace with a veth whose outer end has the tap's name: rules know taps by their names. */
static void plug(const struct lab *lab, const char *name)
{
	const struct nic *nic = &lab_find_guest(lab, name)->nics[0];
	char address[IP_TEXT_SIZE], gateway[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	shell("ip netns add %s && ip link add %s netns nestvisor-switch type veth peer name eth0 netns %s", name,
	      nic->tap, name);
	shell("ip -n nestvisor-switch link set %s master %s up", nic->tap, nic->network->bridge);
	shell("ip -n %s link set eth0 address %s up && ip -n %s addr add %s/24 dev eth0 && ip -n %s route add default "
	      "via %s",
	      name, mac_format(nic->mac, mac), name, ip_format(&nic->address4, address), name,
	      ip_format(&nic->network->gateway4, gateway));
}

/* One that is there all the time, so that there are flows to be looked through. */
static void start_flow(void)
{
	struct sockaddr_in where = at_port(ADDRESS_OF_G1);
	int fd = socket_in("g0", SOCK_DGRAM);

	for (size_t i = 0; i < 100; i++) /* until the neighbours know each other */
		sendto(fd, "x", 1, 0, (struct sockaddr *)&where, sizeof(where));
	close(fd);
}

struct net *begin_lab(struct lab *lab)
{
	struct net *net = stand(lab);

	plug(lab, "g0");
	plug(lab, "g1");
	plug(lab, "g2");
	start_flow();
	return net;
}

void end_lab(struct lab *lab, struct net *net)
{
	struct error *err = NULL;

	shell("ip netns del g0 && ip netns del g1 && ip netns del g2");
	net_close(net);
	if (net_remove_all("switch", "/run/nestvisor/switch", &err) < 0)
		die("down", err);
	lab_free(lab);
	shell("rm -r /run/nestvisor/switch /var/lib/nestvisor/switch");
}
