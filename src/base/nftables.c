#include "base/nftables.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

void nftables_close(struct nftables *nft)
{
	if (nft->ctx)
		nft_ctx_free(nft->ctx);
	nft->ctx = NULL;
	netns_leave(&nft->visit);
}

static void take_generation(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *a[NFTA_GEN_MAX + 1];

	netlink_attributes(message, sizeof(struct nfgenmsg), a, NFTA_GEN_MAX);
	if (a[NFTA_GEN_ID])
		*(uint32_t *)data = ntohl(mnl_attr_get_u32(a[NFTA_GEN_ID]));
}

int nftables_generation(struct netlink *nl, uint32_t *ret)
{
	struct nlmsghdr *request = netlink_begin(nl, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0);

	*ret = 0;
	mnl_nlmsg_put_extra_header(request, sizeof(struct nfgenmsg));
	return netlink_ask(nl, request, take_generation, ret);
}

/*
 * libnftables ends the whole program where it cannot have a socket, and prints where the kernel refuses to answer: so
 * both are tried first.
 */
static int probe(struct error **err)
{
	struct netlink nl = {.fd = -1};
	uint32_t generation;
	int r = netlink_open(&nl, -1, NETLINK_NETFILTER, NULL);

	if (r == 0)
		r = nftables_generation(&nl, &generation);
	netlink_close(&nl);
	if (r == -EPERM) {
		error_set(err, EPERM, "nftables: Operation not permitted");
		error_hint(err, "run nestvisor as root");
	} else if (r == -EINVAL || r == -EPROTONOSUPPORT ||
		   r == -EAFNOSUPPORT) { /* nfnetlink has no such subsystem, or is not there */
		r = error_set(err, ENOENT, "the kernel has no nftables");
		error_hint(err, "modprobe nf_tables");
	} else if (r < 0) {
		error_errno(err, r, "nftables do not answer");
	}
	return r;
}

int nftables_open(int netns, unsigned flags, struct nftables *ret, struct error **err)
{
	int r = netns_enter(netns, &ret->visit, err);

	if (r < 0)
		return r;
	r = probe(err);
	if (r < 0) {
		netns_leave(&ret->visit);
		return r;
	}
	ret->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!ret->ctx)
		abort();
	nft_ctx_buffer_output(ret->ctx);
	nft_ctx_buffer_error(ret->ctx);
	nft_ctx_output_set_flags(ret->ctx, flags);
	return 0;
}

/* What is wrong comes only in words; the first line of them is kept. */
int nftables_run(struct nftables *nft, const char *commands, const char **ret_output, struct error **err)
{
	const char *said;
	int length;

	if (nft_run_cmd_from_buffer(nft->ctx, commands) == 0) {
		if (ret_output)
			*ret_output = nft_ctx_get_output_buffer(nft->ctx);
		return 0;
	}
	said = nft_ctx_get_error_buffer(nft->ctx);
	length = (int)strcspn(said, "\n");
	nft_ctx_get_output_buffer(nft->ctx);
	return error_set(err, strstr(said, "Operation not permitted") ? EPERM : EIO, "nftables: %.*s", length,
			 length ? said : "failed without a word");
}
