/* Whether the guests of each host fit into it: memory and CPUs. */
#include "config/build.h"

enum { NEEDED_PERCENT = 112, OWN_PERCENT = 10, BUSY_PERCENT = 80 };

#define MIB(n) ((uint64_t)(n) << 20)
static const uint64_t own_memory = MIB(64);

/* A host as something that guests must fit into. */
struct room {
	const struct host *host;
	const char *name; /* for messages */
	struct spot memory_spot, cpus_spot;
	uint64_t memory; /* 0: not known */
	unsigned cpus;	 /* 0: not known */
};

static unsigned long long mib_up(uint64_t bytes)
{
	return (bytes + MIB(1) - 1) >> 20;
}

/* What a guest must have for its guests to fit; whole 64M, as people write it. */
static unsigned long long enough_memory(uint64_t needed)
{
	uint64_t bytes = (needed + own_memory) / (100 - OWN_PERCENT) * 100;

	return mib_up((bytes / MIB(64) + 1) * MIB(64));
}

static void check_memory(struct build *b, const struct room *room)
{
	const struct host *host = room->host;
	uint64_t sum = 0, needed, own = own_memory + room->memory / 100 * OWN_PERCENT, left;
	const char *hint;

	if (!room->memory)
		return;
	for (size_t i = 0; i < host->guest_count; i++) {
		if (guest_is_broken(b, host->guests[i], GUEST_MEMORY))
			return;
		sum += host->guests[i]->memory;
	}
	needed = sum / 100 * NEEDED_PERCENT;
	left = room->memory > own ? room->memory - own : 0;
	if (needed <= left)
		return;
	hint = host->guest ? problems_text(b->problems, "memory: %lluM for %s would do, or less for its guests",
					   enough_memory(needed), room->name)
			   : "give the guests less, or take a larger machine";
	problems_error(b->problems, room->memory_spot, hint,
		       "the guests of %s need %lluM, but %lluM are left for them: its %zu guest%s %lluM × 1.12 (nested "
		       "page tables "
		       "and QEMU) = %lluM, and of its %lluM it needs 64M + 10 %% = %lluM itself",
		       room->name, mib_up(needed), (unsigned long long)left >> 20, host->guest_count,
		       host->guest_count == 1 ? " has" : "s have", mib_up(sum), mib_up(needed),
		       (unsigned long long)room->memory >> 20, mib_up(own));
}

/* Each by itself; false where one is too large, so that their sum says nothing new. */
static bool check_each_cpus(struct build *b, const struct room *room)
{
	bool fine = true;

	for (size_t i = 0; i < room->host->guest_count; i++) {
		const struct guest *guest = room->host->guests[i];

		if (guest_is_broken(b, guest, GUEST_CPUS))
			return false;
		if (guest->cpus <= room->cpus)
			continue;
		fine = false;
		problems_error(b->problems, guest_spot(b, guest, GUEST_CPUS), NULL,
			       "\"%s\" has %u CPUs, more than the %u of %s, on which it runs", guest->path, guest->cpus,
			       room->cpus, room->name);
	}
	return fine;
}

static void check_cpus(struct build *b, const struct room *room)
{
	const struct host *host = room->host;
	uint64_t sum = 0, allowed = (uint64_t)room->cpus * host->cpu_overcommit; /* in hundredths */
	unsigned ratio;

	if (!room->cpus || !check_each_cpus(b, room))
		return;
	for (size_t i = 0; i < host->guest_count; i++)
		sum += host->guests[i]->cpus;
	ratio = (unsigned)((sum * 100 + room->cpus - 1) / room->cpus); /* what would just allow it */
	if (sum * 100 > allowed)
		problems_error(
			b->problems, room->cpus_spot,
			problems_text(b->problems, "if they are mostly idle, cpu-overcommit: %u.%02u for %s allows it",
				      ratio / 100, ratio % 100, room->name),
			"the guests of %s have %llu CPUs in all; it has %u%s", room->name, (unsigned long long)sum,
			room->cpus,
			host->cpu_overcommit == 100 ? ""
						    : problems_text(b->problems, ", with its cpu-overcommit %llu",
								    (unsigned long long)allowed / 100));
	else if (sum * 100 * 100 > allowed * BUSY_PERCENT)
		problems_warning(b->problems, room->cpus_spot,
				 problems_text(b->problems,
					       "leave it some for itself; if they are mostly idle, cpu-overcommit: 2 "
					       "for %s says so",
					       room->name),
				 "the guests of %s have %llu of its %llu CPUs, more than %d %%", room->name,
				 (unsigned long long)sum, (unsigned long long)allowed / 100, BUSY_PERCENT);
}

static void check_room(struct build *b, const struct room *room)
{
	if (room->host->guest_count == 0)
		return;
	check_memory(b, room);
	check_cpus(b, room);
}

static void check_machine(struct build *b)
{
	const struct node *guests = said(b->root, LAB_GUESTS);
	struct room room = {.host = b->lab->root, .name = "L0"};

	if (!b->machine || !guests || b->lab->adopted) /* which is there, whatever it takes */
		return;
	if (b->lab->machine_count) /* placing finds out what is where, and has room */
		return;
	room.memory_spot = room.cpus_spot = guests->key_spot;
	room.memory = b->machine->memory;
	room.cpus = b->machine->cpus;
	check_room(b, &room);
}

void check_capacity(struct build *b)
{
	check_machine(b);
	for (size_t i = 0; i < b->lab->guest_count && !problems_enough(b->problems); i++) {
		const struct guest *guest = b->lab->guests[i];
		struct room room = {.host = guest->host, .memory = guest->memory, .cpus = guest->cpus};

		if (!guest->host || guest->host->guest_count == 0)
			continue;
		if (guest_is_broken(b, guest, GUEST_MEMORY) || guest_is_broken(b, guest, GUEST_IMAGE))
			room.memory = 0;
		if (guest_is_broken(b, guest, GUEST_CPUS) || guest_is_broken(b, guest, GUEST_CPU_OVERCOMMIT))
			room.cpus = 0;
		room.name = host_words(b, guest->host);
		room.memory_spot = guest_spot(b, guest, GUEST_MEMORY);
		room.cpus_spot = guest_spot(b, guest, GUEST_CPUS);
		check_room(b, &room);
	}
}
