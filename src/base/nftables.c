#include "base/nftables.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

void nftables_close(struct nftables *nft)
{
	if (nft->ctx)
		nft_ctx_free(nft->ctx);
	nft->ctx = NULL;
	netns_leave(&nft->visit);
}

int nftables_open(int netns, unsigned flags, struct nftables *ret, struct error **err)
{
	int r = netns_enter(netns, &ret->visit, err);
	cleanup_close int probe = -1;

	if (r < 0)
		return r;
	/* libnftables ends the whole program where this socket cannot be had: so it is tried first. */
	probe = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (probe < 0) {
		r = error_errno(err, errno, "the kernel has no nftables to talk to");
		error_hint(err, "modprobe nf_tables");
		netns_leave(&ret->visit);
		return r;
	}
	ret->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!ret->ctx)
		return error_set(err, ENOMEM, "cannot start libnftables");
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
