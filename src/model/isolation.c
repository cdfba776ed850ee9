#include "model/isolation.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "model/status.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const neighbours_names[] = {"keep", "cut", "drop"};

const char *neighbours_name(enum neighbours neighbours)
{
	return neighbours_names[neighbours];
}

static const char *const method_names[] = {"nft", "nwfilter"};

const char *isolation_method_name(enum isolation_method method)
{
	return method_names[method];
}

static long long monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void isolation_clock_read(struct isolation_clock *ret)
{
	cleanup_free char *boot = NULL;
	size_t length;

	*ret = (struct isolation_clock){.wall = (long long)time(NULL), .monotonic = monotonic_ms()};
	if (file_read("/proc/sys/kernel/random/boot_id", 128, &boot, &length, NULL) == 0)
		snprintf(ret->boot, sizeof(ret->boot), "%.*s", (int)strcspn(boot, "\n"), boot);
}

static struct isolation_setting of_file(const struct guest *guest)
{
	return (struct isolation_setting){.world = guest->world};
}

struct isolation *isolation_new(const struct lab *lab)
{
	struct arena *arena = arena_new();
	struct isolation *isolation = arena_new_struct(arena, struct isolation);

	*isolation = (struct isolation){.arena = arena, .lab = lab};
	isolation->settings = arena_alloc(arena, (lab->guest_count + 1) * sizeof(*isolation->settings));
	for (size_t i = 0; i < lab->guest_count; i++)
		isolation->settings[i] = of_file(lab->guests[i]);
	return isolation;
}

void isolation_free(struct isolation *isolation)
{
	if (isolation)
		arena_free(isolation->arena);
}

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_strdup(arena, text) : NULL;
}

static struct isolation_setting copy_setting(struct arena *arena, const struct isolation_setting *from)
{
	struct isolation_setting to = *from;

	to.by = copy_text(arena, from->by);
	to.allowed = arena_alloc(arena, (from->allowed_count + 1) * sizeof(*to.allowed));
	for (size_t i = 0; i < from->allowed_count; i++) {
		to.allowed[i] = from->allowed[i];
		to.allowed[i].asked = copy_text(arena, from->allowed[i].asked);
	}
	return to;
}

struct isolation *isolation_copy(const struct isolation *from)
{
	struct isolation *to = isolation_new(from->lab);

	to->serial = from->serial;
	to->above = from->above;
	for (size_t i = 0; i < from->lab->guest_count; i++)
		to->settings[i] = copy_setting(to->arena, &from->settings[i]);
	return to;
}

static long long least(long long a, long long b)
{
	return a < b ? a : b;
}

static struct isolation_effect effect_of(const struct isolation *isolation, const struct guest *guest, bool rules_only)
{
	struct isolation_effect effect = {.world = WORLD_OPEN};
	long long deadline = 0;
	size_t closed = 0;

	for (; guest; guest = guest->parent->guest) {
		const struct isolation_setting *s = &isolation->settings[guest->index];

		if (s->world == WORLD_OPEN || (rules_only && s->method != ISOLATION_NFT))
			continue;
		if (s->world > effect.world)
			effect.world = s->world;
		if (s->neighbours > effect.neighbours)
			effect.neighbours = s->neighbours;
		effect.open_until = closed ? least(effect.open_until, s->open_until) : s->open_until;
		deadline = closed ? least(deadline, s->open_deadline) : s->open_deadline;
		effect.allowed = s->allowed;
		effect.allowed_count = s->allowed_count;
		closed++;
	}
	if (effect.open_until && deadline > monotonic_ms())
		effect.open_ms = deadline - monotonic_ms();
	if (closed != 1 || effect.world == WORLD_SEALED) /* what one of several keeps, the others do not */
		effect.allowed_count = 0;
	return effect;
}

struct isolation_effect isolation_effect(const struct isolation *isolation, const struct guest *guest)
{
	return effect_of(isolation, guest, false);
}

struct isolation_effect isolation_rules_effect(const struct isolation *isolation, const struct guest *guest)
{
	return effect_of(isolation, guest, true);
}

enum world isolation_world(const struct isolation *isolation, const struct guest *guest)
{
	struct isolation_effect effect = isolation_effect(isolation, guest);

	return effect.open_ms > 0 ? WORLD_OPEN : effect.world;
}

enum world status_world(const struct lab_status *status, const struct guest *guest)
{
	return status && status->isolation ? isolation_world(status->isolation, guest) : guest->world;
}

static bool same_allowance(const struct allowance *a, const struct allowance *b)
{
	return ip_equal(&a->to.ip, &b->to.ip) && a->to.length == b->to.length && a->protocol == b->protocol &&
	       a->port == b->port;
}

bool isolation_same_setting(const struct isolation_setting *a, const struct isolation_setting *b)
{
	if (a->world != b->world || a->neighbours != b->neighbours || a->method != b->method ||
	    a->open_until != b->open_until || a->allowed_count != b->allowed_count)
		return false;
	for (size_t i = 0; i < a->allowed_count; i++)
		if (!same_allowance(&a->allowed[i], &b->allowed[i]))
			return false;
	return true;
}

const struct guest *isolation_keeps(const struct isolation *isolation, const struct guest *guest, bool among)
{
	const struct guest *found = NULL;

	if (among && isolation_world(isolation, guest) == WORLD_CUT &&
	    isolation_effect(isolation, guest).neighbours == NEIGHBOURS_KEEP)
		return NULL;
	for (; guest; guest = guest->parent->guest)
		if (isolation_world(isolation, guest) != WORLD_OPEN)
			found = guest;
	return found;
}

void isolation_set(struct isolation *isolation, const struct guest *guest, const struct isolation_setting *setting)
{
	struct isolation_setting *s = &isolation->settings[guest->index], file = of_file(guest);

	*s = copy_setting(isolation->arena, setting);
	s->at_run_time = !isolation_same_setting(s, &file);
}

/* ─── allowances ─── */

const char *allowance_format(const struct allowance *allowance, char text[ALLOWANCE_TEXT_SIZE])
{
	char to[PREFIX_TEXT_SIZE];
	bool whole = allowance->to.length == ip_bits(&allowance->to.ip);
	bool brackets = allowance->port && allowance->to.ip.family == AF_INET6;

	if (whole)
		ip_format(&allowance->to.ip, to);
	else
		prefix_format(&allowance->to, to);
	if (!allowance->port)
		snprintf(text, ALLOWANCE_TEXT_SIZE, "%s", to);
	else
		snprintf(text, ALLOWANCE_TEXT_SIZE, "%s%s%s:%u/%s", brackets ? "[" : "", to, brackets ? "]" : "",
			 allowance->port, allowance->protocol == IPPROTO_UDP ? "udp" : "tcp");
	return text;
}

static bool parse_port(const char *text, struct allowance *ret)
{
	unsigned port = 0;
	int length = 0;

	if (sscanf(text, "%5u%n", &port, &length) != 1 || port < 1 || port > 65535 || text[0] < '0' || text[0] > '9')
		return false;
	ret->port = (uint16_t)port;
	ret->protocol = strcmp(text + length, "/udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
	return text[length] == '\0' || strcmp(text + length, "/tcp") == 0 || ret->protocol == IPPROTO_UDP;
}

bool allowance_parse(const char *text, struct allowance *ret)
{
	char place[PREFIX_TEXT_SIZE];
	const char *end = text + strlen(text), *port = NULL;

	*ret = (struct allowance){0};
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || end[1] != ':')
			return false;
		port = end + 2;
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		end = strchr(text, ':');
		port = end + 1;
	}
	if (end - text >= (ptrdiff_t)sizeof(place))
		return false;
	snprintf(place, sizeof(place), "%.*s", (int)(end - text), text);
	if (port && !parse_port(port, ret))
		return false;
	if (!prefix_parse(place, &ret->to))
		return false;
	ret->to = prefix_network(&ret->to);
	return true;
}

/* ─── JSON ─── */

static json_t *setting_json(const struct isolation_setting *s, const struct isolation_clock *clock, bool portable)
{
	json_t *json = json_pack("{s:s, s:s, s:I, s:I}", "world", world_name(s->world), "neighbours",
				 neighbours_name(s->neighbours), "since", (json_int_t)s->since, "serial",
				 (json_int_t)s->serial);
	long long left = s->open_deadline - clock->monotonic;
	json_t *allowed = json_array();

	for (size_t i = 0; i < s->allowed_count; i++) {
		char text[ALLOWANCE_TEXT_SIZE];

		json_array_append_new(allowed, json_pack("{s:s, s:s*}", "to", allowance_format(&s->allowed[i], text),
							 "asked", s->allowed[i].asked));
	}
	json_object_set_new(json, "allow", allowed);
	if (s->method != ISOLATION_NFT)
		json_object_set_new(json, "method", json_string(isolation_method_name(s->method)));
	if (s->by)
		json_object_set_new(json, "by", json_string(s->by));
	if (s->open_until && portable)
		json_object_set_new(json, "open",
				    json_pack("{s:I, s:I}", "until", (json_int_t)s->open_until, "left_ms",
					      (json_int_t)(left > 0 ? left : 0)));
	else if (s->open_until)
		json_object_set_new(json, "open",
				    json_pack("{s:I, s:I, s:s}", "until", (json_int_t)s->open_until, "monotonic_ms",
					      (json_int_t)s->open_deadline, "boot", clock->boot));
	return json;
}

json_t *isolation_json(const struct isolation *isolation, const struct host *below, const struct isolation_clock *clock,
		       bool portable)
{
	json_t *guests = json_object();

	for (size_t i = 0; i < isolation->lab->guest_count; i++) {
		const struct guest *guest = isolation->lab->guests[i];

		if (isolation->settings[i].at_run_time && (!below || host_has(below, guest)))
			json_object_set_new(guests, guest->path,
					    setting_json(&isolation->settings[i], clock, portable));
	}
	return json_pack("{s:I, s:I, s:o}", "serial", (json_int_t)isolation->serial, "above",
			 (json_int_t)isolation->above, "guests", guests);
}

static void read_opening(const json_t *open, const struct isolation_clock *clock, struct isolation_setting *ret)
{
	long long left = json_get_integer(open, "left_ms", -1);

	if (!open)
		return;
	ret->open_until = json_get_integer(open, "until", 0);
	if (left >= 0) /* said by another host, whose clocks are not ours */
		ret->open_deadline = clock->monotonic + left;
	else if (clock->boot[0] && strcmp(json_get_string(open, "boot", ""), clock->boot) == 0)
		ret->open_deadline = json_get_integer(open, "monotonic_ms", 0);
	else
		ret->open_deadline = clock->monotonic + (ret->open_until - clock->wall) * 1000;
}

static int read_allowed(struct arena *arena, const json_t *list, struct isolation_setting *ret, struct error **err)
{
	size_t i;
	json_t *one;

	ret->allowed = arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*ret->allowed));
	json_array_foreach ((json_t *)(uintptr_t)list, i, one) {
		struct allowance *allowance = &ret->allowed[ret->allowed_count++];
		const char *text = json_get_string(one, "to", "");

		if (!allowance_parse(text, allowance))
			return error_set(err, EINVAL, "isolation: \"%.60s\" is no address", text);
		allowance->asked = copy_text(arena, json_get_string(one, "asked", NULL));
	}
	return 0;
}

static int find_name(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static int read_setting(struct isolation *isolation, const struct guest *guest, const json_t *json,
			const struct isolation_clock *clock, struct error **err)
{
	const char *worlds[] = {world_name(WORLD_OPEN), world_name(WORLD_CUT), world_name(WORLD_SEALED)};
	int world = find_name(json_get_string(json, "world", ""), worlds, 3);
	int neighbours = find_name(json_get_string(json, "neighbours", ""), neighbours_names, 3);
	int method = find_name(json_get_string(json, "method", method_names[ISOLATION_NFT]), method_names, 2);
	struct isolation_setting *s = &isolation->settings[guest->index];

	if (world < 0 || neighbours < 0 || method < 0)
		return error_set(err, EINVAL, "isolation: what is said of %s cannot be understood", guest->path);
	*s = (struct isolation_setting){.world = (enum world)world,
					.neighbours = (enum neighbours)neighbours,
					.method = (enum isolation_method)method,
					.at_run_time = true,
					.since = json_get_integer(json, "since", 0),
					.serial = (uint64_t)json_get_integer(json, "serial", 0),
					.by = copy_text(isolation->arena, json_get_string(json, "by", NULL))};
	read_opening(json_object_get(json, "open"), clock, s);
	return read_allowed(isolation->arena, json_object_get(json, "allow"), s, err);
}

int isolation_read(struct isolation *isolation, const json_t *json, const struct isolation_clock *clock,
		   struct error **err)
{
	const json_t *guests = json_object_get(json, "guests");
	const char *path;
	json_t *one;
	int r = 0;

	if (!json_is_object(guests))
		return error_set(err, EINVAL, "isolation: no \"guests\"");
	isolation->serial = (uint64_t)json_get_integer(json, "serial", 0);
	isolation->above = (uint64_t)json_get_integer(json, "above", 0);
	for (size_t i = 0; i < isolation->lab->guest_count; i++)
		isolation->settings[i] = of_file(isolation->lab->guests[i]);
	json_object_foreach ((json_t *)(uintptr_t)guests, path, one) {
		const struct guest *guest = lab_find_guest(isolation->lab, path);

		if (guest && r == 0)
			r = read_setting(isolation, guest, one, clock, err);
	}
	return r;
}
