/* ISO 9660. Byte positions are those of ECMA-119 less one. */
#include "image/volume_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <string.h>
#include <strings.h>

enum {
	DESCRIPTOR_PRIMARY = 1,
	DESCRIPTOR_SUPPLEMENTARY = 2,
	DESCRIPTOR_END = 255,
	RECORD_LEAST = 34,
	FLAG_FOLDER = 2,
	FLAG_MORE = 0x80, /* another record goes on with the file: those of 4 GiB and more */
};

/* 9.1.11, without the version behind ";" and without a dot that nothing follows. */
static char *record_name(const struct volume *volume, const unsigned char *record)
{
	struct strbuf name = {0};
	size_t length = record[32];
	char *text, *end;

	for (size_t i = 0; volume->joliet && i + 1 < length; i += 2)
		volume_add_character(&name, (unsigned)record[33 + i] << 8 | record[34 + i]);
	for (size_t i = 0; !volume->joliet && i < length; i++)
		strbuf_add_char(&name, (char)record[33 + i]);
	text = strbuf_steal(&name);
	end = strrchr(text, ';');
	if (end)
		*end = '\0';
	if (*text && text[strlen(text) - 1] == '.')
		text[strlen(text) - 1] = '\0';
	return text;
}

static int take_record(struct volume *volume, const unsigned char *record, struct volume_file *file, struct error **err)
{
	uint64_t offset = (uint64_t)volume_le32(record + 2) * VOLUME_SECTOR;

	file->folder = record[25] & FLAG_FOLDER;
	file->size += volume_le32(record + 10);
	return volume_add_extent(volume, file, offset, volume_le32(record + 10), err);
}

/* Records do not cross sectors: behind the last of one there are zeros. */
static int look_up(struct volume *volume, const unsigned char *folder, size_t length, const char *name,
		   struct volume_file *ret, struct error **err)
{
	bool found = false;

	for (size_t at = 0; at < length;) {
		const unsigned char *record = folder + at;
		cleanup_free char *its = NULL;
		int r;

		if (record[0] == 0) {
			at = (at / VOLUME_SECTOR + 1) * VOLUME_SECTOR;
			continue;
		}
		if (record[0] < RECORD_LEAST || record[0] > length - at || record[32] > record[0] - 33)
			return volume_broken(volume, err, "an entry of a folder has no valid length");
		at += record[0];
		its = record_name(volume, record);
		if (strcasecmp(its, name) != 0)
			continue;
		r = take_record(volume, record, ret, err);
		if (r < 0)
			return r;
		found = true;
		if (!(record[25] & FLAG_MORE))
			return 1;
	}
	return found ? volume_broken(volume, err, "%s ends before it is whole", name) : 0;
}

/* 8.5.3: UCS-2 in one of three levels */
static bool is_joliet(const unsigned char *descriptor)
{
	return descriptor[0] == DESCRIPTOR_SUPPLEMENTARY && descriptor[88] == '%' && descriptor[89] == '/' &&
	       strchr("@CE", descriptor[90]) && descriptor[90];
}

static void take_descriptor(struct volume *volume, const unsigned char *descriptor)
{
	struct strbuf label = {0};
	char *text, *end;

	volume->joliet = is_joliet(descriptor);
	for (size_t i = 0; i < 32; i += volume->joliet ? 2 : 1)
		volume_add_character(&label, volume->joliet ? (unsigned)descriptor[40 + i] << 8 | descriptor[41 + i]
							    : descriptor[40 + i]);
	text = strbuf_steal(&label);
	for (end = text + strlen(text); end > text && end[-1] == ' ';)
		*--end = '\0';
	volume->label = arena_strdup(volume->arena, text);
	free(text);
	volume->format = volume->joliet ? "ISO 9660 with Joliet names" : "ISO 9660";
	volume->look_up = look_up;
}

int volume_open_iso(struct volume *volume, struct error **err)
{
	unsigned char descriptor[VOLUME_SECTOR], best[VOLUME_SECTOR];
	bool found = false;
	int r;

	for (unsigned i = 0; i < VOLUME_DESCRIPTORS_MAX; i++) {
		uint64_t at = (uint64_t)(VOLUME_FIRST_DESCRIPTOR + i) * VOLUME_SECTOR;

		if (at + VOLUME_SECTOR > volume->size)
			break;
		r = volume_read_at(volume, at, descriptor, sizeof(descriptor), err);
		if (r < 0)
			return r;
		if (memcmp(descriptor + 1, "CD001", 5) != 0 || descriptor[0] == DESCRIPTOR_END)
			break;
		if ((descriptor[0] == DESCRIPTOR_PRIMARY && !found) || is_joliet(descriptor)) {
			memcpy(best, descriptor, sizeof(best));
			found = true;
		}
	}
	if (!found)
		return 0;
	if (volume_le16(best + 128) != VOLUME_SECTOR)
		return volume_broken(volume, err, "its blocks have %u bytes, and not 2048", volume_le16(best + 128));
	take_descriptor(volume, best);
	r = take_record(volume, best + 156, &volume->root, err);
	return r < 0 ? r : 1;
}
