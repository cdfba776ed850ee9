#include "net/net_internal.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "model/lab.h"
#include "net/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int net_names_of(const char *lab_name, struct net_names *ret, struct error **err)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t length = strlen(lab_name);
	char id[ID_TEXT_SIZE];

	/* The name becomes part of paths, of a table's name and of rules: nothing in it may mean anything there. */
	if (length == 0 || length > LAB_NAME_MAX || strspn(lab_name, allowed) != length)
		return error_set(err, EINVAL, "\"%.60s\" is not a lab's name", lab_name);
	model_derive_id(lab_name, "", id);
	snprintf(ret->netns, sizeof(ret->netns), "nestvisor-%s", lab_name);
	snprintf(ret->veth, sizeof(ret->veth), "nv%sw", id);
	snprintf(ret->admin, sizeof(ret->admin), "nv%sp", id);
	snprintf(ret->mark, sizeof(ret->mark), "nestvisor:%s:", lab_name);
	return 0;
}

int net_open(const struct lab *lab, const char *run_dir, struct net **ret, struct error **err)
{
	struct net *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		abort();
	net->lab = lab;
	net->netns = net->inside.fd = net->root.fd = net->filter.fd = -1;
	net->run_dir = strdup(run_dir);
	if (!net->run_dir)
		abort();
	pthread_mutex_init(&net->mutex, NULL);
	r = net_names_of(lab->name, &net->names, err);
	if (r == 0 && lab->adopted) {
		net->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		r = net->netns < 0 ? error_errno(err, errno, "cannot open this network namespace") : 0;
	} else if (r == 0) {
		r = netns_open(net->names.netns, &net->netns, NULL);
		r = r == -ENOENT ? 0 : r < 0 ? netns_open(net->names.netns, &net->netns, err) : 0;
	}
	if (r < 0) {
		net_close(net);
		return r;
	}
	*ret = net;
	return 0;
}

void net_close(struct net *net)
{
	if (!net)
		return;
	netlink_close(&net->inside);
	netlink_close(&net->root);
	netlink_close(&net->filter);
	if (net->netns >= 0)
		close(net->netns);
	pthread_mutex_destroy(&net->mutex);
	free(net->run_dir);
	free(net);
}

static bool same_namespace(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

int net_make_namespace(struct net *net, struct error **err)
{
	cleanup_close int netns = -1;
	int r;

	pthread_mutex_lock(&net->mutex);
	r = netns_make(net->names.netns, &netns, err);
	if (r == 0 && (net->netns < 0 || !same_namespace(net->netns, netns))) {
		int former = net->netns; /* somebody has taken its name away since */

		net->netns = steal_fd(&netns);
		netns = former;
		netlink_close(&net->inside);
		netlink_close(&net->filter);
	}
	pthread_mutex_unlock(&net->mutex);
	return r;
}

int net_check_namespace(struct net *net, bool *ret_same, struct error **err)
{
	int r;

	*ret_same = false;
	pthread_mutex_lock(&net->mutex);
	r = net->netns < 0 ? 0 : netns_check(net->netns, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "namespace") : 0;
}

int net_netns_fd(const struct net *net)
{
	return net->netns;
}

bool net_namespace_exists(const struct net *net)
{
	return net->netns >= 0;
}

int net_inside(struct net *net, struct netlink **ret, struct error **err)
{
	int r = 0;

	if (net->netns < 0) {
		r = error_set(err, ENOENT, "the network namespace %s does not exist", net->names.netns);
		error_hint(err, "nestvisor up %s makes it", net->lab->name);
		return r;
	}
	if (net->inside.fd < 0)
		r = netlink_open(&net->inside, net->netns, NETLINK_ROUTE, err);
	*ret = &net->inside;
	return r;
}

int net_root(struct net *net, struct netlink **ret, struct error **err)
{
	int r = 0;

	if (net->root.fd < 0)
		r = netlink_open(&net->root, -1, NETLINK_ROUTE, err);
	*ret = &net->root;
	return r;
}

int net_filter(struct net *net, struct netlink **ret, struct error **err)
{
	int r = 0;

	if (net->filter.fd < 0)
		r = netlink_open(&net->filter, net->netns, NETLINK_NETFILTER, err);
	*ret = &net->filter;
	return r;
}

int net_put_alias(const struct net *net, struct netlink *nl, const struct link *link, const char *what,
		  struct error **err)
{
	struct nlmsghdr *request;
	char alias[LINK_ALIAS_SIZE];
	int r;

	snprintf(alias, sizeof(alias), "%s%s", net->names.mark, what);
	if (strcmp(alias, link->alias) == 0)
		return 0;
	request = link_change(nl, link->index);
	mnl_attr_put_strz(request, IFLA_IFALIAS, alias);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot mark the interface %s as ours", link->name) : 0;
}

bool net_is_ours(const struct net_names *names, const struct link *link)
{
	return strncmp(link->alias, names->mark, strlen(names->mark)) == 0;
}

char *net_file(const char *run_dir, const char *prefix, const char *name, const char *suffix)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s%s%s", run_dir, prefix, name, suffix) < 0)
		abort();
	return path;
}

bool net_wants_uplink(const struct net *net)
{
	for (size_t i = 0; i < net->lab->root->network_count; i++)
		if (network_is_home(net->lab->root->networks[i]) && net->lab->root->networks[i]->uplink != UPLINK_NONE)
			return true;
	return false;
}

int net_end_process(const char *pid_file, struct error **err)
{
	cleanup_error struct error *unread = NULL;
	struct process_id id;
	int r = process_read_pid_file(pid_file, &id, &unread);

	if (r == -ENOENT)
		return 0;
	/* A file that cannot be understood names nobody: the child writes it whole or not at all. */
	if (r == 0)
		r = process_end(&id, 2000, err);
	else
		r = 0;
	if (r == 0 && unlink(pid_file) < 0 && errno != ENOENT)
		r = error_errno(err, errno, "cannot remove %s", pid_file);
	return r;
}
