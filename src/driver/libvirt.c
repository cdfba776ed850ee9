/*
 * The libvirt driver: a guest is a persistent domain with nestvisor's mark. libvirt starts its QEMU and shows it to
 * virsh and virt-manager; agent, console and logs lie in run_dir as they do with the qemu driver, so that whatever
 * talks to a guest need not know who started it.
 *
 * The lab's network is a namespace of its own, and libvirt opens taps by their names in the one that it lives in
 * itself. So a tap begins its life there; the domain is created with its CPUs stopped; once its QEMU holds the taps
 * they are moved into the lab's namespace, under the names and rules that they have with every driver; then the CPUs
 * start. Not a packet gets past the lab's rules. The price: only nestvisor can start such a domain (`virsh start` finds
 * no tap, and says so).
 *
 * <run_dir>/domain is written before there is a domain and removed after it is gone, the pid file just before its CPUs
 * run. A run that was killed in between left a domain that the next start ends first.
 */
#include "driver/driver.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "driver/command.h"
#include "driver/libvirt_drift.h"
#include "driver/libvirt_filter.h"
#include "driver/libvirt_internal.h"
#include "driver/libvirt_memory.h"
#include "driver/libvirt_talk.h"
#include "driver/libvirt_tap.h"
#include "driver/libvirt_user.h"
#include "driver/libvirt_xml.h"
#include "driver/postmortem.h"
#include "driver/qemu_internal.h"
#include "driver/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUIT_MS = 5000, ANSWER_MS = 5000, RECORD_LIMIT = 4 << 20 };

#define DOMAIN_FILE "domain"
static const char *const files[] = {"pid", "qga.in", "qga.out", "qga.lock", "console"};
static const char *const logs[] = {"console.log", "console.log.0", "console.log.1", "console.log.2"};

enum { FILE_COUNT = sizeof(files) / sizeof(files[0]), LOG_COUNT = sizeof(logs) / sizeof(logs[0]) };

void talk_end(struct talk *talk)
{
	if (talk->domain)
		talk->lib->virDomainFree(talk->domain);
	if (talk->connection)
		talk->lib->virConnectClose(talk->connection);
	arena_free(talk->arena);
	*talk = (struct talk){0};
}

int talk_open(struct talk *talk, struct error **err)
{
	int r = libvirt_load(&talk->lib, err);

	return r < 0 ? r : libvirt_connect(talk->lib, talk->uri, false, talk->silence_s, &talk->connection, err);
}

/* The text between the first tag and the next: the mark has no other form. */
static bool mark_is(const char *xml, const char *mark)
{
	const char *text = xml ? strchr(xml, '>') : NULL;
	size_t length = strlen(mark);

	return text && strncmp(text + 1, mark, length) == 0 && text[1 + length] == '<';
}

static int check_mark(struct talk *talk, struct error **err)
{
	const char *name = talk->lib->virDomainGetName(talk->domain);
	cleanup_free char *xml =
		talk->lib->virDomainGetMetadata(talk->domain, VIR_DOMAIN_METADATA_ELEMENT, LIBVIRT_MARK_URI, 0);
	const virError *said = xml ? NULL : talk->lib->virGetLastError();
	int r;

	if (mark_is(xml, talk->mark))
		return 0;
	if (said && said->code != VIR_ERR_NO_DOMAIN_METADATA)
		return libvirt_fail(talk->lib, talk->uri, err, "cannot read whose the domain %s is", name);
	r = error_set(err, EPERM,
		      "there is a domain %s at %s that does not bear nestvisor's mark of %s: it is left alone", name,
		      talk->uri, talk->mark);
	error_hint(err, "rename it (virsh -c %s domrename %s NEW-NAME), or call the lab or the guest otherwise",
		   talk->uri, name);
	return r;
}

/* Finds the domain and makes sure that it is ours. Another's that is called the same is in our way. */
int talk_find_domain(struct talk *talk, struct error **err)
{
	const virError *said;

	talk->domain = talk->lib->virDomainLookupByUUIDString(talk->connection, talk->uuid);
	if (!talk->domain) {
		said = talk->lib->virGetLastError();
		if (said && said->code != VIR_ERR_NO_DOMAIN)
			return libvirt_fail(talk->lib, talk->uri, err, "cannot look for the domain %s", talk->name);
	}
	return talk->domain ? check_mark(talk, err) : 0;
}

static int check_name(struct talk *talk, struct error **err)
{
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	virDomainPtr other = talk->lib->virDomainLookupByName(talk->connection, talk->name);
	int r = 0;

	if (!other)
		return 0;
	talk->lib->virDomainGetUUIDString(other, uuid);
	if (strcmp(uuid, talk->uuid) != 0) {
		r = error_set(err, EPERM,
			      "there is a domain %s at %s already, and it is not nestvisor's: it is left alone",
			      talk->name, talk->uri);
		error_hint(err, "rename it (virsh -c %s domrename %s NEW-NAME), or call the lab or the guest otherwise",
			   talk->uri, talk->name);
	}
	talk->lib->virDomainFree(other);
	return r;
}

/* ─── its process ─── */

/* A container's QEMU is in our /proc, too, and may well have a lab and a run_dir that are called the same. */
static bool is_in_our_pid_namespace(pid_t pid)
{
	struct stat ours, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &its) == 0 && ours.st_dev == its.st_dev &&
	       ours.st_ino == its.st_ino;
}

/* Its real, effective, saved and file system user (proc_pid_status(5)); the owner of /proc/PID is root's, too, where a
 * process has itself made undumpable. */
static bool is_the_users(pid_t pid, unsigned user)
{
	cleanup_free char *text = NULL;
	unsigned its[4];
	const char *line;
	char path[64];
	size_t length;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(path, 1 << 16, &text, &length, NULL) < 0)
		return false;
	line = strstr(text, "\nUid:");
	return line && sscanf(line, "\nUid: %u %u %u %u", &its[0], &its[1], &its[2], &its[3]) == 4 && its[0] == user &&
	       its[1] == user && its[2] == user && its[3] == user;
}

static bool runs_qemu(pid_t pid)
{
	static const char qemu[] = "qemu-system-";
	char path[64], program[PATH_MAX];
	const char *name;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, program, sizeof(program) - 1);
	if (length < 0)
		return false;
	program[length] = '\0';
	name = strrchr(program, '/');
	return name && strncmp(name + 1, qemu, sizeof(qemu) - 1) == 0;
}

/* "pipe,id=charchannel0,path=/run/nestvisor/first/guests/hv1/qga" */
static bool has_setting(const char *word, const char *setting)
{
	const char *at = strstr(word, setting);

	return at && at > word && at[-1] == ',' && (at[strlen(setting)] == '\0' || at[strlen(setting)] == ',');
}

/* QEMU is told its guest's UUID and the agent's FIFOs; libvirt opens console and log itself. */
static bool was_told(pid_t pid, const char *uuid, const char *channel)
{
	cleanup_free char *words = NULL;
	bool has_uuid = false, has_channel = false;
	char path[64];
	size_t length;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_read(path, 1 << 20, &words, &length, NULL) < 0)
		return false;
	for (const char *word = words, *before = ""; word < words + length; before = word, word += strlen(word) + 1) {
		has_uuid |= strcmp(before, "-uuid") == 0 && strcmp(word, uuid) == 0;
		has_channel |= strcmp(before, "-chardev") == 0 && has_setting(word, channel);
	}
	return has_uuid && has_channel;
}

bool libvirt_find_process(const char *uuid, const char *run_dir, unsigned user, struct process_id *ret)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *channel = arena_printf(arena, "path=%s/qga", command_escaped(arena, run_dir));
	cleanup_closedir DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		/* Identified first: a number that becomes another's meanwhile is found out at the end. */
		if (pid > 0 && process_identify(pid, ret) == 0 && was_told(pid, uuid, channel) && runs_qemu(pid) &&
		    is_the_users(pid, user) && is_in_our_pid_namespace(pid) && process_alive(ret))
			return true;
	}
	*ret = (struct process_id){0};
	return false;
}

static int find_process(const struct talk *talk, struct process_id *ret, struct error **err)
{
	int r;

	if (libvirt_find_process(talk->uuid, talk->run_dir, talk->user ? talk->user : geteuid(), ret))
		return 0;
	r = error_set(err, ESRCH, "libvirt at %s has started the domain %s, and no process here is its QEMU", talk->uri,
		      talk->name);
	error_hint(err, "libvirtd must run on this machine and in this container: nestvisor looks after its guests' "
			"processes itself");
	return r;
}

/* A libvirtd that is killed while it starts a domain forgets the QEMU that it has started. */
static int end_forgotten(const struct talk *talk, struct error **err)
{
	struct process_id process;
	int r = 0;

	while (r == 0 && libvirt_find_process(talk->uuid, talk->run_dir, talk->user ? talk->user : geteuid(), &process))
		r = process_end(&process, QUIT_MS, err);
	return r;
}

/* Ends its QEMU, politely at first so that it flushes its disks. Ended already is success. */
static int destroy(struct talk *talk, struct error **err)
{
	int state = VIR_DOMAIN_NOSTATE, reason;

	if (talk->lib->virDomainGetState(talk->domain, &state, &reason, 0) < 0)
		return libvirt_fail(talk->lib, talk->uri, err, "cannot ask how the domain %s is", talk->name);
	if (state == VIR_DOMAIN_SHUTOFF ||
	    talk->lib->virDomainDestroyFlags(talk->domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0 ||
	    talk->lib->virDomainDestroy(talk->domain) == 0)
		return 0;
	if (talk->lib->virDomainGetState(talk->domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_SHUTOFF)
		return 0; /* by itself, meanwhile */
	return libvirt_fail(talk->lib, talk->uri, err, "cannot end the domain %s", talk->name);
}

static int undefine(struct talk *talk, struct error **err)
{
	unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			 VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;

	const virError *said;

	if (talk->lib->virDomainUndefineFlags(talk->domain, flags) == 0)
		return 0;
	said = talk->lib->virGetLastError();
	if (said && said->code == VIR_ERR_NO_DOMAIN) /* somebody undefined it while it ran, and it has ended */
		return 0;
	return libvirt_fail(talk->lib, talk->uri, err, "cannot undefine the domain %s", talk->name);
}

/* ─── which domain it is ─── */

int talk_write_record(const struct talk *talk, struct error **err)
{
	cleanup_free char *path = in_dir(talk->run_dir, DOMAIN_FILE);
	cleanup_json json_t *record =
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s*, s:s*}", "uri", talk->uri, "name", talk->name, "uuid",
			  talk->uuid, "mark", talk->mark, "user", (json_int_t)talk->user, "silence",
			  (json_int_t)talk->silence_s, "definition", talk->definition, "machine", talk->machine);

	return json_write_file(path, record, err);
}

/* -ENOENT: none was begun. */
int talk_read_record(struct talk *talk, const char *run_dir, struct error **err)
{
	cleanup_free char *path = in_dir(run_dir, DOMAIN_FILE);
	cleanup_json json_t *record = NULL;
	int r = json_read_file(path, RECORD_LIMIT, &record, err);

	if (r < 0)
		return r;
	talk->arena = arena_new();
	talk->run_dir = run_dir;
	talk->uri = arena_strdup(talk->arena, json_get_string(record, "uri", ""));
	talk->name = arena_strdup(talk->arena, json_get_string(record, "name", ""));
	talk->uuid = arena_strdup(talk->arena, json_get_string(record, "uuid", ""));
	talk->mark = arena_strdup(talk->arena, json_get_string(record, "mark", ""));
	talk->user = (unsigned)json_get_integer(record, "user", 0);
	talk->silence_s = (unsigned)json_get_integer(record, "silence", LIBVIRT_CHANGE_S);
	if (json_object_get(record, "definition"))
		talk->definition = arena_strdup(talk->arena, json_get_string(record, "definition", ""));
	if (json_object_get(record, "machine"))
		talk->machine = arena_strdup(talk->arena, json_get_string(record, "machine", ""));
	return 0;
}

int talk_dump(struct talk *talk, unsigned flags, const char **ret, struct error **err)
{
	cleanup_free char *xml = talk->lib->virDomainGetXMLDesc(talk->domain, flags);

	if (!xml)
		return libvirt_fail(talk->lib, talk->uri, err, "cannot ask what the domain %s is", talk->name);
	*ret = libvirt_filter_left_out(talk->arena, xml);
	return 0;
}

static void remove_files(const char *run_dir)
{
	static const char *const record[] = {DOMAIN_FILE};

	libvirt_filter_forget(run_dir);
	libvirt_user_forget(run_dir);
	remove_listed(run_dir, files, FILE_COUNT);
	remove_listed(run_dir, logs, LOG_COUNT);
	remove_listed(run_dir, record, 1);
}

/* ─── starting ─── */

static int create(struct talk *talk, const struct driver_guest *guest, struct error **err)
{
	const virError *said;
	int r;

	if (guest->saved ? libvirt_go_on(talk, guest) == 0
			 : talk->lib->virDomainCreateWithFlags(talk->domain, VIR_DOMAIN_START_PAUSED) == 0)
		return 0;
	said = talk->lib->virGetLastError();
	if (said && said->message && strstr(said->message, "specified dev doesn't exist")) {
		r = error_set(err, EIO, "libvirt at %s does not see the tap that was made for %s", talk->uri,
			      talk->name);
		error_hint(err, "libvirtd must run in the same network namespace as nestvisor");
		return r;
	}
	return libvirt_fail(talk->lib, talk->uri, err,
			    guest->saved ? "the domain %s does not go on from the memory of a snapshot"
					 : "the domain %s does not start",
			    talk->name);
}

/* With its CPUs stopped; the taps are let go of, so that they end with their QEMU, and plugged; then it runs. */
static int launch(struct talk *talk, const struct driver_guest *guest, struct process_id *process, struct error **err)
{
	cleanup_free char *pid_path = in_dir(guest->run_dir, "pid");
	int r = create(talk, guest, err);

	if (r == 0)
		r = find_process(talk, process, err);
	for (size_t i = 0; r == 0 && i < guest->nic_count; i++)
		r = libvirt_tap_let_go(process->pid, guest->nics[i].tap, err);
	if (r == 0 && guest->plug)
		r = guest->plug(guest->plug_data, err);
	if (r == 0)
		r = talk_dump(talk, 0, &talk->machine, err);
	if (r == 0)
		r = talk_write_record(talk, err);
	if (r == 0) /* before it runs: no guest that runs is taken for a dead one, which need not be cut */
		r = process_write_pid_file(pid_path, process, err);
	if (r == 0 && talk->lib->virDomainResume(talk->domain) < 0)
		r = libvirt_fail(talk->lib, talk->uri, err, "the domain %s does not run", talk->name);
	return r;
}

static int define_as(struct talk *talk, const char *xml, unsigned flags, struct error **err)
{
	virDomainPtr domain = talk->lib->virDomainDefineXMLFlags(talk->connection, xml, flags);

	if (!domain)
		return libvirt_fail(talk->lib, talk->uri, err, "cannot define the domain %s", talk->name);
	if (talk->domain)
		talk->lib->virDomainFree(talk->domain);
	talk->domain = domain;
	return 0;
}

/*
 * What libvirt makes of it is noted, so that what others make of that is seen. Its schema would tell of a fault of
 * ours; a deeper host, which gets the same XML, has none, for reading it takes long on an emulated CPU.
 */
static int define(struct talk *talk, const struct driver_guest *guest, const struct profile *profile,
		  struct error **err)
{
	cleanup_free char *emulator = NULL;
	int r = process_find(profile->binary, "qemu-system-x86", &emulator, err);

	if (r == 0)
		r = define_as(talk, libvirt_domain_xml(talk->arena, guest, profile, emulator),
			      guest->layer > 1 ? 0 : VIR_DOMAIN_DEFINE_VALIDATE, err);
	if (r == 0)
		r = talk_dump(talk, VIR_DOMAIN_XML_INACTIVE, &talk->definition, err);
	return r < 0 ? r : talk_write_record(talk, err);
}

/* What a start that failed leaves is its logs; and its record, where libvirt does not take the domain away again. */
static void take_back(struct talk *talk, const char *run_dir)
{
	static const char *const record[] = {DOMAIN_FILE};

	if (talk->domain && (destroy(talk, NULL) < 0 || undefine(talk, NULL) < 0))
		return;
	libvirt_filter_forget(run_dir);
	remove_listed(run_dir, files, FILE_COUNT);
	remove_listed(run_dir, record, 1);
}

static int check_guest(const struct driver_guest *guest, const struct profile **ret, struct error **err)
{
	struct driver_state state = {0};
	int r = profile_choose(guest, ret, err);

	if (r == 0 && guest->nested && guest->accelerator == ACCEL_KVM)
		r = qemu_check_nesting(err);
	if (r == 0)
		r = driver_qemu.look(guest->run_dir, &state, err);
	if (r == 0 && state.running)
		r = error_set(err, EEXIST, "a guest is running in %s already, as process %d", guest->run_dir,
			      state.process.pid);
	return r;
}

static int libvirt_start(const struct driver_guest *asked, struct cancel *cancel, struct driver_state *ret,
			 struct error **err)
{
	struct driver_guest of_its_user = *asked, *guest = &of_its_user;
	cleanup_talk struct talk talk = {.arena = arena_new(),
					 .run_dir = guest->run_dir,
					 .silence_s = guest->layer > 1 ? LIBVIRT_INSIDE_S : LIBVIRT_CHANGE_S};
	struct process_id process = {0};
	const struct profile *profile;
	int r = check_guest(guest, &profile, err);

	talk.name = libvirt_domain_name(talk.arena, guest);
	talk.uuid = command_uuid(talk.arena, guest);
	talk.mark = libvirt_mark(talk.arena, guest->lab, guest->path);
	if (r == 0)
		r = libvirt_user_of(talk.arena, asked->uri, &talk.uri, &talk.user, err);
	guest->user = talk.user;
	if (r == 0)
		r = talk_open(&talk, err);
	if (r == 0)
		r = talk_find_domain(&talk, err);
	if (r == 0)
		r = check_name(&talk, err);
	if (r == 0 && talk.domain) /* of a run that was killed */
		r = destroy(&talk, err);
	if (r == 0)
		r = end_forgotten(&talk, err);
	if (r < 0)
		return r;
	remove_files(guest->run_dir);
	r = talk_write_record(&talk, err);
	if (r == 0)
		r = make_fifos(guest->run_dir, err);
	if (r == 0)
		r = libvirt_user_give(guest, err);
	if (r == 0)
		r = define(&talk, guest, profile, err);
	if (r == 0)
		r = launch(&talk, guest, &process, err);
	if (r < 0) {
		take_back(&talk, guest->run_dir);
		return r;
	}
	*ret = (struct driver_state){
		.running = true, .process = process, .accelerator = guest->accelerator, .status = "running"};
	return 0;
}

/* ─── waiting, ending ─── */

/* Why libvirt says that a domain is off, where it was not the guest's doing; NULL: it was, or nobody knows. */
static const char *ended_by(const char *run_dir)
{
	cleanup_talk struct talk talk = {0};
	int state = VIR_DOMAIN_NOSTATE, reason = 0;

	if (talk_read_record(&talk, run_dir, NULL) < 0 || talk_open(&talk, NULL) < 0 ||
	    talk_find_domain(&talk, NULL) < 0 || !talk.domain ||
	    talk.lib->virDomainGetState(talk.domain, &state, &reason, 0) < 0 || state != VIR_DOMAIN_SHUTOFF)
		return NULL;
	return reason == VIR_DOMAIN_SHUTOFF_DESTROYED ? "destroyed"
	       : reason == VIR_DOMAIN_SHUTOFF_CRASHED ? "crashed"
						      : NULL;
}

/* As the qemu driver does; what libvirt knows of an end comes on top. */
static int libvirt_wait_ready(const char *run_dir, const char *path, enum accelerator accelerator,
			      struct reporter *reporter, struct cancel *cancel, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int r = driver_qemu.wait_ready(run_dir, path, accelerator, reporter, cancel, &problem);
	const char *by = r == -ECONNRESET || r == -EPIPE ? ended_by(run_dir) : NULL;
	char what[128];

	if (by) {
		snprintf(what, sizeof(what), "its QEMU ended before the guest answered; libvirt calls it %s", by);
		r = postmortem(run_dir, EPIPE, what, err);
		error_hint(err, "libvirt keeps what its QEMU said: /var/log/libvirt/qemu");
		return r;
	}
	return r < 0 ? error_move(err, &problem) : 0;
}

/* The pid file tells, as with a QEMU of our own: libvirtd may be gone. */
static int libvirt_look(const char *run_dir, struct driver_state *ret, struct error **err)
{
	return driver_qemu.look(run_dir, ret, err);
}

static int libvirt_stop(const char *run_dir, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	cleanup_error struct error *problem = NULL;
	int r = talk_read_record(&talk, run_dir, &problem);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_move(err, &problem);
	r = talk_open(&talk, err);
	if (r == 0)
		r = talk_find_domain(&talk, err);
	if (r == 0 && talk.domain)
		r = destroy(&talk, err);
	if (r == 0 && talk.domain)
		r = undefine(&talk, err);
	if (r < 0)
		return r;
	libvirt_filter_undefine(&talk);
	r = end_forgotten(&talk, err);
	if (r == 0)
		remove_files(run_dir);
	return r;
}

static int libvirt_stop_without(const char *run_dir, char **ret, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	int r = talk_read_record(&talk, run_dir, err);

	if (r == 0)
		r = end_forgotten(&talk, err);
	if (r < 0)
		return r;
	*ret = strdup(talk.name);
	remove_files(run_dir);
	return 0;
}

/* ─── what others change ─── */

static void add_drift(struct libvirt_changes *changes, struct arena *arena, const char *what)
{
	*arena_push(arena, changes->list, changes->count) = arena_strdup(arena, what);
}

/* Compares what there is with what was made. Where there is nothing, nothing is lost. */
static int find_drift(struct talk *talk, struct arena *arena, struct guest_drift *ret, struct error **err)
{
	struct libvirt_changes changes = {0};
	const char *now;
	size_t of_definition;
	int r = talk_find_domain(talk, err);

	if (r == -EPERM) {
		add_drift(&changes, arena, "nestvisor's mark was taken away");
		error_freep(err);
		r = 0;
	} else if (r == 0 && talk->domain) {
		r = talk_dump(talk, VIR_DOMAIN_XML_INACTIVE, &now, err);
		if (r == 0 && talk->lib->virDomainIsPersistent(talk->domain) == 0)
			add_drift(&changes, arena, "it was undefined, and goes when it ends");
		else if (r == 0)
			libvirt_compare(arena, talk->definition, now, false, &changes);
		of_definition = changes.count;
		if (r == 0 && talk->machine && talk->lib->virDomainIsActive(talk->domain) == 1) {
			r = talk_dump(talk, 0, &now, err);
			if (r == 0)
				libvirt_compare(arena, talk->machine, now, true, &changes);
		}
		ret->of_machine = changes.count > of_definition;
	}
	ret->changes = changes.list;
	ret->count = changes.count;
	return r;
}

/* The next guest is asked for on the same connection. */
static void keep_connection(struct talk *kept, struct talk *talk)
{
	if (talk->connection && talk->connection != kept->connection) {
		talk_end(kept);
		*kept = (struct talk){.lib = talk->lib, .arena = arena_new(), .connection = talk->connection};
		kept->uri = arena_strdup(kept->arena, talk->uri);
	}
	talk->connection = NULL;
}

static void ask_drift(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret)
{
	cleanup_talk struct talk connected = {0};

	for (size_t i = 0; i < count; i++) {
		cleanup_talk struct talk talk = {0};
		cleanup_error struct error *err = NULL;
		int r = talk_read_record(&talk, run_dirs[i], &err);

		ret[i] = (struct guest_drift){0};
		if (r == -ENOENT || (r == 0 && !talk.definition))
			continue; /* it was never defined */
		if (r == 0 && connected.uri && strcmp(connected.uri, talk.uri) == 0) {
			talk.lib = connected.lib;
			talk.connection = connected.connection;
		} else if (r == 0) {
			r = talk_open(&talk, &err);
		}
		if (r == 0)
			r = find_drift(&talk, arena, &ret[i], &err);
		if (r < 0)
			ret[i].unknown = arena_strdup(arena, err->message);
		keep_connection(&connected, &talk);
	}
}

static void libvirt_drift(struct arena *arena, const char *const *run_dirs, size_t count, struct guest_drift *ret)
{
	libvirt_ask_in_time(ask_drift, ANSWER_MS, arena, run_dirs, count, ret);
}

/* Its name may be another's now; nothing else of what it was is needed. */
static int libvirt_restore(const char *run_dir, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	int r = talk_read_record(&talk, run_dir, err);

	if (r == 0)
		r = talk_open(&talk, err);
	if (r == 0)
		r = talk_find_domain(&talk, err);
	if (r == 0 && !talk.definition)
		r = error_set(err, ENOENT, "the domain %s was never defined", talk.name);
	return r < 0 ? r : define_as(&talk, talk.definition, 0, err);
}

const struct driver_ops driver_libvirt = {
	.name = "libvirt",
	.start = libvirt_start,
	.wait_ready = libvirt_wait_ready,
	.stop = libvirt_stop,
	.stop_without = libvirt_stop_without,
	.look = libvirt_look,
	.drift = libvirt_drift,
	.save = libvirt_save,
	.pause = libvirt_pause,
	.resume = libvirt_resume,
	.restore = libvirt_restore,
};

bool driver_holds(const char *run_dir, const char *path)
{
	struct driver_state state = {0};
	struct stat wanted, its;
	cleanup_closedir DIR *dir = NULL;
	struct dirent *entry;
	char text[64];

	if (driver_of(run_dir)->look(run_dir, &state, NULL) < 0 || !state.running || stat(path, &wanted) < 0)
		return false;
	snprintf(text, sizeof(text), "/proc/%d/fd", state.process.pid);
	dir = opendir(text);
	while (dir && (entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &its, 0) == 0 && its.st_dev == wanted.st_dev &&
		    its.st_ino == wanted.st_ino)
			return true;
	return false;
}

const struct driver_ops *driver_for(const char *uri)
{
	return uri ? &driver_libvirt : &driver_qemu;
}

const struct driver_ops *driver_of(const char *run_dir)
{
	cleanup_free char *path = in_dir(run_dir, DOMAIN_FILE);

	return file_exists(path) ? &driver_libvirt : &driver_qemu;
}
