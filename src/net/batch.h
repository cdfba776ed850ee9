/*
 * Transactions on elements of nftables' sets, straight by netlink (nfnetlink(7), linux/netfilter/nf_tables.h): what
 * libnftables does in milliseconds, because it first lists what there is, is here as fast as the kernel.
 */
#ifndef NESTVISOR_NET_BATCH_H
#define NESTVISOR_NET_BATCH_H

#include "net/elements.h"

#include <stdint.h>

struct error;
struct netlink;

struct batch;

struct batch *batch_new(void);
void batch_free(struct batch *batch); /* NULL is fine */
static inline void batch_freep(struct batch **batch)
{
	batch_free(*batch);
}
#define cleanup_batch __attribute__((cleanup(batch_freep)))

/* Elements of one table and set, in a row. An element of a set with timeouts gets what is left of its time. */
void batch_add(struct batch *batch, const struct element *elements, size_t count);
void batch_delete(struct batch *batch, const struct element *elements,
		  size_t count); /* -ENOENT for all where one is gone */
void batch_flush(struct batch *batch, uint8_t table, enum element_set_id set);

/*
 * All of it or nothing, if the namespace's rules are still of this generation: -ERESTART where they are not. *ret_ns:
 * how long the kernel took. `nl`: a socket of the packet filter (NETLINK_NETFILTER) in the namespace.
 */
int batch_commit(struct batch *batch, struct netlink *nl, uint32_t generation, long long *ret_ns, struct error **err);

#endif
