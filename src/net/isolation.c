/* The lab's rules in its namespace: what rules.c says, loaded and checked by ruleset.c. */
#include "model/isolation.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "model/lab.h"
#include "net/batch.h"
#include "net/elements.h"
#include "net/flows.h"
#include "net/net_internal.h"
#include "net/rules.h"
#include "net/ruleset.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

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

/* Borrowed; where nobody has set any, a new one of the lab file's, which is then the caller's, too. */
static const struct isolation *isolation_of(const struct net *net, struct isolation **ret_own)
{
	if (!net->isolation && !*ret_own)
		*ret_own = isolation_new(net->lab);
	return net->isolation ? net->isolation : *ret_own;
}

void net_set_isolation(struct net *net, const struct isolation *isolation)
{
	pthread_mutex_lock(&net->mutex);
	net->isolation = isolation;
	pthread_mutex_unlock(&net->mutex);
}

static int format(struct net *net, struct strbuf *text, struct error **err)
{
	cleanup_isolation struct isolation *own = NULL;
	cleanup_free struct prefix *above = NULL;
	size_t count = 0;
	int r = net->lab->root->layer > 0 ? look_above(net, &above, &count, err) : 0;

	if (r == 0)
		rules_format(isolation_of(net, &own), above, count, text);
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
	if (net->lab->adopted) {
		cleanup_isolation struct isolation *own = NULL;

		r = net_check_adopted(net, isolation_of(net, &own), ret_same, err);
		pthread_mutex_unlock(&net->mutex);
		return r < 0 ? error_wrap(err, "rules") : 0;
	}
	r = format(net, &text, err);
	if (r == 0)
		r = check(net, record, text.text, ret_same, err);
	if (r == 0 && *ret_same)
		r = net_check_guard(net, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "rules") : 0;
}

static int load(struct net *net, const char *record, const char *text, struct error **err)
{
	const struct ruleset set = {.netns = net->netns, .tables = tables, .record = record};
	cleanup_isolation struct isolation *own = NULL;
	cleanup_strbuf struct strbuf openings = {0};

	rules_format_openings(isolation_of(net, &own), &openings);
	return ruleset_load(&set, text, openings.text, err);
}

static int make_rules(struct net *net, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".inside", "");
	cleanup_strbuf struct strbuf text = {0};
	struct netlink *inside;
	bool same = false;
	int r = net_inside(net, &inside, err); /* says what to do where there is no namespace */

	if (r == 0)
		r = net_make_guard(net, err);
	if (r == 0)
		r = format(net, &text, err);
	if (r == 0)
		r = check(net, record, text.text, &same, err);
	return r < 0 || same ? r : load(net, record, text.text, err);
}

static int make_adopted(struct net *net, struct error **err)
{
	cleanup_isolation struct isolation *own = NULL;

	return net_load_adopted(net, isolation_of(net, &own), true, err);
}

int net_make_rules(struct net *net, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = net->lab->adopted ? make_adopted(net, err) : make_rules(net, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "rules") : 0;
}

/* ─── switching ─── */

/* How many elements from `at` on are of one table and set. */
static size_t run_length(const struct elements *list, size_t at)
{
	size_t end = at;

	while (end < list->count && list->items[end].table == list->items[at].table &&
	       list->items[end].set == list->items[at].set)
		end++;
	return end - at;
}

/*
 * Elements that may have ended by themselves cannot be deleted one by one: the kernel knows them or does not. Where any
 * of such a set differs, it is emptied and filled anew with what is left of each.
 */
static void refill(struct batch *batch, uint8_t table, enum element_set_id set, const struct element *after,
		   size_t count)
{
	batch_flush(batch, table, set);
	for (size_t i = 0; i < count; i++)
		if (after[i].open_ms > 0)
			batch_add(batch, &after[i], 1);
}

static bool all_same(const struct element *before, size_t before_count, const struct element *after, size_t after_count)
{
	if (before_count != after_count)
		return false;
	for (size_t i = 0; i < before_count; i++)
		if (element_compare(&before[i], &after[i]) != 0 || !element_same(&before[i], &after[i]))
			return false;
	return true;
}

/* Two sorted runs of one set: what is only in the first goes, what is only in the second comes. Deletions first, for an
 * element that becomes another one is both. */
static size_t exchange(struct batch *batch, const struct element *before, size_t before_count,
		       const struct element *after, size_t after_count)
{
	struct elements gone = {.items = calloc(before_count + 1, sizeof(*before))};
	struct elements come = {.items = calloc(after_count + 1, sizeof(*after))};
	size_t i = 0, j = 0, changes;

	if (!gone.items || !come.items)
		abort();
	while (i < before_count || j < after_count) {
		int order = i == before_count ? 1 : j == after_count ? -1 : element_compare(&before[i], &after[j]);

		if (order == 0 && element_same(&before[i], &after[j])) {
			i++;
			j++;
			continue;
		}
		if (order <= 0)
			gone.items[gone.count++] = before[i++];
		if (order >= 0)
			come.items[come.count++] = after[j++];
	}
	if (gone.count)
		batch_delete(batch, gone.items, gone.count);
	if (come.count)
		batch_add(batch, come.items, come.count);
	changes = gone.count + come.count;
	elements_clear(&gone);
	elements_clear(&come);
	return changes;
}

/* Fills the batch with all that leads from one list to the other; returns how many elements that are. */
static size_t difference(struct batch *batch, const struct elements *before, const struct elements *after)
{
	size_t i = 0, j = 0, changes = 0;

	while (i < before->count || j < after->count) {
		const struct element *a = i < before->count ? &before->items[i] : NULL;
		const struct element *b = j < after->count ? &after->items[j] : NULL;
		int order = !a ? 1 : !b ? -1 : (int)(a->table * 256 + a->set) - (int)(b->table * 256 + b->set);
		size_t n = order <= 0 ? run_length(before, i) : 0, m = order >= 0 ? run_length(after, j) : 0;
		const struct element *any = order <= 0 ? a : b;

		if (!element_sets[any->set].timeout) {
			changes += exchange(batch, before->items + i, n, after->items + j, m);
		} else if (!all_same(before->items + i, n, after->items + j, m)) {
			refill(batch, any->table, (enum element_set_id)any->set, after->items + j, m);
			changes += n + m;
		}
		i += n;
		j += m;
	}
	return changes;
}

/* The quick way. -ESTALE where the rules in the kernel are not known to be those of before. */
static int switch_elements(struct net *net, const char *record, const char *before_text, const char *after_text,
			   const struct isolation *before, const struct isolation *after, struct net_switched *ret,
			   struct error **err)
{
	struct ruleset set = {.netns = net->netns, .tables = tables, .record = record};
	cleanup_elements struct elements old = {0}, new = {0};
	cleanup_batch struct batch *batch = NULL;
	uint32_t generation;
	int r = net_filter(net, &set.filter, err);

	if (r == 0)
		r = ruleset_generation(&set, before_text, &generation);
	if (r < 0)
		return r;
	batch = batch_new();
	elements_collect(before, &old);
	elements_collect(after, &new);
	ret->elements = difference(batch, &old, &new);
	if (!ret->elements)
		return 0;
	r = batch_commit(batch, set.filter, generation, &ret->transaction_ns, err);
	return r < 0 ? r : ruleset_note(&set, after_text, generation + 1, err);
}

/* The tables are small, and made anew in one transaction. */
static int switch_adopted(struct net *net, const struct isolation *after, struct net_switched *ret, struct error **err)
{
	struct timespec began, ended;
	int r;

	net->isolation = after;
	clock_gettime(CLOCK_MONOTONIC, &began);
	r = net_load_adopted(net, after, false, err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	*ret = (struct net_switched){.transaction_ns = (ended.tv_sec - began.tv_sec) * 1000000000LL +
						       (ended.tv_nsec - began.tv_nsec)};
	return r;
}

static int switch_rules(struct net *net, const struct isolation *before, const struct isolation *after,
			struct net_switched *ret, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".inside", "");
	cleanup_strbuf struct strbuf old_text = {0}, new_text = {0};
	cleanup_error struct error *unread = NULL;
	struct timespec began, ended;
	struct netlink *inside;
	int r = net_inside(net, &inside, err);

	*ret = (struct net_switched){0};
	if (r == 0)
		r = format(net, &old_text, err);
	net->isolation = after;
	if (r == 0)
		r = format(net, &new_text, err);
	if (r < 0)
		return r;
	r = switch_elements(net, record, old_text.text, new_text.text, before, after, ret, &unread);
	if (r == 0)
		return 0;
	/* Somebody else has changed the rules, or they are of another lab: all of them anew, in one transaction, too.
	 */
	*ret = (struct net_switched){.reloaded = true};
	clock_gettime(CLOCK_MONOTONIC, &began);
	r = load(net, record, new_text.text, err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ret->transaction_ns = (ended.tv_sec - began.tv_sec) * 1000000000LL + (ended.tv_nsec - began.tv_nsec);
	return r;
}

static int end_flows(struct net *net, const struct isolation *before, const struct isolation *after, size_t *ret_count,
		     struct error **err)
{
	cleanup_free struct prefix *above = NULL;
	size_t above_count = 0;
	int r = net->lab->root->layer > 0 ? look_above(net, &above, &above_count, err) : 0;

	return r < 0 ? r : flows_end(net, before, after, above, above_count, ret_count, err);
}

int net_end_flows(struct net *net, const struct isolation *before, const struct isolation *after, size_t *ret_count,
		  struct error **err)
{
	int r;

	*ret_count = 0;
	if (net->lab->adopted) /* others have flows in there, too; the rules stop those of the guests, both ways */
		return 0;
	pthread_mutex_lock(&net->mutex);
	r = end_flows(net, before, after, ret_count, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "flows") : 0;
}

int net_end_all_flows(struct net *net, const struct guest *guest, size_t *ret_count, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = flows_end_all(net, guest, ret_count, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "flows") : 0;
}

int net_isolate(struct net *net, const struct isolation *after, struct net_switched *ret, struct error **err)
{
	cleanup_isolation struct isolation *own = NULL;
	int r;

	pthread_mutex_lock(&net->mutex);
	r = net->lab->adopted ? switch_adopted(net, after, ret, err)
			      : switch_rules(net, isolation_of(net, &own), after, ret, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "rules") : 0;
}
