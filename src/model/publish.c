#include "model/publish.h"

#include "model/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct ip publish_address(const struct publish *publish)
{
	static const struct ip loopback = {.family = AF_INET, .bytes = {127, 0, 0, 1}};

	return publish->address.family ? publish->address : loopback;
}

uint16_t publish_as(const struct publish *publish)
{
	return publish->as ? publish->as : publish->port;
}

/* How many of the guest's before this one are of the same port: what is said of the addresses at L0 does not count, for
 * a host below does not know it. */
static unsigned occurrence(const struct guest *guest, size_t index)
{
	unsigned count = 0;

	for (size_t i = 0; i < index; i++)
		count += guest->publish[i].port == guest->publish[index].port &&
			 guest->publish[i].protocol == guest->publish[index].protocol;
	return count;
}

static uint16_t choose_port(const struct guest *guest, size_t index, bool *taken)
{
	const struct publish *publish = &guest->publish[index];
	const uint16_t words[] = {publish->port, publish->protocol, (uint16_t)occurrence(guest, index)};
	uint64_t hash = hash_more(hash_text(HASH_START, guest->path), words, sizeof(words));
	size_t at = (size_t)((hash >> 32 ^ hash) % PUBLISH_ROOM);

	while (taken[at])
		at = (at + 1) % PUBLISH_ROOM;
	taken[at] = true;
	return (uint16_t)(PUBLISH_FIRST + at);
}

static int compare(const void *a, const void *b)
{
	const struct published *x = a, *y = b;
	int r = strcmp(x->guest->path, y->guest->path);

	return r ? r : x->publish < y->publish ? -1 : 1;
}

size_t published_below(const struct lab *lab, const struct host *host, struct published **ret)
{
	bool taken[PUBLISH_ROOM] = {0};
	size_t count = 0, room = 0;

	*ret = NULL;
	if (lab->here && host == lab->root) /* they are the home's to publish */
		return 0;
	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];

		if (!guest->publish_count || !host_guest_towards(host, guest))
			continue;
		for (size_t j = 0; j < guest->publish_count && count < PUBLISH_ROOM; j++) {
			if (count == room) {
				room = room ? 2 * room : 16;
				*ret = realloc(*ret, room * sizeof(**ret));
				if (!*ret)
					abort();
			}
			(*ret)[count++] = (struct published){.guest = guest, .publish = &guest->publish[j]};
		}
	}
	if (count) /* in an order that no two hosts can have differently: the first of two takes the port of both */
		qsort(*ret, count, sizeof(**ret), compare);
	for (size_t i = 0; i < count; i++)
		(*ret)[i].port =
			choose_port((*ret)[i].guest, (size_t)((*ret)[i].publish - (*ret)[i].guest->publish), taken);
	return count;
}
