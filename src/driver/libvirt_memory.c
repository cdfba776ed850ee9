/*
 * An external snapshot with memory (virDomainSnapshotCreateXML), of which libvirt keeps no metadata: with them it would
 * refuse to undefine the domain, and revert to none of them (9.0: "not supported yet"). What it does in one call is
 * what is wanted: memory to a file, then the disk to an overlay that we have made.
 */
#include "driver/libvirt_memory.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "driver/libvirt_filter.h"
#include "driver/libvirt_talk.h"

#include <errno.h>
#include <string.h>

static int begin(struct talk *talk, const char *run_dir, struct error **err)
{
	int r = talk_read_record(talk, run_dir, err);

	if (r == 0)
		r = talk_open(talk, err);
	if (r == 0)
		r = talk_find_domain(talk, err);
	if (r == 0 && !talk->domain)
		r = error_set(err, ENOENT, "libvirt at %s has no domain %s any more", talk->uri, talk->name);
	return r;
}

static int state_of(struct talk *talk, int *ret, struct error **err)
{
	int reason;

	return talk->lib->virDomainGetState(talk->domain, ret, &reason, 0) == 0
		       ? 0
		       : libvirt_fail(talk->lib, talk->uri, err, "cannot ask how the domain %s is", talk->name);
}

/* The guest's own disk is its first (libvirt_xml.c); the others are read-only, which libvirt leaves out. */
static char *snapshot_xml(const struct driver_save *save)
{
	struct strbuf text = {0};

	strbuf_add(&text, "<domainsnapshot><memory snapshot='external' file='");
	strbuf_add_xml(&text, save->memory);
	strbuf_add(&text, "'/>");
	if (save->overlay) {
		strbuf_add(&text, "<disks><disk name='vda' snapshot='external' type='file'>"
				  "<driver type='qcow2'/><source file='");
		strbuf_add_xml(&text, save->overlay);
		strbuf_add(&text, "'/></disk></disks>");
	}
	strbuf_add(&text, "</domainsnapshot>");
	return strbuf_steal(&text);
}

int libvirt_save(const char *run_dir, const struct driver_save *save, struct cancel *cancel, struct error **err)
{
	const unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |
			       VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
	cleanup_talk struct talk talk = {0};
	cleanup_free char *xml = snapshot_xml(save);
	virDomainSnapshotPtr snapshot;
	int state = VIR_DOMAIN_NOSTATE, r = begin(&talk, run_dir, err);

	if (r == 0)
		r = state_of(&talk, &state, err);
	if (r == 0 && state != VIR_DOMAIN_PAUSED && talk.lib->virDomainSuspend(talk.domain) < 0)
		r = libvirt_fail(talk.lib, talk.uri, err, "the domain %s cannot be stopped", talk.name);
	if (r < 0)
		return r;
	snapshot = talk.lib->virDomainSnapshotCreateXML(talk.domain, xml, flags);
	if (!snapshot)
		return libvirt_fail(talk.lib, talk.uri, err, "the domain %s cannot be kept as it is", talk.name);
	talk.lib->virDomainSnapshotFree(snapshot);
	return 0;
}

/*
 * libvirt lets a domain be suspended while it is still at a snapshot of which nobody waits any more, but not be
 * resumed: that waits until it has ended (up to 30 s, then it fails). So one that stands still runs for a moment.
 */
int libvirt_pause(const char *run_dir, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	int state = VIR_DOMAIN_NOSTATE, r = begin(&talk, run_dir, err);

	if (r == 0)
		r = state_of(&talk, &state, err);
	if (r == 0 && state == VIR_DOMAIN_PAUSED && talk.lib->virDomainResume(talk.domain) < 0)
		r = libvirt_fail(talk.lib, talk.uri, err, "what was begun with the domain %s does not end", talk.name);
	if (r == 0 && talk.lib->virDomainSuspend(talk.domain) < 0)
		r = libvirt_fail(talk.lib, talk.uri, err, "the domain %s cannot be stopped", talk.name);
	return r;
}

int libvirt_resume(const char *run_dir, struct error **err)
{
	cleanup_talk struct talk talk = {0};
	int state = VIR_DOMAIN_NOSTATE, r = begin(&talk, run_dir, err);

	if (r == 0)
		r = talk_dump(&talk, VIR_DOMAIN_XML_INACTIVE, &talk.definition, err);
	if (r == 0)
		r = talk_dump(&talk, 0, &talk.machine, err);
	if (r == 0)
		r = talk_write_record(&talk, err);
	if (r == 0)
		r = state_of(&talk, &state, err);
	if (r == 0 && state != VIR_DOMAIN_RUNNING && talk.lib->virDomainResume(talk.domain) < 0)
		r = libvirt_fail(talk.lib, talk.uri, err, "the domain %s does not run on", talk.name);
	return r;
}

/*
 * The chain below the disk is left out, too: libvirt would take it for what lies below the new one, and looks itself
 * where none is given. An element's text is libvirt's own, so there is one way in which it is written.
 */
const char *libvirt_other_disk(struct arena *arena, const char *xml, const char *path)
{
	const char *disk = strstr(xml, "<disk "), *end = disk ? strstr(disk, "</disk>") : NULL;
	const char *source = disk ? strstr(disk, "<source file='") : NULL;
	const char *after = source ? strstr(source, "/>") : NULL;
	const char *chain = disk ? strstr(disk, "<backingStore") : NULL, *rest = after;
	cleanup_strbuf struct strbuf escaped = {0};

	if (!end || !after || after > end)
		return xml;
	if (chain && chain < end) { /* one within the other: the last end is the first one's */
		for (const char *at = strstr(chain, ">"); at && at < end; at = strstr(at + 1, "</backingStore>"))
			rest = strchr(at, '>') + 1;
		strbuf_add_xml(&escaped, path);
		return arena_printf(arena, "%.*s<source file='%s'/>%.*s%s", (int)(source - xml), xml, escaped.text,
				    (int)(chain - after - 2), after + 2, rest);
	}
	strbuf_add_xml(&escaped, path);
	return arena_printf(arena, "%.*s<source file='%s'%s", (int)(source - xml), xml, escaped.text, rest);
}

int libvirt_go_on(struct talk *talk, const struct driver_guest *guest)
{
	cleanup_free char *was = talk->lib->virDomainSaveImageGetXMLDesc(talk->connection, guest->saved, 0);
	bool has_disk = guest->disk_count && !guest->disks[0].read_only;
	const char *xml = was;

	if (!was)
		return -1;
	xml = libvirt_filter_left_out(talk->arena, was); /* isolation is that of now */
	if (has_disk)
		xml = libvirt_other_disk(talk->arena, xml, guest->disks[0].path);
	return talk->lib->virDomainRestoreFlags(talk->connection, guest->saved, xml, VIR_DOMAIN_SAVE_PAUSED);
}
