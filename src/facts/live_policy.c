/* The rules that choose a routing table, of both families (RTM_GETRULE), with the text that ip-rule(8) would print. */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "facts/field.h"

#include <linux/fib_rules.h>
#include <string.h>
#include <sys/socket.h>

static struct prefix prefix_of(const struct nlattr *attribute, uint8_t length, uint8_t family)
{
	struct ip ip = netlink_get_ip(attribute, family);

	if (!ip.family && length) /* the network 0.0.0.0 */
		ip.family = family;
	return ip.family ? (struct prefix){ip, length} : (struct prefix){};
}

static struct port_range ports_of(const struct nlattr *attribute)
{
	const struct fib_rule_port_range *range = attribute ? mnl_attr_get_payload(attribute) : NULL;

	return range && mnl_attr_get_payload_len(attribute) >= sizeof(*range)
		       ? (struct port_range){true, range->start, range->end}
		       : (struct port_range){};
}

static enum policy_action action_of(uint8_t action)
{
	switch (action) {
	case FR_ACT_TO_TBL:
		return POLICY_RULE_LOOKUP;
	case FR_ACT_GOTO:
		return POLICY_RULE_GOTO;
	case FR_ACT_NOP:
		return POLICY_RULE_NOP;
	case FR_ACT_BLACKHOLE:
		return POLICY_RULE_BLACKHOLE;
	case FR_ACT_UNREACHABLE:
		return POLICY_RULE_UNREACHABLE;
	case FR_ACT_PROHIBIT:
		return POLICY_RULE_PROHIBIT;
	default:
		return POLICY_RULE_UNKNOWN;
	}
}

static void put_ports(struct strbuf *out, const char *word, const struct port_range *range)
{
	if (range->set && range->first == range->last)
		strbuf_printf(out, " %s %u", word, range->first);
	else if (range->set)
		strbuf_printf(out, " %s %u-%u", word, range->first, range->last);
}

static void put_prefix(struct strbuf *out, const struct prefix *prefix)
{
	char text[PREFIX_TEXT_SIZE];

	if (prefix->length == ip_bits(&prefix->ip))
		strbuf_add(out, ip_format(&prefix->ip, text));
	else
		strbuf_add(out, prefix_format(prefix, text));
}

static void put_selectors(struct strbuf *out, const struct policy_rule *rule)
{
	const char *protocol = rule->protocol.known ? symbol_name(TYPE_PROTOCOL, rule->protocol.value) : NULL;

	if (rule->tos.known)
		strbuf_printf(out, " tos 0x%02x", (unsigned)rule->tos.value);
	if (rule->mark.known)
		strbuf_printf(out, " fwmark 0x%x", (unsigned)rule->mark.value);
	if (rule->mark.known && rule->mark_mask.value != UINT32_MAX)
		strbuf_printf(out, "/0x%x", (unsigned)rule->mark_mask.value);
	if (rule->iif)
		strbuf_printf(out, " iif %s", rule->iif);
	if (rule->oif)
		strbuf_printf(out, " oif %s", rule->oif);
	if (rule->uid_first.known)
		strbuf_printf(out, " uidrange %u-%u", (unsigned)rule->uid_first.value, (unsigned)rule->uid_last.value);
	if (protocol)
		strbuf_printf(out, " ipproto %s", protocol);
	else if (rule->protocol.known)
		strbuf_printf(out, " ipproto %u", (unsigned)rule->protocol.value);
	put_ports(out, "sport", &rule->sport);
	put_ports(out, "dport", &rule->dport);
	if (rule->rest)
		strbuf_printf(out, " %s", rule->rest);
}

static void put_action(struct strbuf *out, const struct policy_rule *rule)
{
	static const char *const words[] = {[POLICY_RULE_NOP] = "nop",
					    [POLICY_RULE_BLACKHOLE] = "blackhole",
					    [POLICY_RULE_UNREACHABLE] = "unreachable",
					    [POLICY_RULE_PROHIBIT] = "prohibit",
					    [POLICY_RULE_UNKNOWN] = "?"};

	if (rule->action == POLICY_RULE_GOTO)
		strbuf_printf(out, " goto %u", (unsigned)rule->goto_priority.value);
	else if (rule->action == POLICY_RULE_LOOKUP)
		strbuf_printf(out, " lookup %s", rule->l3mdev ? "[l3mdev-table]" : rule->table ? rule->table : "?");
	else if (words[rule->action])
		strbuf_printf(out, " %s", words[rule->action]);
	if (rule->suppress_prefix_length.known)
		strbuf_printf(out, " suppress_prefixlength %u", (unsigned)rule->suppress_prefix_length.value);
	if (rule->suppress_group.known)
		strbuf_printf(out, " suppress_ifgroup %u", (unsigned)rule->suppress_group.value);
}

/* In ip-rule(8)'s words and order. */
static const char *rule_text(struct live *live, const struct policy_rule *rule)
{
	cleanup_strbuf struct strbuf out = {};

	strbuf_printf(&out, "%u: %sfrom ", (unsigned)rule->priority.value, rule->negated ? "not " : "");
	if (rule->from.ip.family)
		put_prefix(&out, &rule->from);
	else
		strbuf_add(&out, "all");
	if (rule->to.ip.family) {
		strbuf_add(&out, " to ");
		put_prefix(&out, &rule->to);
	}
	put_selectors(&out, rule);
	put_action(&out, rule);
	return arena_strdup(live->pool->arena, out.text);
}

static void take_selectors(struct live *live, struct policy_rule *rule, const struct nlattr *const *a)
{
	const struct fib_rule_uid_range *uids;

	if (a[FRA_IIFNAME])
		rule->iif = pool_text(live->pool, mnl_attr_get_str(a[FRA_IIFNAME]));
	if (a[FRA_OIFNAME])
		rule->oif = pool_text(live->pool, mnl_attr_get_str(a[FRA_OIFNAME]));
	if (a[FRA_FWMARK] || a[FRA_FWMASK]) { /* a mark of 0 is not told */
		rule->mark = number_of(a[FRA_FWMARK] ? mnl_attr_get_u32(a[FRA_FWMARK]) : 0);
		rule->mark_mask = number_of(a[FRA_FWMASK] ? mnl_attr_get_u32(a[FRA_FWMASK]) : UINT32_MAX);
	}
	if (a[FRA_IP_PROTO])
		rule->protocol = number_of(mnl_attr_get_u8(a[FRA_IP_PROTO]));
	rule->sport = ports_of(a[FRA_SPORT_RANGE]);
	rule->dport = ports_of(a[FRA_DPORT_RANGE]);
	if (a[FRA_UID_RANGE] && mnl_attr_get_payload_len(a[FRA_UID_RANGE]) >= sizeof(*uids)) {
		uids = mnl_attr_get_payload(a[FRA_UID_RANGE]);
		rule->uid_first = number_of(uids->start);
		rule->uid_last = number_of(uids->end);
	}
	if (a[FRA_TUN_ID])
		rule->rest = "tun_id";
}

/* Linux 6.14 and later; older headers lack them. A mask of all ones is that of a single port. */
enum { FRA_NUMBER_SPORT_MASK = FRA_DPORT_RANGE + 4, FRA_NUMBER_DPORT_MASK };

/* What newer kernels select by: a rule with such an attribute applies to less than what is known here says. */
static void take_unknown(struct live *live, struct policy_rule *rule, const struct nlattr *attribute)
{
	uint16_t type = mnl_attr_get_type(attribute);
	bool mask = type == FRA_NUMBER_SPORT_MASK || type == FRA_NUMBER_DPORT_MASK;

	if (type <= FRA_DPORT_RANGE || (mask && mnl_attr_get_u16(attribute) == UINT16_MAX))
		return;
	rule->rest = pool_text(live->pool, arena_printf(live->pool->arena, "[attribute %u]", type));
}

static void take_rule(const struct nlmsghdr *message, void *data)
{
	struct live *live = data;
	struct facts *facts = live->facts;
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[FRA_MAX + 1], *attribute;
	struct policy_rule rule = {.family = header->family, .origin = {.source = LIVE_ROUTE}};
	uint32_t table;

	if (message->nlmsg_type != RTM_NEWRULE || (header->family != AF_INET && header->family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*header), a, FRA_MAX);
	rule.priority = number_of(a[FRA_PRIORITY] ? mnl_attr_get_u32(a[FRA_PRIORITY]) : 0);
	rule.negated = header->flags & FIB_RULE_INVERT;
	rule.from = prefix_of(a[FRA_SRC], header->src_len, header->family);
	rule.to = prefix_of(a[FRA_DST], header->dst_len, header->family);
	if (header->tos)
		rule.tos = number_of(header->tos);
	take_selectors(live, &rule, a);
	netlink_for_each (attribute, message, sizeof(*header))
		take_unknown(live, &rule, attribute);
	rule.action = action_of(header->action);
	rule.l3mdev = a[FRA_L3MDEV] && mnl_attr_get_u8(a[FRA_L3MDEV]);
	table = a[FRA_TABLE] ? mnl_attr_get_u32(a[FRA_TABLE]) : header->table;
	if (rule.action == POLICY_RULE_LOOKUP && !rule.l3mdev)
		rule.table = live_name(live, LIVE_TABLES, table);
	if (rule.action == POLICY_RULE_GOTO)
		rule.goto_priority = live_u32(a[FRA_GOTO]);
	/* All ones: none. */
	if (a[FRA_SUPPRESS_PREFIXLEN] && mnl_attr_get_u32(a[FRA_SUPPRESS_PREFIXLEN]) != UINT32_MAX)
		rule.suppress_prefix_length = live_u32(a[FRA_SUPPRESS_PREFIXLEN]);
	if (a[FRA_SUPPRESS_IFGROUP] && mnl_attr_get_u32(a[FRA_SUPPRESS_IFGROUP]) != UINT32_MAX)
		rule.suppress_group = live_u32(a[FRA_SUPPRESS_IFGROUP]);
	rule.text = rule_text(live, &rule);
	*arena_push(live->pool->arena, facts->policy_rules, facts->policy_rule_count) = rule;
}

static enum truth read_rules(struct live *live, uint8_t family, const char *command)
{
	struct nlmsghdr *request = netlink_begin(&live->route, RTM_GETRULE, NLM_F_DUMP);
	struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct facts *facts = live->facts;
	size_t before = facts->policy_rule_count;
	int r;

	header->family = family;
	r = live_dump(&live->route, request, take_rule, live, &facts->policy_rule_count);
	if (r < 0) {
		live_unknown(live, LIVE_ROUTE, command, "policy rules: %s", strerror(-r));
		return facts->policy_rule_count > before ? TRUTH_NO : TRUTH_UNKNOWN;
	}
	live_capture(live, LIVE_ROUTE, command)->items = (uint32_t)(facts->policy_rule_count - before);
	return TRUTH_YES;
}

void live_policy_rules(struct live *live)
{
	live->facts->policy_rules4_known = read_rules(live, AF_INET, "ip rule");
	live->facts->policy_rules6_known = read_rules(live, AF_INET6, "ip -6 rule");
}
