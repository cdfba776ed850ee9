/*
 * ssh into a guest: the user's own ssh with a key that belongs to the lab. The key is put into the guest through its
 * agent, which reaches every depth; the connection itself goes straight where every network on the way is routed, else
 * through `nestvisor proxy`.
 */
#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/target.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int make_key(struct arena *arena, const struct folders *folders, struct cancel *cancel, const char **ret_key,
		    char **ret_public, struct error **err)
{
	const char *key = arena_printf(arena, "%s/ssh_key", folders->state);
	const char *public_key = arena_printf(arena, "%s.pub", key), *new_key = arena_printf(arena, "%s.new", key);
	const char *new_public_key = arena_printf(arena, "%s.pub", new_key);
	const char *argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nestvisor", "-f", new_key, NULL};
	cleanup_free char *program = NULL;
	cleanup_close int lock = -1;
	size_t length;
	int r = 0;

	if (!file_exists(folders->lab_file)) {
		r = error_set(err, ENOENT, "lab %s is not running", folders->lab);
		error_hint(err, "nestvisor up");
		return r;
	}
	/* Others may want it made at the same time; the public half comes into place last. */
	r = file_lock(arena_printf(arena, "%s.lock", key), "ssh-keygen", -1, NULL, cancel, &lock, err);
	if (r == 0 && !file_exists(public_key)) {
		unlink(new_key);
		unlink(new_public_key);
		r = process_find("ssh-keygen", "openssh-client", &program, err);
		if (r == 0)
			r = process_must(argv, cancel, err);
		if (r == 0 && (rename(new_key, key) < 0 || rename(new_public_key, public_key) < 0))
			r = error_errno(err, errno, "cannot keep the lab's key %s", key);
	}
	*ret_key = key;
	return r < 0 ? r : file_read(public_key, 4096, ret_public, &length, err);
}

static int authorize(struct invocation *inv, struct arena *arena, const struct folders *folders, const struct lab *lab,
		     const struct guest *target, char *public_key, struct error **err)
{
	static const char script[] =
		"case $2 in ''|*[!A-Za-z0-9._-]*) echo \"$2 is no user's name\" >&2; exit 1 ;; esac; " /* for eval */
		"umask 077; h=$(eval echo \"~$2\"); mkdir -p \"$h/.ssh\" && f=$h/.ssh/authorized_keys && "
		"{ grep -qxF \"$1\" \"$f\" 2>/dev/null || echo \"$1\" >> \"$f\"; } && chown -R \"$2\" \"$h/.ssh\"";
	const char *user = target->ssh_user ? target->ssh_user : "root";
	const char *const argv[] = {"sh", "-c", script, "sh", public_key, user, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	struct into_way way;
	int r;

	public_key[strcspn(public_key, "\n")] = '\0';
	r = into_way(arena, lab, target, "exec", NULL, argv, &way, err);
	if (r == 0)
		r = into_open(arena, folders, lab, way.first, inv->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, way.argv, NULL, 0, 30000, inv->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "%s", output.err);
	return r < 0 ? error_wrap(err, "cannot put the lab's key into %s", target->path) : 0;
}

/* Whether packets from this host find the guest by themselves. */
static bool is_routed(const struct lab *lab, const struct guest *target)
{
	for (const struct host *host = target->parent; host != lab->root; host = host->guest->parent) {
		const struct nic *nic = &target->nics[0];

		if (nic->network->uplink != UPLINK_ROUTE)
			return false;
		target = host->guest;
		if (!target->nic_count)
			return false;
	}
	return true;
}

/* A word for the shell that ssh starts a ProxyCommand with, after ssh has replaced its own %x. */
static const char *quoted(struct arena *arena, const char *word)
{
	cleanup_strbuf struct strbuf text = {0};

	strbuf_add_char(&text, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			strbuf_add(&text, "'\\'");
		else if (*word == '%')
			strbuf_add_char(&text, '%');
		strbuf_add_char(&text, *word);
		if (*word == '\'')
			strbuf_add_char(&text, '\'');
	}
	strbuf_add_char(&text, '\'');
	return arena_strdup(arena, text.text);
}

static const char **ssh_words(struct invocation *inv, struct arena *arena, const struct lab *lab,
			      const struct guest *target, const char *key)
{
	const struct nic *nic = &target->nics[0];
	const struct ip *ip = nic->address4.family ? &nic->address4 : &nic->address6;
	const char **argv = NULL;
	char text[IP_TEXT_SIZE], self[4096] = "nestvisor";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t argc = 0;

	if (n > 0)
		self[n] = '\0';
#define WORD(word) (*arena_push(arena, argv, argc) = (word))
	WORD("ssh");
	WORD("-i");
	WORD(key);
	WORD("-o");
	WORD("IdentitiesOnly=yes");
	/* A guest that starts anew has new host keys; the way to it lies inside this machine and is ours. */
	WORD("-o");
	WORD("StrictHostKeyChecking=no");
	WORD("-o");
	WORD("UserKnownHostsFile=/dev/null");
	WORD("-o");
	WORD("LogLevel=ERROR");
	if (!is_routed(lab, target)) {
		WORD("-o");
		WORD(arena_printf(arena, "ProxyCommand=%s proxy --lab %s %s %%p", quoted(arena, self), lab->name,
				  target->path));
	}
	WORD("-l");
	WORD(target->ssh_user ? target->ssh_user : "root");
	WORD(arena_strdup(arena, ip_format(ip, text)));
	for (size_t i = 0; i < inv->rest_count; i++)
		WORD(inv->rest[i]);
	WORD(NULL);
#undef WORD
	return argv;
}

static int connect_to(struct invocation *inv, const struct lab *lab, const struct guest *target, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *public_key = NULL;
	struct folders folders;
	const char *key = NULL, **argv;
	int r;

	if (!target->nic_count || (!target->nics[0].address4.family && !target->nics[0].address6.family))
		return error_set(err, EADDRNOTAVAIL, "%s has no fixed address; nestvisor exec and console need none",
				 target->path);
	r = folders_of(arena, lab->name, &folders, err);
	if (r == 0)
		r = make_key(arena, &folders, inv->cancel, &key, &public_key, err);
	if (r == 0)
		r = authorize(inv, arena, &folders, lab, target, public_key, err);
	if (r < 0)
		return r;
	argv = ssh_words(inv, arena, lab, target, key);
	if (is_routed(lab, target))
		r = target_enter(lab, err);
	if (r < 0)
		return r;
	r = target_become(inv, argv, err);
	error_hint(err, "apt-get install openssh-client");
	return r;
}

static int run(struct invocation *inv)
{
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	const struct guest *target;
	int status = target_lab(inv, NULL, &lab);

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	connect_to(inv, lab, target, &err); /* returns only where it failed */
	return invocation_fail(inv, &err);
}

const struct command command_ssh = {
	.name = "ssh",
	.group = GROUP_INSIDE,
	.summary = "opens a shell in a guest by ssh, at any depth",
	.description = "Starts your own ssh with a key that belongs to the lab and that is put into the guest through "
		       "its agent first. A "
		       "guest that this machine has no route to is reached through `nestvisor proxy`.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a", COMPLETE_GUEST}, {0}},
	.rest = "COMMAND",
	.examples = (const struct command_example[]){{"nestvisor ssh hv1/a", "a shell in a guest of a guest"},
						     {"nestvisor ssh hv1 -- ip route", "one command"},
						     {0}},
	.lab = true,
	.run = run,
};
