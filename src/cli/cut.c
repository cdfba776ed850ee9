#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/isolation.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

struct cut {
	struct arena *arena;
	struct isolation_setting setting;
	bool by_name; /* guests were named, not only chosen by --all or --tag */
};

/* "example.org:443" → its addresses, each with the port. They are what is allowed from then on, not the name. */
static int resolve(struct cut *cut, const char *text, struct error **err)
{
	const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
	const char *colon = strchr(text, ':');
	char *name = arena_strndup(cut->arena, text, colon ? (size_t)(colon - text) : strlen(text));
	struct addrinfo *found = NULL;
	struct allowance one;
	int r = getaddrinfo(name, NULL, &wanted, &found);

	if (r != 0)
		return error_set(err, EINVAL, "--allow %s: %s", text, gai_strerror(r));
	r = allowance_parse(arena_printf(cut->arena, "0.0.0.0%s", colon ? colon : ""), &one) ? 0 : -EINVAL;
	for (const struct addrinfo *a = found; a && r == 0; a = a->ai_next) {
		bool four = a->ai_family == AF_INET;

		one.asked = name;
		one.to = (struct prefix){.ip = {.family = (uint8_t)a->ai_family}, .length = four ? 32 : 128};
		if (four)
			memcpy(one.to.ip.bytes, &((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr, 4);
		else
			memcpy(one.to.ip.bytes, &((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr,
			       16);
		*arena_push(cut->arena, cut->setting.allowed, cut->setting.allowed_count) = one;
	}
	freeaddrinfo(found);
	return r < 0 ? error_set(err, EINVAL, "--allow %s: what follows the name is no port", text) : 0;
}

static int take_allowed(struct invocation *inv, struct cut *cut, struct error **err)
{
	size_t count = 0;
	const char *const *places = invocation_strings(inv, "allow", &count);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		struct allowance one;

		if (allowance_parse(places[i], &one))
			*arena_push(cut->arena, cut->setting.allowed, cut->setting.allowed_count) = one;
		else
			r = resolve(cut, places[i], err);
	}
	return r;
}

static bool has_fixed_address(const struct guest *guest)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (guest->nics[i].address4.family || guest->nics[i].address6.family)
			return true;
	return false;
}

static int edit(void *data, const struct guest *guest, struct isolation_setting *ret, struct error **err)
{
	const struct cut *cut = data;

	if (cut->setting.allowed_count && !has_fixed_address(guest))
		return error_set(err, EINVAL, "%s has no fixed address by which what is allowed to it could be known",
				 guest->path);
	/* Who cuts many wants less to be let through, nowhere more. */
	if (ret->world == WORLD_SEALED && !cut->by_name)
		ret->open_deadline = ret->open_until = 0;
	else
		*ret = cut->setting;
	return 0;
}

/* What the log is told of the command beyond its guests. */
static const char *words_of(struct invocation *inv, struct arena *arena, const struct isolation_setting *setting)
{
	size_t count = 0;
	const char *const *places = invocation_strings(inv, "allow", &count);
	const char *words = "";

	if (setting->neighbours == NEIGHBOURS_DROP)
		words = " --neighbours drop";
	else if (setting->neighbours == NEIGHBOURS_CUT)
		words = " --strict";
	for (size_t i = 0; i < count; i++)
		words = arena_printf(arena, "%s --allow %s", words, places[i]);
	return words;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct cut cut = {.arena = arena, .setting = {.world = WORLD_CUT}, .by_name = inv->operand_count > 0};
	const char *neighbours = invocation_string(inv, "neighbours");

	if (strcmp(neighbours, neighbours_name(NEIGHBOURS_DROP)) == 0)
		cut.setting.neighbours = NEIGHBOURS_DROP;
	else if (invocation_flag(inv, "strict"))
		cut.setting.neighbours = NEIGHBOURS_CUT;
	if (take_allowed(inv, &cut, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	return isolation_run(inv, words_of(inv, arena, &cut.setting), edit, &cut);
}

const struct command command_cut = {
	.name = "cut",
	.group = GROUP_ISOLATE,
	.summary = "takes guests off the world while their administrators stay connected",
	.description =
		"Nothing of the guest gets to the world any more and nothing of the world to it, in any protocol and "
		"family, flows that live included; connections from its hosts and from this machine go on. It is in "
		"force at "
		"every host above the guest, the outermost first, so not even who has taken over the guest can undo "
		"it.\n\n"
		"The names that its host resolves for it are those of the lab only. The lab's other guests stay "
		"reachable, unless --neighbours drop or --strict say otherwise. Guests of a guest that is cut are cut, "
		"too.\n\n"
		"It lasts until `nestvisor open`, also when the guest, the lab or this machine is started again. A "
		"guest "
		"that does not run is cut when it starts. A sealed guest that --all or --tag takes along stays "
		"sealed. A cut takes the place of an earlier one, with its --strict, --neighbours and --allow: what it does "
		"not say again it takes back, and says so.\n\n"
		"--method nwfilter is for guests that a libvirt of this machine runs: libvirt's filter "
		"nestvisor-cut on their interfaces then stops them, which virsh shows, and takes a third of a second, "
		"during which the lab's rules hold them. What it keeps are the lab's addresses, so --allow, --strict "
		"and "
		"--neighbours drop are not for it. `nestvisor open` takes the filter away; with --method nwfilter it "
		"leaves nestvisor-clean-traffic.\n\n"
		"Adopted guests are held by rules that know their taps and MAC addresses. A flow that a flowtable of "
		"nft's "
		"forwards already goes on, and a domain that its owner starts anew with another MAC address set inside "
		"is "
		"open until `nestvisor up`, which `nestvisor plan` tells. One that no rule can hold (macvtap, a "
		"passed-on "
		"device, vsock) is refused, and with it the whole command.",
	.operands = ISOLATION_OPERANDS,
	.options =
		(const struct command_option[]){
			ISOLATION_OPTIONS,
			{"allow", 'a', OPTION_STRING, "PLACE",
			 .help = "keep this place of the world reachable: HOST, HOST:PORT[/udp], a subnet, or a name, "
				 "which is resolved once; may be repeated",
			 .repeated = true, .no_env = true},
			{"neighbours", .kind = OPTION_CHOICE,
			 .help = "the lab's other guests: reachable as before, or not",
			 .choices = (const char *const[]){"keep", "drop", NULL}, .fallback = "keep"},
			{"strict",
			 .help = "of the lab's other guests only those that are cut as well: none can be its relay"},
			{0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor cut hv1/win11", "one guest"},
			{"nestvisor cut --tag victim --neighbours drop", "and from each other"},
			{"nestvisor cut hv1/win11 --allow 198.51.100.7:443", "all but an update server"},
			{"nestvisor cut win11 --method nwfilter", "by a filter of libvirt's, for a guest of libvirt's"},
			{0}},
	.statuses = ISOLATION_STATUSES,
	.json = "isolation",
	.lab = true,
	.run = run,
};
