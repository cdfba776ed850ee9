/*
 * The kernel counts the transactions on the rules of a namespace (the generation, NFT_MSG_GETGEN), and knows a
 * namespace by a number that is never used again while it runs (SO_NETNS_COOKIE). Both are remembered with a hash of
 * the text when it is loaded; while both are the same, nobody has touched a rule since, and nothing need be listed.
 *
 * In a namespace that others share, every change of theirs counts as well. There the listing of our tables is
 * remembered, too, and compared when the generation is another: the listing with a listing, for the kernel does not
 * hand back the text that was loaded (sets come in another order, numbers in another base). In a namespace of our own,
 * whatever has changed is taken for a change of our rules, and they are loaded once more.
 *
 * The record:  "nestvisor-rules 1 <boot> <cookie> <generation> <hash of the text>\n" and the listing, or nothing.
 */
#include "net/ruleset.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/netlink.h"
#include "base/nftables.h"
#include "base/strbuf.h"
#include "net/namespace.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	RECORD_LIMIT = 64 << 20,
	HEADER_SIZE = 256,
	OUTPUT_FLAGS = NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL,
};

/* The names of the tables that are there, a line each; freed by the caller. */
static int list_names(struct nftables *nft, char **ret, struct error **err)
{
	const char *output = NULL;
	int r = nftables_run(nft, "list tables", &output, err);

	if (r < 0)
		return r;
	*ret = strdup(output);
	if (!*ret)
		abort();
	return 0;
}

static bool has_name(const char *names, const char *table)
{
	char line[128];
	const char *at = names;

	snprintf(line, sizeof(line), "table %s\n", table);
	while ((at = strstr(at, line)) && at != names && at[-1] != '\n')
		at++;
	return at != NULL;
}

/* Those of our tables that are there, listed one after the other. */
static int list_tables(struct nftables *nft, const struct ruleset *set, struct strbuf *out, struct error **err)
{
	cleanup_free char *names = NULL;
	int r = list_names(nft, &names, err);

	strbuf_add(out, "");
	for (const char *const *table = set->tables; *table && r == 0; table++) {
		const char *output = NULL;
		char command[128];

		if (!has_name(names, *table))
			continue;
		snprintf(command, sizeof(command), "list table %s", *table);
		r = nftables_run(nft, command, &output, err);
		if (r == 0)
			strbuf_add(out, output);
	}
	return r;
}

/* "nestvisor-rules 1 <boot> <cookie> <generation> <hash>\n"; empty where the kernel cannot tell these. */
static void describe(struct netlink *filter, int netns, const char *text, char ret[HEADER_SIZE],
		     uint32_t *ret_generation)
{
	char hash[HASH_TEXT_SIZE], boot[64] = "";
	cleanup_free char *boot_text = NULL;
	struct netlink own = {.fd = -1};
	uint64_t cookie = 0;
	size_t length;

	*ret_generation = 0;
	hash_bytes(text, strlen(text), hash);
	if (file_read("/proc/sys/kernel/random/boot_id", 128, &boot_text, &length, NULL) == 0)
		snprintf(boot, sizeof(boot), "%.*s", (int)strcspn(boot_text, "\n"), boot_text);
	if (!filter && netlink_open(&own, netns, NETLINK_NETFILTER, NULL) == 0)
		filter = &own;
	if (filter) {
		cookie = netns_cookie(filter->fd);
		nftables_generation(filter, ret_generation);
	}
	netlink_close(&own);
	snprintf(ret, HEADER_SIZE, "nestvisor-rules 1 %s %llu %u %s\n", boot[0] ? boot : "-",
		 (unsigned long long)cookie, *ret_generation, hash);
	if (!cookie || !*ret_generation || !boot[0])
		ret[0] = '\0';
}

/* The listing that follows a record's header when it was loaded from this text; NULL otherwise. */
static const char *recorded_listing(const char *record, const char *text)
{
	const char *end = strchr(record, '\n');
	char hash[HASH_TEXT_SIZE];
	size_t length = HASH_TEXT_SIZE - 1;

	hash_bytes(text, strlen(text), hash);
	if (strncmp(record, "nestvisor-rules 1 ", 18) != 0 || !end || end - record < (ptrdiff_t)length ||
	    strncmp(end - length, hash, length) != 0)
		return NULL;
	return end + 1;
}

static int write_record(const struct ruleset *set, const char *header, const char *text, const char *listing,
			struct error **err)
{
	cleanup_strbuf struct strbuf record = {0};
	char hash[HASH_TEXT_SIZE];

	if (header[0]) {
		strbuf_add(&record, header);
	} else {
		hash_bytes(text, strlen(text), hash);
		strbuf_printf(&record, "nestvisor-rules 1 - - - %s\n", hash);
	}
	strbuf_add(&record, listing);
	return file_write_atomic(set->record, record.text, record.length, 0600, err);
}

/*
 * Deleted and made in the same transaction. Only what is there is deleted: `table x; delete table x` would do for both
 * cases, but makes the kernel wait for a grace period of some milliseconds at the end.
 */
static int put_deletions(struct nftables *nft, const struct ruleset *set, struct strbuf *commands, struct error **err)
{
	cleanup_free char *names = NULL;
	int r = list_names(nft, &names, err);

	for (const char *const *table = set->tables; r == 0 && *table; table++)
		if (has_name(names, *table))
			strbuf_printf(commands, "delete table %s\n", *table);
	return r;
}

int ruleset_load(const struct ruleset *set, const char *text, const char *besides, struct error **err)
{
	cleanup_strbuf struct strbuf commands = {0}, listing = {0};
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	char header[HEADER_SIZE];
	uint32_t generation;
	int r = nftables_open(set->netns, OUTPUT_FLAGS, &nft, err);

	if (r < 0)
		return r;
	describe(set->filter, -1, text, header, &generation);
	if (generation != 1) /* where there never was a rule, there is none */
		r = put_deletions(&nft, set, &commands, err);
	strbuf_add(&commands, text);
	if (besides)
		strbuf_add(&commands, besides);
	if (r == 0)
		r = nftables_run(&nft, commands.text, NULL, err);
	if (r < 0)
		return error_wrap(err, "cannot load the rules");
	/* The generation is read before the listing: a change in between is found by the next check, not hidden. */
	describe(set->filter, -1, text, header, &generation);
	strbuf_add(&listing, "");
	if (set->shared)
		r = list_tables(&nft, set, &listing, err);
	return r < 0 ? r : write_record(set, header, text, listing.text, err);
}

int ruleset_check(const struct ruleset *set, const char *text, bool *ret_same, struct error **err)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	cleanup_strbuf struct strbuf now = {0};
	cleanup_free char *record = NULL;
	char header[HEADER_SIZE];
	uint32_t generation;
	const char *listing;
	size_t length;
	int r;

	*ret_same = false;
	r = file_read(set->record, RECORD_LIMIT, &record, &length, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : file_read(set->record, RECORD_LIMIT, &record, &length, err);
	listing = recorded_listing(record, text);
	if (!listing)
		return 0;
	describe(set->filter, set->netns, text, header, &generation);
	*ret_same = header[0] && strncmp(record, header, strlen(header)) == 0;
	if (*ret_same || !set->shared)
		return 0;
	r = nftables_open(set->netns, OUTPUT_FLAGS, &nft, err);
	if (r == 0)
		r = list_tables(&nft, set, &now, err);
	if (r < 0)
		return r;
	*ret_same = strcmp(now.text, listing) == 0;
	/* Somebody changed something else: note that this, too, is known to be good. */
	return *ret_same ? write_record(set, header, text, listing, err) : 0;
}

int ruleset_generation(const struct ruleset *set, const char *text, uint32_t *ret)
{
	cleanup_free char *record = NULL;
	char header[HEADER_SIZE];
	size_t length;

	if (file_read(set->record, RECORD_LIMIT, &record, &length, NULL) < 0)
		return -ESTALE;
	describe(set->filter, set->netns, text, header, ret);
	return header[0] && strncmp(record, header, strlen(header)) == 0 ? 0 : -ESTALE;
}

int ruleset_note(const struct ruleset *set, const char *text, uint32_t generation, struct error **err)
{
	char header[HEADER_SIZE];
	uint32_t now;

	describe(set->filter, set->netns, text, header, &now);
	/* Somebody came right behind us: what is there is not known, and the next check says so. */
	return now == generation ? write_record(set, header, text, "", err) : 0;
}

int ruleset_list(int netns, const char *command, char **ret, struct error **err)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	const char *output = NULL;
	int r = nftables_open(netns, OUTPUT_FLAGS, &nft, err);

	if (r == 0)
		r = nftables_run(&nft, command, &output, err);
	if (r < 0)
		return r;
	*ret = strdup(output);
	if (!*ret)
		abort();
	return 0;
}

int ruleset_remove(const struct ruleset *set, struct error **err)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	cleanup_strbuf struct strbuf commands = {0};
	int r = nftables_open(set->netns, OUTPUT_FLAGS, &nft, err);

	if (r == 0)
		r = put_deletions(&nft, set, &commands, err);
	if (r == 0 && commands.length)
		r = nftables_run(&nft, commands.text, NULL, err);
	if (r == 0 && set->record && unlink(set->record) < 0 && errno != ENOENT)
		r = error_errno(err, errno, "cannot remove %s", set->record);
	return r;
}
