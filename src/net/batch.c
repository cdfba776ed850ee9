/*
 * A transaction is one datagram: "begin" with the generation it is meant for, messages with elements, "end". The kernel
 * carries it out while it takes the datagram and has put its answers, one for each message that failed and one for the
 * last, into our socket by then; so what is read afterwards never waits.
 *
 * The fields of a key of several are padded to 4 bytes each. An interval in a set of one field is two elements, its
 * first value and the one behind its last; in a set of several fields it is one element with two keys
 * (nft_set_rbtree.c, nft_set_pipapo.c).
 */
#include "net/batch.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	ELEMENT_MOST = 256,	    /* bytes in a message, with room to spare */
	ELEMENTS_PER_MESSAGE = 128, /* a nested attribute has at most 64 KiB */
	ANSWERS_SIZE = 65536,
	KEY_MOST = 48,
};

struct batch {
	char *data;
	size_t length, room;
	uint32_t sequence;
	struct nlmsghdr *message; /* under way */
};

/* The buffer moves when it grows, but only between messages. */
static void reserve(struct batch *batch, size_t more)
{
	if (batch->length + more <= batch->room)
		return;
	batch->room = 2 * (batch->length + more);
	batch->data = realloc(batch->data, batch->room);
	if (!batch->data)
		abort();
}

static void begin(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource, size_t size)
{
	struct nfgenmsg *header;

	reserve(batch, size);
	memset(batch->data + batch->length, 0, size);
	batch->message = mnl_nlmsg_put_header(batch->data + batch->length);
	batch->message->nlmsg_type = type;
	batch->message->nlmsg_flags = flags | NLM_F_REQUEST;
	batch->message->nlmsg_seq = ++batch->sequence;
	header = mnl_nlmsg_put_extra_header(batch->message, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = htons(resource);
}

static void end(struct batch *batch)
{
	batch->length += MNL_ALIGN(batch->message->nlmsg_len);
}

struct batch *batch_new(void)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		abort();
	begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 256);
	mnl_attr_put_u32(batch->message, NFNL_BATCH_GENID, 0); /* batch_commit knows it */
	end(batch);
	return batch;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	free(batch->data);
	free(batch);
}

static void begin_elements(struct batch *batch, uint16_t type, uint16_t flags, uint8_t table, uint8_t set, size_t count)
{
	begin(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
	      table == IN_INET ? NFPROTO_INET : NFPROTO_BRIDGE, 0, 256 + count * ELEMENT_MOST);
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_TABLE, "nestvisor");
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_SET, element_sets[set].name);
}

struct key {
	uint8_t bytes[KEY_MOST];
	size_t length;
};

static void put(struct key *key, const void *data, size_t length)
{
	memcpy(key->bytes + key->length, data, length);
	key->length += (length + 3) & ~(size_t)3;
}

static void put_ip(struct key *key, const struct ip *ip)
{
	put(key, ip->bytes, ip_bits(ip) / 8U);
}

/* The last address of a prefix, and the one behind it; false where there is none. */
static struct ip last_of(const struct prefix *prefix)
{
	struct ip ip = prefix->ip;

	for (unsigned bit = prefix->length; bit < ip_bits(&ip); bit++)
		ip.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return ip;
}

static bool next(struct ip *ip)
{
	for (unsigned i = ip_bits(ip) / 8U; i-- > 0;)
		if (++ip->bytes[i])
			return true;
	return false;
}

static void make_allow_keys(const struct element *element, struct key *first, struct key *last)
{
	const struct ip high = last_of(&element->prefix);
	const uint8_t protocols[2] = {element->protocol, element->protocol ? element->protocol : 255};
	const uint16_t ports[2] = {htons(element->port), element->port ? htons(element->port) : 0xffff};

	put_ip(first, &element->from);
	put_ip(first, &element->prefix.ip);
	put(first, &protocols[0], 1);
	put(first, &ports[0], 2);
	put_ip(last, &element->from);
	put_ip(last, &high);
	put(last, &protocols[1], 1);
	put(last, &ports[1], 2);
}

static void put_value(struct nlmsghdr *message, uint16_t type, const struct key *key)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);

	mnl_attr_put(message, NFTA_DATA_VALUE, key->length, key->bytes);
	mnl_attr_nest_end(message, nest);
}

static void put_jump(struct nlmsghdr *message, const struct element *element)
{
	char chain[64];
	struct nlattr *data = mnl_attr_nest_start(message, NFTA_SET_ELEM_DATA), *verdict;

	snprintf(chain, sizeof(chain), "%s_%s", element_sets[element->set].jump,
		 element_mode_name((enum element_mode)element->mode));
	verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(message, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_JUMP));
	mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(message, verdict);
	mnl_attr_nest_end(message, data);
}

static uint64_t big_endian64(uint64_t value)
{
	return (uint64_t)htonl((uint32_t)value) << 32 | htonl((uint32_t)(value >> 32));
}

static void put_interval_end(struct nlmsghdr *message, const struct prefix *prefix)
{
	struct ip behind = last_of(prefix);
	struct key key = {0};
	struct nlattr *nest;

	if (!next(&behind))
		return; /* it goes to the very end */
	put_ip(&key, &behind);
	nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	put_value(message, NFTA_SET_ELEM_KEY, &key);
	mnl_attr_nest_end(message, nest);
}

static void put_element(struct nlmsghdr *message, const struct element *element, bool adding)
{
	const struct element_set *set = &element_sets[element->set];
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	struct key key = {0}, last = {0};

	switch (set->key) {
	case KEY_TAP:
		put(&key, element->tap, sizeof(element->tap));
		break;
	case KEY_MAC:
		put(&key, element->mac, sizeof(element->mac));
		key.length = sizeof(element->mac); /* a key of one field is not padded */
		break;
	case KEY_ASKER:
		put(&key, &element->asker, sizeof(element->asker));
		break;
	case KEY_ADDRESS:
		put_ip(&key, &element->from);
		break;
	case KEY_SUBNET:
		put_ip(&key, &element->prefix.ip);
		break;
	case KEY_ALLOW:
		make_allow_keys(element, &key, &last);
		break;
	}
	put_value(message, NFTA_SET_ELEM_KEY, &key);
	if (last.length)
		put_value(message, NFTA_SET_ELEM_KEY_END, &last);
	if (set->jump)
		put_jump(message, element);
	if (set->timeout && adding)
		mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT, big_endian64((uint64_t)element->open_ms));
	mnl_attr_nest_end(message, nest);
	if (set->key == KEY_SUBNET)
		put_interval_end(message, &element->prefix);
}

static void put_elements(struct batch *batch, uint16_t type, uint16_t flags, const struct element *elements,
			 size_t count)
{
	for (size_t done = 0; done < count;) {
		size_t part = count - done < ELEMENTS_PER_MESSAGE ? count - done : ELEMENTS_PER_MESSAGE;
		struct nlattr *list;

		begin_elements(batch, type, flags, elements[0].table, elements[0].set, part);
		list = mnl_attr_nest_start(batch->message, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (size_t i = 0; i < part; i++)
			put_element(batch->message, &elements[done + i], type == NFT_MSG_NEWSETELEM);
		mnl_attr_nest_end(batch->message, list);
		end(batch);
		done += part;
	}
}

void batch_add(struct batch *batch, const struct element *elements, size_t count)
{
	put_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements, count);
}

void batch_delete(struct batch *batch, const struct element *elements, size_t count)
{
	put_elements(batch, NFT_MSG_DELSETELEM, 0, elements, count);
}

void batch_flush(struct batch *batch, uint8_t table, enum element_set_id set)
{
	begin_elements(batch, NFT_MSG_DELSETELEM, 0, table, (uint8_t)set, 0);
	end(batch);
}

/* The first failure among the answers; 0 when all that is there says that all is well. */
static int read_answers(int fd, char *said, size_t size)
{
	cleanup_free char *answers = malloc(ANSWERS_SIZE);
	int r = 0;

	if (!answers)
		abort();
	for (;;) {
		ssize_t length = recv(fd, answers, ANSWERS_SIZE, MSG_DONTWAIT);
		int left = (int)length;

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return r ? r : errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		for (const struct nlmsghdr *message = (const void *)answers; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
			const struct nlattr *attribute;

			if (message->nlmsg_type != NLMSG_ERROR || answer->error == 0 || r)
				continue;
			r = answer->error;
			if (message->nlmsg_flags & NLM_F_ACK_TLVS)
				netlink_for_each (attribute, message, sizeof(*answer))
					if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG)
						snprintf(said, size, "%s", mnl_attr_get_str(attribute));
		}
	}
}

static int send_all(struct batch *batch, struct netlink *nl, long long *ret_ns)
{
	const int size = (int)(4 * batch->length + (1 << 20));
	struct timespec before, after;
	ssize_t sent;

	/* Only needed for many guests at once, and only then is it more than what everybody has. */
	setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	clock_gettime(CLOCK_MONOTONIC, &before);
	sent = send(nl->fd, batch->data, batch->length, 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	*ret_ns = (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec);
	return sent < 0 ? -errno : read_answers(nl->fd, nl->said, sizeof(nl->said));
}

int batch_commit(struct batch *batch, struct netlink *nl, uint32_t generation, long long *ret_ns, struct error **err)
{
	struct nlattr *attribute =
		mnl_nlmsg_get_payload_offset((struct nlmsghdr *)(void *)batch->data, sizeof(struct nfgenmsg));
	const uint32_t expected = htonl(generation);
	int r;

	memcpy(mnl_attr_get_payload(attribute), &expected, sizeof(expected));
	begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 64);
	end(batch);
	r = send_all(batch, nl, ret_ns);
	return r < 0 ? netlink_fail(nl, r, err, "cannot change the rules") : 0;
}
