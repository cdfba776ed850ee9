#include "image/medium.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "base/xml.h"
#include "image/volume_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WIM_HEADER = 208,
	WIM_XML_MAX = 16 << 20,
	WIM_METADATA_COMPRESSED = 4, /* a flag of a part of the file */
	EDITIONS_MAX = 64,
	BUILD_WINDOWS_10 = 10240,
	BUILD_WINDOWS_11 = 22000,
};

/* ------------------------------------------------------------------ the image file of Windows */

/* The processors of Windows' headers (PROCESSOR_ARCHITECTURE_*). */
static const char *architecture_name(struct arena *arena, const char *number)
{
	static const struct {
		const char *number, *name;
	} known[] = {{"", ""}, {"0", "x86"}, {"5", "ARM"}, {"6", "Itanium"}, {"9", "x64"}, {"12", "ARM64"}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].number, number) == 0)
			return known[i].name;
	return arena_printf(arena, "architecture %s", number);
}

static enum windows_version version_of(const char *type, unsigned build)
{
	if (strncasecmp(type, "Server", 6) == 0)
		return WINDOWS_SERVER;
	return build >= BUILD_WINDOWS_11 ? WINDOWS_11 : build >= BUILD_WINDOWS_10 ? WINDOWS_10 : 0;
}

static void read_edition(struct arena *arena, struct xml *xml, unsigned i, struct medium_edition *ret)
{
	size_t languages = xml_count(xml, "count(/WIM/IMAGE[%u]/WINDOWS/LANGUAGES/LANGUAGE)", i);

	*ret = (struct medium_edition){
		.name = xml_text(xml, arena, "string(/WIM/IMAGE[%u]/NAME)", i),
		.edition = xml_text(xml, arena, "string(/WIM/IMAGE[%u]/WINDOWS/EDITIONID)", i),
		.architecture =
			architecture_name(arena, xml_text(xml, arena, "string(/WIM/IMAGE[%u]/WINDOWS/ARCH)", i)),
		.build = (unsigned)strtoul(xml_text(xml, arena, "string(/WIM/IMAGE[%u]/WINDOWS/VERSION/BUILD)", i),
					   NULL, 10),
	};
	ret->version =
		version_of(xml_text(xml, arena, "string(/WIM/IMAGE[%u]/WINDOWS/INSTALLATIONTYPE)", i), ret->build);
	for (unsigned k = 1; k <= languages && k <= EDITIONS_MAX; k++)
		*arena_push(arena, ret->languages, ret->language_count) =
			xml_text(xml, arena, "string(/WIM/IMAGE[%u]/WINDOWS/LANGUAGES/LANGUAGE[%u])", i, k);
}

/* UTF-16, the low byte first, with a byte order mark. */
static char *to_utf8(const unsigned char *bytes, size_t length)
{
	struct strbuf text = {0};
	size_t at = length >= 2 && bytes[0] == 0xff && bytes[1] == 0xfe ? 2 : 0;

	for (; at + 1 < length; at += 2)
		volume_add_character(&text, volume_le16(bytes + at));
	return strbuf_steal(&text);
}

static int read_editions(struct arena *arena, struct medium *medium, const char *text, struct error **err)
{
	cleanup_xml struct xml *xml = NULL;
	size_t count;
	int r = xml_open(text, strlen(text), &xml, err);

	if (r == -EINVAL)
		return error_set(err, EBADMSG, "%s is broken: what %s says of itself is no XML", medium->path,
				 medium->file);
	if (r < 0)
		return r;
	count = xml_count(xml, "count(/WIM/IMAGE)");
	for (unsigned i = 1; i <= count && i <= EDITIONS_MAX; i++)
		read_edition(arena, xml, i, arena_push(arena, medium->editions, medium->edition_count));
	return count ? 0
		     : error_set(err, EBADMSG, "%s is broken: there is no system in %s", medium->path, medium->file);
}

/*
 * The header of a WIM or an ESD: "MSWIM", its length at 8, which part of how many at 40 and 42, how many images at 44,
 * and at 72 where its XML is: seven bytes of length and one of flags, then the place and the length once more.
 */
static int read_wim(struct arena *arena, const struct volume *volume, const struct volume_file *file,
		    struct medium *medium, struct error **err)
{
	unsigned char header[WIM_HEADER];
	cleanup_free unsigned char *xml = NULL;
	cleanup_free char *text = NULL;
	uint64_t length, offset;
	int r = volume_read(volume, file, 0, header, sizeof(header), err);

	if (r < 0)
		return r;
	length = volume_le64(header + 72) & UINT64_C(0xffffffffffffff);
	offset = volume_le64(header + 80);
	if (memcmp(header, "MSWIM\0\0", 8) != 0 || volume_le32(header + 8) < WIM_HEADER)
		return error_set(err, EBADMSG, "%s is broken: %s is no image file of Windows", medium->path,
				 medium->file);
	if (length == 0 || length > WIM_XML_MAX || header[79] & WIM_METADATA_COMPRESSED)
		return error_set(err, EBADMSG, "%s is broken: %s does not say what is in it", medium->path,
				 medium->file);
	xml = malloc(length);
	if (!xml)
		abort();
	r = volume_read(volume, file, offset, xml, length, err);
	if (r < 0)
		return r;
	text = to_utf8(xml, length);
	return read_editions(arena, medium, text, err);
}

/* ------------------------------------------------------------------ what it is */

static int read_windows(struct arena *arena, struct volume *volume, struct medium *medium, struct error **err)
{
	static const char *const files[] = {"sources/install.wim", "sources/install.esd", "sources/install.swm"};
	struct volume_file file;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		int r = volume_find(volume, files[i], &file, err);

		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		medium->kind = MEDIUM_WINDOWS;
		medium->file = files[i];
		medium->boots_uefi =
			volume_has(volume, "efi/boot/bootx64.efi") && volume_has(volume, "sources/boot.wim");
		return read_wim(arena, volume, &file, medium, err);
	}
	return 0;
}

static void read_virtio(struct arena *arena, struct volume *volume, struct medium *medium)
{
	static const char *const folders[] = {"w11", "w10", "2k25", "2k22", "2k19", "2k16"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (volume_has(volume, arena_printf(arena, "viostor/%s/amd64/viostor.inf", folders[i])) &&
		    volume_has(volume, arena_printf(arena, "NetKVM/%s/amd64/netkvm.inf", folders[i])))
			*arena_push(arena, medium->drivers, medium->driver_count) = folders[i];
	medium->agent = volume_has(volume, "guest-agent/qemu-ga-x86_64.msi");
	if (medium->driver_count || medium->agent)
		medium->kind = MEDIUM_VIRTIO;
}

/* What somebody may take for a medium of Windows. */
static const char *why_not(struct arena *arena, struct volume *volume)
{
	if (volume_has(volume, "x64/sources/install.esd") || volume_has(volume, "x64/sources/install.wim"))
		return "it has Windows for 32 and for 64 bits in folders of their own; take the medium for 64 bits "
		       "alone";
	if (volume_has(volume, "sources/boot.wim"))
		return "it boots Windows PE, but has no Windows to install: there is no sources/install.wim or .esd";
	if (volume_has(volume, "autounattend.xml"))
		return "it has answers for Setup (autounattend.xml) and no Windows";
	return arena_printf(arena, "there is no sources/install.wim or install.esd on it%s",
			    volume_has(volume, "isolinux") || volume_has(volume, "casper") ||
					    volume_has(volume, "boot/grub")
				    ? "; it looks like a Linux"
				    : "");
}

int medium_read(struct arena *arena, const char *path, struct medium *ret, struct error **err)
{
	cleanup_volume struct volume *volume = NULL;
	int r = volume_open(path, &volume, err);

	if (r < 0)
		return r;
	*ret = (struct medium){.path = arena_strdup(arena, path),
			       .label = arena_strdup(arena, volume_label(volume)),
			       .format = volume_format(volume),
			       .size = volume->size};
	r = read_windows(arena, volume, ret, err);
	if (r == 0 && ret->kind == MEDIUM_OTHER)
		read_virtio(arena, volume, ret);
	if (r == 0 && ret->kind == MEDIUM_OTHER)
		ret->why = why_not(arena, volume);
	return r;
}

/* ------------------------------------------------------------------ whether it fits */

static const char *version_name(enum windows_version version)
{
	return version == WINDOWS_11	   ? "Windows 11"
	       : version == WINDOWS_10	   ? "Windows 10"
	       : version == WINDOWS_SERVER ? "Windows Server"
					   : "a Windows that is not known here";
}

static const char *os_of(enum windows_version version)
{
	return version == WINDOWS_11 ? "windows-11" : version == WINDOWS_10 ? "windows-10" : "windows-server";
}

const char *medium_words(struct arena *arena, const struct medium *medium)
{
	const struct medium_edition *first = medium->editions;

	switch (medium->kind) {
	case MEDIUM_WINDOWS:
		return arena_printf(arena, "%s, build %u%s%s", version_name(first->version), first->build,
				    *first->architecture ? ", " : "", first->architecture);
	case MEDIUM_VIRTIO:
		return "the drivers of virtio-win";
	case MEDIUM_OTHER:
		break;
	}
	return *medium->label ? arena_printf(arena, "a CD called \"%s\"", medium->label) : "a CD without a name";
}

static void join(struct strbuf *sb, const char *text)
{
	if (sb->length)
		strbuf_add(sb, ", ");
	strbuf_add(sb, text);
}

static const char *names(struct arena *arena, const struct medium *medium, enum windows_version version)
{
	cleanup_strbuf struct strbuf sb = {0};

	for (size_t i = 0; i < medium->edition_count; i++)
		if (medium->editions[i].version == version)
			join(&sb, medium->editions[i].name);
	return arena_strdup(arena, sb.text ? sb.text : "");
}

static int not_windows(const struct medium *medium, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	int r;

	if (medium->kind == MEDIUM_VIRTIO) {
		r = error_set(err, EMEDIUMTYPE, "%s is no medium of Windows: it is %s", medium->path,
			      medium_words(arena, medium));
		error_hint(err, "it belongs to virtio:, and to iso: the ISO of Windows itself");
		return r;
	}
	r = error_set(err, EMEDIUMTYPE, "%s is no medium of Windows: it is %s, and %s", medium->path,
		      medium_words(arena, medium), medium->why);
	error_hint(err, "take the ISO that Microsoft offers, as it is");
	return r;
}

static int choose_edition(const struct medium *medium, enum windows_version version, const char *name,
			  const struct medium_edition **ret, struct error **err)
{
	static const char *const usual[] = {"Professional", "Enterprise", "Core", "ServerStandard",
					    "ServerStandardEval"};
	cleanup_arena struct arena *arena = arena_new();
	size_t count = 0;
	int r;

	*ret = NULL;
	for (size_t i = 0; i < medium->edition_count; i++) {
		const struct medium_edition *edition = &medium->editions[i];

		if (edition->version != version)
			continue;
		count++;
		if (name ? strcasecmp(edition->name, name) == 0 : true)
			*ret = edition;
		if (name && *ret)
			return 0;
	}
	if (name && count) {
		r = error_set(err, EMEDIUMTYPE, "%s has no edition called \"%s\"", medium->path, name);
		error_hint(err, "it has: %s", names(arena, medium, version));
		return r;
	}
	if (count == 0) {
		r = error_set(err, EMEDIUMTYPE, "%s has %s, and not %s", medium->path, medium_words(arena, medium),
			      version_name(version));
		if (medium->editions[0].version)
			error_hint(err, "os: %s is what it installs", os_of(medium->editions[0].version));
		return r;
	}
	for (size_t k = 0; k < sizeof(usual) / sizeof(*usual) && count > 1; k++)
		for (size_t i = 0; i < medium->edition_count; i++)
			if (medium->editions[i].version == version &&
			    strcasecmp(medium->editions[i].edition, usual[k]) == 0) {
				*ret = &medium->editions[i];
				return 0;
			}
	return 0;
}

static int choose_language(const struct medium *medium, const struct medium_edition *edition, const char *language,
			   const char **ret, struct error **err)
{
	cleanup_strbuf struct strbuf has = {0};
	int r;

	*ret = language ? language : edition->language_count ? edition->languages[0] : "en-US";
	for (size_t i = 0; i < edition->language_count; i++) {
		if (strcasecmp(edition->languages[i], *ret) == 0)
			return 0;
		join(&has, edition->languages[i]);
	}
	if (edition->language_count == 0)
		return 0;
	r = error_set(err, EMEDIUMTYPE, "%s does not have %s in %s", medium->path, edition->name, language);
	error_hint(err, "it has: %s", has.text);
	return r;
}

int medium_choose(const struct medium *medium, enum windows_version version, const char *edition, const char *language,
		  struct medium_choice *ret, struct error **err)
{
	int r;

	if (medium->kind != MEDIUM_WINDOWS)
		return not_windows(medium, err);
	r = choose_edition(medium, version, edition, &ret->edition, err);
	if (r < 0)
		return r;
	if (*ret->edition->architecture && strcmp(ret->edition->architecture, "x64") != 0)
		return error_set(err, EMEDIUMTYPE, "%s is for %s: a guest here is an x64 machine", medium->path,
				 ret->edition->architecture);
	if (!medium->boots_uefi)
		return error_set(err, EMEDIUMTYPE,
				 "%s does not boot by UEFI: it lacks efi/boot/bootx64.efi or sources/boot.wim",
				 medium->path);
	return choose_language(medium, ret->edition, language, &ret->language, err);
}

static bool has_drivers(const struct medium *medium, const char *folder)
{
	for (size_t i = 0; i < medium->driver_count; i++)
		if (strcmp(medium->drivers[i], folder) == 0)
			return true;
	return false;
}

int medium_check_virtio(const struct medium *medium, enum windows_version version, unsigned build, struct error **err)
{
	const char *folder = windows_drivers(version, build);
	cleanup_arena struct arena *arena = arena_new();
	int r;

	if (medium->kind != MEDIUM_VIRTIO) {
		r = error_set(err, EMEDIUMTYPE, "%s is not virtio-win: it is %s", medium->path,
			      medium_words(arena, medium));
		error_hint(err, "https://fedorapeople.org/groups/virt/virtio-win/direct-downloads/stable-virtio/");
		return r;
	}
	if (!has_drivers(medium, folder))
		return error_set(err, EMEDIUMTYPE,
				 "%s has no drivers of disk and network for %s (viostor and NetKVM/%s)", medium->path,
				 version_name(version), folder);
	return medium->agent ? 0
			     : error_set(err, EMEDIUMTYPE,
					 "%s has no guest agent (guest-agent/qemu-ga-x86_64.msi), by which nestvisor "
					 "knows that Windows is installed",
					 medium->path);
}
