/*
 * Copying is running commands: pieces are appended to a temporary file in the guest by its own shell, or read out by
 * its own dd, each piece one `exec` at whatever depth. So it needs nothing in a guest but a shell, works through every
 * transport, and a copy that was stopped never leaves half a file under the final name. Folders travel as a tar
 * archive.
 */
#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/target.h"
#include "render/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 4 << 20, DD_BLOCK = 1 << 20, PIECE_MS = 300000 };

/* One end of a copy that is in a guest. */
struct remote {
	struct arena *arena;
	const struct lab *lab;
	const struct guest *guest;
	struct transport *transport;
	struct into_way way; /* argv unused: made per command */
	struct cancel *cancel;
};

static int remote_open(struct invocation *inv, struct arena *arena, const struct lab *lab, const struct guest *guest,
		       struct remote *ret, struct error **err)
{
	static const char *const nothing[] = {NULL};
	struct folders folders;
	int r = folders_of(arena, lab->name, &folders, err);

	*ret = (struct remote){.arena = arena, .lab = lab, .guest = guest, .cancel = inv->cancel};
	if (r == 0)
		r = into_way(arena, lab, guest, "exec", NULL, nothing, &ret->way, err);
	return r < 0 ? r : into_open(arena, &folders, lab, ret->way.first, inv->cancel, &ret->transport, err);
}

/* Runs argv in the guest; anything but status 0 is an error with what the command said. */
static int remote_run(struct remote *remote, const char *const argv[], const void *in, size_t length,
		      struct process_output *output, struct error **err)
{
	static const char *const with_input[] = {"-i", NULL};
	int r = into_way(remote->arena, remote->lab, remote->guest, "exec", length ? with_input : NULL, argv,
			 &remote->way, err);

	if (r == 0)
		r = transport_run(remote->transport, remote->way.argv, in, length, PIECE_MS, remote->cancel, output,
				  err);
	if (r == 0 && output->status != 0)
		r = error_set(err, EIO, "%s: %.*s", remote->guest->path, (int)strcspn(output->err, "\n"), output->err);
	return r;
}

/* Runs a script with up to three words; names only ever travel as words. */
static int remote_script(struct remote *remote, const char *script, const char *one, const char *two, const char *three,
			 const void *in, size_t length, char **ret_line, struct error **err)
{
	const char *const argv[] = {"sh", "-c", script, "sh", one, two, three, NULL};
	cleanup_output struct process_output output = {0};
	int r = remote_run(remote, argv, in, length, &output, err);

	if (r == 0 && ret_line) {
		output.out[strcspn(output.out, "\n")] = '\0';
		*ret_line = steal_pointer(&output.out);
	}
	return r;
}

static ssize_t read_piece(int fd, char *piece)
{
	size_t length = 0;

	while (length < PIECE) {
		ssize_t n = read(fd, piece + length, PIECE - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

/* Where the file goes: a folder takes it under its own name. Prints the final path and makes the temporary one empty.
 */
static const char prepare_script[] =
	"d=$1; [ -d \"$d\" ] && d=${d%/}/$2; : > \"$d.nestvisor-part\" && printf '%s\\n' \"$d\"";
static const char finish_script[] =
	"[ \"$(wc -c < \"$1.nestvisor-part\")\" -eq \"$2\" ] || { echo 'it arrived with another size' >&2; exit 1; }; "
	"chmod \"$3\" \"$1.nestvisor-part\" && mv -f \"$1.nestvisor-part\" \"$1\"";

static int put_file(struct remote *remote, int fd, const char *name, const char *to, long long *ret_bytes,
		    struct error **err)
{
	cleanup_free char *piece = malloc(PIECE), *path = NULL;
	struct stat st;
	long long total = 0;
	ssize_t n = 0;
	int r;

	if (!piece)
		abort();
	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read %s", name);
	r = remote_script(remote, prepare_script, to, name, NULL, NULL, 0, &path, err);
	while (r == 0 && (n = read_piece(fd, piece)) > 0) {
		r = remote_script(remote, "cat >> \"$1.nestvisor-part\"", path, NULL, NULL, piece, (size_t)n, NULL,
				  err);
		total += n;
	}
	if (r == 0 && n < 0)
		r = error_errno(err, (int)-n, "cannot read %s", name);
	if (r == 0)
		r = remote_script(remote, finish_script, path, arena_printf(remote->arena, "%lld", total),
				  arena_printf(remote->arena, "%o", st.st_mode & 07777), NULL, 0, NULL, err);
	if (r < 0 && path)
		remote_script(remote, "rm -f \"$1.nestvisor-part\"", path, NULL, NULL, NULL, 0, NULL, NULL);
	*ret_bytes = total;
	return r;
}

static int write_piece(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

static int get_pieces(struct remote *remote, const char *from, int fd, const char *to, long long *ret_bytes,
		      struct error **err)
{
	const char *block = arena_printf(remote->arena, "bs=%d", DD_BLOCK);
	const char *count = arena_printf(remote->arena, "count=%d", PIECE / DD_BLOCK);

	for (*ret_bytes = 0;;) {
		const char *const argv[] = {"dd",
					    arena_printf(remote->arena, "if=%s", from),
					    block,
					    count,
					    arena_printf(remote->arena, "skip=%lld", *ret_bytes / DD_BLOCK),
					    NULL};
		cleanup_output struct process_output output = {0};
		int r = remote_run(remote, argv, NULL, 0, &output, err);

		if (r < 0)
			return r;
		r = write_piece(fd, output.out, output.out_length);
		if (r < 0)
			return error_errno(err, r, "cannot write %s", to);
		*ret_bytes += (long long)output.out_length;
		if (output.out_length < PIECE)
			return 0;
	}
}

static int get_file(struct remote *remote, const char *from, const char *to, long long *ret_bytes, struct error **err)
{
	cleanup_free char *temporary = NULL, *facts = NULL;
	cleanup_close int fd = -1;
	long long size = 0;
	unsigned mode = 0644;
	struct stat st;
	int r = remote_script(remote,
			      "[ -f \"$1\" ] || { echo \"$1 is no file there\" >&2; exit 1; }; stat -c '%s %a' \"$1\"",
			      from, NULL, NULL, NULL, 0, &facts, err);

	if (r < 0)
		return r;
	if (sscanf(facts, "%lld %o", &size, &mode) != 2)
		return error_set(err, EBADMSG, "%s: cannot tell the size of %s", remote->guest->path, from);
	if (stat(to, &st) == 0 && S_ISDIR(st.st_mode)) {
		const char *slash = strrchr(from, '/');

		to = arena_printf(remote->arena, "%s/%s", to, slash ? slash + 1 : from);
	}
	if (asprintf(&temporary, "%s.XXXXXX", to) < 0)
		abort();
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot write %s", to);
	r = get_pieces(remote, from, fd, to, ret_bytes, err);
	if (r == 0 && *ret_bytes != size)
		r = error_set(err, EIO, "%s: %s changed while it was copied", remote->guest->path, from);
	if (r == 0 && (fchmod(fd, mode & 07777) < 0 || rename(temporary, to) < 0))
		r = error_errno(err, errno, "cannot write %s", to);
	if (r < 0)
		unlink(temporary);
	return r;
}

/* A folder into a guest: archive here, copy, unpack there. */
static int put_folder(struct remote *remote, const char *from, const char *to, long long *ret_bytes, struct error **err)
{
	cleanup_free char *real = realpath(from, NULL);
	char archive[] = "/tmp/nestvisor-cp.XXXXXX";
	const char *there = arena_printf(remote->arena, "/tmp/nestvisor-cp.%d.tar", getpid());
	cleanup_close int fd = mkostemp(archive, O_CLOEXEC);
	const char *slash, *argv[] = {"tar", "-C", NULL, "-cf", archive, "--", NULL, NULL};
	int r;

	if (fd < 0 || !real)
		return error_errno(err, errno, "cannot read %s", from);
	slash = strrchr(real, '/');
	argv[2] = slash == real ? "/" : arena_strndup(remote->arena, real, (size_t)(slash - real));
	argv[6] = slash[1] ? slash + 1 : ".";
	r = process_must(argv, remote->cancel, err);
	if (r == 0)
		r = put_file(remote, fd, "archive", there, ret_bytes, err);
	if (r == 0)
		r = remote_script(remote, "mkdir -p \"$1\" && tar -C \"$1\" -xf \"$2\"; s=$?; rm -f \"$2\"; exit $s",
				  to, there, NULL, NULL, 0, NULL, err);
	unlink(archive);
	return r;
}

static int get_folder(struct remote *remote, const char *from, const char *to, long long *ret_bytes, struct error **err)
{
	char archive[] = "/tmp/nestvisor-cp.XXXXXX";
	const char *there = arena_printf(remote->arena, "/tmp/nestvisor-cp.%d.tar", getpid());
	const char *argv[] = {"tar", "-C", to, "-xf", archive, NULL};
	cleanup_close int fd = mkostemp(archive, O_CLOEXEC);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot write %s", archive);
	r = remote_script(remote, "cd \"$1\" && d=$(pwd) && tar -C \"${d%/*}/\" -cf \"$2\" \"${d##*/}\"", from, there,
			  NULL, NULL, 0, NULL, err);
	if (r == 0)
		r = get_file(remote, there, archive, ret_bytes, err);
	remote_script(remote, "rm -f \"$1\"", there, NULL, NULL, NULL, 0, NULL, NULL);
	if (r == 0)
		r = dir_make(to, 0755, err);
	if (r == 0)
		r = process_must(argv, remote->cancel, err);
	unlink(archive);
	return r;
}

static int put(struct invocation *inv, struct remote *remote, const char *from, const char *to, long long *bytes,
	       struct error **err)
{
	cleanup_close int fd = open(from, O_RDONLY | O_CLOEXEC);
	const char *slash = strrchr(from, '/');
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read %s", from);
	if (!S_ISDIR(st.st_mode))
		return put_file(remote, fd, slash ? slash + 1 : from, to, bytes, err);
	if (!invocation_flag(inv, "recursive")) {
		error_set(err, EISDIR, "%s is a folder", from);
		error_hint(err, "nestvisor cp -r");
		return -EISDIR;
	}
	return put_folder(remote, from, to, bytes, err);
}

static int copy(struct invocation *inv, const struct lab *lab, const struct guest *guest, bool into, const char *from,
		const char *to)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	const char *subject = arena_printf(arena, "%s %s", guest->path, into ? to : from);
	char duration[DURATION_TEXT_SIZE];
	struct remote remote = {0};
	long long bytes = 0, started = clock_ms();
	int r = remote_open(inv, arena, lab, guest, &remote, &err);

	report(inv->reporter, REPORT_BEGIN, subject, "copying");
	if (r == 0 && into)
		r = put(inv, &remote, from, to, &bytes, &err);
	else if (r == 0)
		r = invocation_flag(inv, "recursive") ? get_folder(&remote, from, to, &bytes, &err)
						      : get_file(&remote, from, to, &bytes, &err);
	transport_close(remote.transport);
	report(inv->reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, subject, "%lld bytes in %s", bytes,
	       text_duration(clock_ms() - started, duration));
	if (r < 0) {
		error_wrap(&err, "cannot copy %s to %s", from, to);
		return invocation_fail(inv, &err);
	}
	if (inv->json)
		invocation_answer(inv, json_pack("{s:I}", "bytes", (json_int_t)bytes));
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_free char *from_guest = NULL, *to_guest = NULL;
	cleanup_lab struct lab *lab = NULL;
	const struct guest *guest;
	const char *from, *to;
	int status;

	target_split(invocation_operand(inv, 0), &from_guest, &from);
	target_split(invocation_operand(inv, 1), &to_guest, &to);
	if (!from_guest == !to_guest)
		return invocation_usage(
			inv, "one of the two must be in a guest, as in hv1/a:/etc/hosts, and the other here");
	if (!*(from_guest ? from : to))
		return invocation_usage(inv, "the path in the guest is empty");
	status = target_lab(inv, NULL, &lab);
	if (status == EXIT_DONE)
		status = target_guest(inv, lab, from_guest ? from_guest : to_guest, &guest);
	return status == EXIT_DONE ? copy(inv, lab, guest, to_guest != NULL, from, to) : status;
}

const struct command command_cp = {
	.name = "cp",
	.group = GROUP_INSIDE,
	.summary = "copies files into and out of a guest, at any depth",
	.description = "Copies through the guest's agent, without a network in the guest. A copy appears under its "
		       "name only when it is "
		       "whole; the file's mode comes along.",
	.operands =
		(const struct command_operand[]){{"FROM", "a file here, or GUEST:PATH", COMPLETE_GUEST_FILE},
						 {"TO", "GUEST:PATH, or a file or folder here", COMPLETE_GUEST_FILE},
						 {0}},
	.options = (const struct command_option[]){{"recursive", 'r', .help = "copy a folder with all that is in it"},
						   {0}},
	.examples =
		(const struct command_example[]){{"nestvisor cp tool hv1/a:/usr/local/bin/", "into a guest of a guest"},
						 {"nestvisor cp hv1:/var/log/messages .", "and out"},
						 {"nestvisor cp -r samples hv1/a:/root", "a folder"},
						 {0}},
	.json = "cp",
	.lab = true,
	.run = run,
};
