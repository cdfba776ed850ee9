#include "cli/fixing.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LOOK_MS = 60000 };

/* Messages are compared, and administrators' programs are not in everybody's PATH. */
static const char prologue[] =
	"LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin; export LC_ALL PATH; ";

const char *fixing_quote(struct arena *arena, const char *word)
{
	cleanup_strbuf struct strbuf text = {0};

	strbuf_add_char(&text, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			strbuf_add(&text, "'\\''");
		else
			strbuf_add_char(&text, *word);
	}
	strbuf_add_char(&text, '\'');
	return arena_strdup(arena, text.text);
}

static int shell_there(const struct fixing *fixing, const char *host, const char *script, bool gone,
		       const char *const **ret, struct error **err)
{
	const char *text = arena_printf(fixing->arena, "%s%s", prologue, script);

	return hosts_argv(fixing->hosts, host, (const char *const[]){"sh", "-c", text, NULL}, gone, ret, err);
}

int fixing_look(const struct fixing *fixing, const char *host, const char *script, const char **ret, struct error **err)
{
	struct process_spec spec = {.netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	int r = shell_there(fixing, host, script, false, &spec.argv, err);

	if (r == 0)
		r = process_run(&spec, NULL, 0, LOOK_MS, fixing->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "it ended with status %d: %s", output.status, output.err);
	if (r < 0)
		return error_wrap(err, "cannot look at %s", host);
	*ret = arena_strndup(fixing->arena, output.out, output.out_length);
	return 0;
}

static const char *shown_on(const struct fixing *fixing, const char *host, const char *text)
{
	return arena_printf(fixing->arena, "on %s: %s", host, text);
}

int fixing_add(struct fixing *fixing, const struct fixing_step *step, struct error **err)
{
	struct fix_action *actions = (struct fix_action *)fixing->fix.actions, *action;
	int r;

	action = arena_push(fixing->arena, actions, fixing->fix.action_count);
	fixing->fix.actions = actions;
	*action = (struct fix_action){.kind = FIX_RUN};
	action->run_more = (struct fix_command){step->input, shown_on(fixing, step->host, step->shown)};
	r = shell_there(fixing, step->host, step->run, false, &action->run, err);
	if (r < 0 || !step->undo)
		return r;
	action->undo_more = (struct fix_command){step->undo_input, shown_on(fixing, step->host, step->undo_shown)};
	return shell_there(fixing, step->host, step->undo, true, &action->undo, err);
}

/* ---- what takes a change back, also where it was not made ---- */

/* Unless the program says that there is nothing of the kind. */
static const char *unless_told(struct arena *arena, const char *command, const char *patterns)
{
	return arena_printf(
		arena,
		"said=$(%s 2>&1) && exit 0; case $said in %s) exit 0;; esac; printf '%%s\\n' \"$said\" >&2; "
		"exit 1",
		command, patterns);
}

/* A route or a rule for routes that is not there, or whose interface went and took it along. */
static const char *undo_of_route(struct arena *arena, const struct change *change)
{
	return unless_told(arena, change->undo,
			   "*'No such process'*|*'No such file or directory'*|*'Cannot find device'*");
}

/* How many rules of the chain say the same already: the one that is put in front of them is the first. */
static size_t count_same(const struct fixing *fixing, const struct change *change)
{
	const struct facts *facts = bundle_host(fixing->bundle, change->host);
	const struct table *table =
		ruleset_table(&facts->ruleset, change->rule.backend, change->rule.family, change->rule.table);
	const struct chain *chain = table ? table_chain(table, change->rule.chain) : NULL;
	size_t count = 0;

	for (size_t i = 0; chain && i < chain->rule_count; i++)
		count += chain->rules[i].text && strstr(chain->rules[i].text, change->rule.text);
	return count;
}

/* iptables removes by what a rule says: where others say the same, ours is one too many. */
static const char *undo_of_xtables(const struct fixing *fixing, const struct change *change)
{
	struct arena *arena = fixing->arena;
	size_t same = count_same(fixing, change);
	const char *program = change->undo, *end = strstr(change->undo, " -D ");
	const char *undo = unless_told(arena, change->undo,
				       "*'does a matching rule exist'*|*'does not exist'*|*'No chain/target/match'*");

	if (same && end)
		undo = arena_printf(arena, "[ $(%.*s -S %s | grep -c -F -e %s) -gt %zu ] || exit 0; %s",
				    (int)(end - program), program, change->rule.chain,
				    fixing_quote(arena, change->rule.text), same, undo);
	if (!change->rule.created)
		return undo;
	/* The table came with the rule: iptables over nftables leaves it. */
	return arena_printf(
		arena,
		"(%s) || exit 1; nft list table %s %s 2>/dev/null | grep -q -e counter -e 'jump ' || nft delete "
		"table %s %s 2>/dev/null || true",
		undo, family_name(change->rule.family), change->rule.table, family_name(change->rule.family),
		change->rule.table);
}

/* nft removes by handle: that of each rule with our name. */
static const char *undo_of_nft(struct arena *arena, const struct change *change)
{
	const char *chain = arena_printf(arena, "%s %s %s", family_name(change->rule.family), change->rule.table,
					 change->rule.chain),
		   *name = strstr(change->undo, "/nestvisor-");

	return arena_printf(
		arena,
		"nft list tables >/dev/null || exit 1; for handle in $(nft -a list chain %s 2>/dev/null | sed -n "
		"'%.*ss/.* # handle //p'); do nft delete rule %s handle \"$handle\" || exit 1; done",
		chain, (int)(strcspn(name + 1, "/") + 2), name, chain);
}

/* ---- sysctls: what they are now is asked, since one sets others ---- */

/* "net.ipv4.conf.eth0/1.forwarding" is /proc/sys/net/ipv4/conf/eth0.1/forwarding (sysctl.conf(5)). */
static const char *sysctl_path(struct arena *arena, const char *name)
{
	char *path = (char *)arena_printf(arena, "/proc/sys/%s", name);

	for (char *c = path + strlen("/proc/sys/"); *c; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	return path;
}

/* What the kernel sets along: see inet_forward_change() and addrconf_fixup_forwarding(). */
static const char *set_along(const char *name)
{
	if (strcmp(name, "net.ipv4.ip_forward") == 0 || strcmp(name, "net.ipv4.conf.all.forwarding") == 0)
		return "/proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv4/conf/all/accept_redirects";
	return strcmp(name, "net.ipv6.conf.all.forwarding") == 0 ? "/proc/sys/net/ipv6/conf/*/forwarding" : "";
}

static int undo_of_sysctl(const struct fixing *fixing, const struct change *change, const char **ret,
			  struct error **err)
{
	const char *path = sysctl_path(fixing->arena, change->sysctl.name), *values;
	cleanup_strbuf struct strbuf undo = {0};
	int r = fixing_look(fixing, change->host,
			    arena_printf(fixing->arena, "grep -H '' %s %s", path, set_along(change->sysctl.name)),
			    &values, err);

	if (r < 0)
		return r;
	/* The first is the one that sets the others. */
	strbuf_add(&undo, "w() { [ ! -e \"$1\" ] || [ \"$(cat \"$1\")\" = \"$2\" ] || echo \"$2\" >\"$1\"; }");
	while (*values) {
		size_t length = strcspn(values, "\n");
		const char *colon = memchr(values, ':', length);

		if (colon)
			strbuf_printf(&undo, "; w %.*s '%.*s' || exit 1", (int)(colon - values), values,
				      (int)(length - (size_t)(colon + 1 - values)), colon + 1);
		values += length + (values[length] == '\n');
	}
	*ret = arena_strdup(fixing->arena, undo.text);
	return 0;
}

int fixing_add_change(struct fixing *fixing, const struct change *change, struct error **err)
{
	struct fixing_step step = {.host = change->host,
				   .run = change->command,
				   .shown = change->command,
				   .undo = change->undo,
				   .undo_shown = change->undo};
	int r = 0;

	switch (change->kind) {
	case CHANGE_ROUTE:
		if (!change->route.replaces)
			step.undo = undo_of_route(fixing->arena, change);
		break;
	case CHANGE_POLICY:
		step.undo = undo_of_route(fixing->arena, change);
		break;
	case CHANGE_RULE:
	case CHANGE_NAT:
		step.undo = change->rule.backend == BACKEND_NFTABLES ? undo_of_nft(fixing->arena, change)
								     : undo_of_xtables(fixing, change);
		break;
	case CHANGE_SYSCTL:
		r = undo_of_sysctl(fixing, change, &step.undo, err);
		step.undo_shown = change->undo
					  ? change->undo
					  : arena_printf(fixing->arena, "sysctl: %s, as it was", change->sysctl.name);
		break;
	case CHANGE_LINK:
	case CHANGE_KIND_COUNT:
		break;
	}
	return r < 0 ? r : fixing_add(fixing, &step, err);
}
