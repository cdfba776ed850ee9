/*
 * Killed at any moment. A child brings a lab's whole network up, or takes it away, and is ended with SIGKILL somewhere
 * on the way; then the same is done again, and everything is there, or nothing is left. The moments are drawn from the
 * time that an undisturbed run takes; the seed is printed, and NESTVISOR_TEST_SEED repeats a run.
 */
#include "machine.h"
#include "testlab.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 24 };

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct network *lan;
	struct guest *a;
	bool pasta;
	unsigned seed;
};

static int set_up_for(void **state, bool pasta)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *seed = getenv("NESTVISOR_TEST_SEED");
	struct network *far, *inner;
	struct guest *hv;
	struct ip *peer;

	f->m = machine_new();
	machine_forward(!pasta);
	machine_do("ip -n world route add 192.168.122.0/24 via 203.0.113.2");
	f->pasta = pasta;
	f->seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
	printf("NESTVISOR_TEST_SEED=%u\n", f->seed);
	f->lab = testlab_new("kill-test", "", 0);
	f->lan = testlab_network(f->lab, f->lab->root, "lan", "192.168.122.0/24", "fd00:122::/64", UPLINK_ROUTE);
	f->lan->dhcp = f->lan->dns = true;
	far = testlab_network(f->lab, f->lab->root, "far", "192.168.60.0/24", NULL, UPLINK_NONE);
	peer = arena_new_struct(f->lab->arena, struct ip);
	ip_parse("203.0.113.1", peer);
	far->encapsulation = ENCAP_VXLAN;
	far->vni = 4712;
	far->peers = peer;
	far->peer_count = 1;
	f->a = testlab_guest(f->lab, f->lab->root, "a");
	testlab_nic(f->lab, f->a, f->lan, "192.168.122.10", "fd00:122::10");
	hv = testlab_guest(f->lab, f->lab->root, "hv");
	testlab_nic(f->lab, hv, f->lan, "192.168.122.20", "fd00:122::20");
	inner = testlab_network(f->lab, testlab_host(f->lab, hv), "inner", "192.168.124.0/24", "fd00:124::/64",
				UPLINK_ROUTE);
	(void)inner;
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_for(state, false);
}

static int set_up_pasta(void **state)
{
	return set_up_for(state, true);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	OK(net_remove_all("kill-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	free(f);
	return 0;
}

/*
 * Whoever works on a lab holds its lock, as `up` and `down` do. A child that is just being started has it, too, until
 * it is a program of its own: so nobody comes in between its birth and its pid file.
 */
static void lock_lab(void)
{
	int fd = open("/run/kill-test.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0); /* held until the process ends */
}

static void bring_up(struct fixture *f)
{
	struct net *net;
	int tap;

	lock_lab();

	OK(net_open(f->lab, f->m->run, &net, &problem));
	OK(net_make_namespace(net, &problem));
	for (size_t i = 0; i < f->lab->root->network_count; i++)
		OK(net_make_network(net, f->lab->root->networks[i], &problem));
	OK(net_make_rules(net, &problem));
	OK(net_make_uplink(net, NULL, &problem));
	OK(net_make_routes(net, &problem));
	OK(net_make_dhcp(net, f->lan, NULL, &problem));
	OK(net_make_tap(net, &f->a->nics[0], 1, &tap, &problem));
	close(tap); /* in the test there is no QEMU that would keep it */
	net_close(net);
}

static void take_away(struct fixture *f)
{
	lock_lab();
	OK(net_remove_all("kill-test", f->m->run, &problem));
}

/* Runs it in a child and kills that after so many microseconds; negative: lets it end. */
static void run_and_kill(struct fixture *f, void (*work)(struct fixture *f), long after_us)
{
	struct timespec delay = {.tv_sec = after_us / 1000000, .tv_nsec = after_us % 1000000 * 1000};
	sigset_t child, before;
	int status;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		dup2(null, 2);
		sigprocmask(SIG_SETMASK, &before, NULL);
		work(f);
		_exit(0);
	}
	if (after_us >= 0 && sigtimedwait(&child, NULL, &delay) < 0)
		kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (after_us < 0)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (sigtimedwait(&child, NULL, &(struct timespec){0}) > 0)
		;
}

static long duration_us(struct fixture *f, void (*work)(struct fixture *f))
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	run_and_kill(f, work, -1);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

static char *processes(void)
{
	return machine_run("for p in dnsmasq passt passt.avx2 pasta; do pidof $p; done");
}

static void assert_nothing(struct fixture *f, const char *before)
{
	cleanup_free char *after = machine_picture("", ""), *left = processes(), *files = NULL;

	machine_same(before, after);
	assert_string_equal(left, "");
	files = machine_run("ls %s | grep -v '\\.new$\\|\\.[A-Za-z0-9]\\{6\\}$'",
			    f->m->run); /* halves of atomic writes */
	assert_string_equal(files, "");
	assert_false(machine_try("test -e /run/netns/nestvisor-kill-test"));
}

static void assert_everything(struct fixture *f)
{
	struct net_actual actual;
	struct net *net;
	bool same;
	struct peer *peer;

	OK(net_open(f->lab, f->m->run, &net, &problem));
	OK(net_look(net, &actual, &problem));
	assert_true(actual.namespace_exists && actual.uplink_exists);
	net_actual_free(&actual);
	OK(net_check_rules(net, &same, &problem));
	assert_true(same);
	peer = peer_new(f->m, net, f->a);
	peer_do(peer, "ping -c1 -W10 -q 192.168.122.1");
	if (!f->pasta)
		peer_do(peer, "ping -c1 -W10 -q 203.0.113.1");
	machine_do("ip -n nestvisor-kill-test -6 route show fd00:124::/64 | grep -q 'via fd00:122::20'");
	machine_do("bridge -n nestvisor-kill-test fdb show dev far~0 | grep -q 'dst 203.0.113.1'");
	peer_unplug(f->m, peer);
	net_close(net);
}

static void killed_while_coming_up(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = machine_picture("", "");
	long whole;

	if (f->pasta && !machine_try("command -v pasta >/dev/null"))
		skip();
	whole = duration_us(f, bring_up);
	run_and_kill(f, take_away, -1);
	assert_nothing(f, before);
	for (int i = 0; i < ROUNDS; i++) {
		run_and_kill(f, bring_up, (long)(rand_r(&f->seed) % (unsigned)whole));
		if (i % 8 == 0) { /* up again: what was begun is finished */
			run_and_kill(f, bring_up, -1);
			assert_everything(f);
		}
		run_and_kill(f, take_away, -1);
		assert_nothing(f, before);
	}
}

static void killed_while_going_down(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = machine_picture("", "");
	long whole;

	run_and_kill(f, bring_up, -1);
	whole = duration_us(f, take_away);
	for (int i = 0; i < ROUNDS / 2; i++) {
		run_and_kill(f, bring_up, -1);
		run_and_kill(f, take_away, (long)(rand_r(&f->seed) % (unsigned)whole));
		if (i % 8 == 0) {
			run_and_kill(f, bring_up, -1);
			assert_everything(f);
		}
		run_and_kill(f, take_away, -1);
		assert_nothing(f, before);
	}
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(killed_while_coming_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(killed_while_coming_up, set_up_pasta, tear_down),
		cmocka_unit_test_setup_teardown(killed_while_going_down, set_up, tear_down),
	};

	if (!machine_try("command -v dnsmasq >/dev/null")) {
		printf("SKIP: dnsmasq is not installed (package dnsmasq-base)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("killed", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
