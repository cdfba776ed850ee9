/* The lab's rules in its namespace: what rules.c says, loaded and checked by ruleset.c. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/rules.h"
#include "net/ruleset.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* The subnets that this host is attached to, other than by its uplinks into labs; in a fixed order without doubles. */
static int look_above(struct net *net, struct prefix **ret, size_t *ret_count, struct error **err)
{
	cleanup_free struct link_address *addresses = NULL;
	cleanup_free struct link *links = NULL;
	size_t address_count = 0, link_count = 0;
	struct netlink *root;
	struct prefix *above;
	int r = net_root(net, &root, err);

	if (r == 0)
		r = link_addresses(root, 0, &addresses, &address_count, err);
	if (r == 0)
		r = link_list(root, &links, &link_count, err);
	if (r < 0)
		return r;
	above = calloc(address_count + 1, sizeof(*above));
	if (!above)
		abort();
	for (size_t i = 0; i < address_count; i++) {
		struct prefix subnet = prefix_network(&addresses[i].prefix);
		bool leave_out = false;

		for (size_t j = 0; j < link_count && !leave_out; j++)
			leave_out =
				links[j].index == addresses[i].index &&
				(strcmp(links[j].name, "lo") == 0 || strncmp(links[j].alias, "nestvisor:", 10) == 0);
		for (size_t j = 0; j < *ret_count && !leave_out; j++)
			leave_out = prefix_overlaps(&above[j], &subnet);
		if (subnet.ip.family == AF_INET6 && subnet.ip.bytes[0] == 0xfe)
			leave_out = true; /* link-local is never forwarded */
		if (!leave_out)
			above[(*ret_count)++] = subnet;
	}
	*ret = above;
	return 0;
}

static int format(struct net *net, struct strbuf *text, struct error **err)
{
	cleanup_free struct prefix *above = NULL;
	size_t count = 0;
	int r = net->lab->root->layer > 0 ? look_above(net, &above, &count, err) : 0;

	if (r == 0)
		rules_format(net->lab, above, count, text);
	return r;
}

static const char *const tables[] = {"inet nestvisor", "bridge nestvisor", NULL};

static int check(struct net *net, const char *record, const char *text, bool *ret_same, struct error **err)
{
	const struct ruleset set = {.netns = net->netns, .tables = tables, .record = record};

	if (net->netns < 0) {
		*ret_same = false;
		return 0;
	}
	return ruleset_check(&set, text, ret_same, err);
}

int net_check_rules(struct net *net, bool *ret_same, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".inside", "");
	cleanup_strbuf struct strbuf text = {0};
	int r;

	*ret_same = false;
	pthread_mutex_lock(&net->mutex);
	r = format(net, &text, err);
	if (r == 0)
		r = check(net, record, text.text, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "rules") : 0;
}

static int make_rules(struct net *net, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".inside", "");
	cleanup_strbuf struct strbuf text = {0};
	const struct ruleset set = {.netns = net->netns, .tables = tables, .record = record};
	struct netlink *inside;
	bool same = false;
	int r = net_inside(net, &inside, err); /* says what to do where there is no namespace */

	if (r == 0)
		r = format(net, &text, err);
	if (r == 0)
		r = check(net, record, text.text, &same, err);
	return r < 0 || same ? r : ruleset_load(&set, text.text, err);
}

int net_make_rules(struct net *net, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_rules(net, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "rules") : 0;
}
