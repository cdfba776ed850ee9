/* libnftables in process (libnftables(3)): the rules of a network namespace, listed and changed in nft's own language.
 */
#ifndef NESTVISOR_BASE_NFTABLES_H
#define NESTVISOR_BASE_NFTABLES_H

#include "base/netns.h"

#include <stdint.h>

struct error;
struct netlink;

/* Its sockets belong to the namespace, so the thread stays there as long as it is open. */
struct nftables {
	struct nft_ctx *ctx;
	struct netns_visit visit;
};

/*
 * -1: the thread's own namespace. `flags` are NFT_CTX_OUTPUT_* (nft_ctx_output_set_flags). -EPERM without CAP_NET_ADMIN;
 * -ENOENT where the kernel has no nftables, and so no rules of it.
 */
int nftables_open(int netns, unsigned flags, struct nftables *ret, struct error **err);
void nftables_close(struct nftables *nft); /* what is NFTABLES_CLOSED is left alone */

/*
 * Runs commands in one transaction; what they print stands in *ret_output (may be NULL) until the next call. -EPERM
 * without CAP_NET_ADMIN, -EIO with nft's words for all else.
 */
int nftables_run(struct nftables *nft, const char *commands, const char **ret_output, struct error **err);

/* The number of the last transaction on the rules of a namespace, asked over a socket of NETLINK_NETFILTER. */
int nftables_generation(struct netlink *nl, uint32_t *ret);

#define NFTABLES_CLOSED	 ((struct nftables){.visit.home = -1})
#define cleanup_nftables __attribute__((cleanup(nftables_close)))

#endif
