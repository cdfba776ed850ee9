/*
 *   sector 16  primary volume descriptor        names in capitals
 *          17  supplementary volume descriptor  Joliet: the same tree with names in UCS-2
 *          18  the end of the descriptors
 *          19  path table, and 20 with its bytes the other way; 21 and 22 those of Joliet
 *          23  the root folder; 24 that of Joliet
 *          25  the file
 *
 * Both trees point to the same sectors of the file. Byte positions below are those of ECMA-119 less one.
 */
#include "image/iso.h"

#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	SECTOR = 2048,
	PRIMARY = 16,
	JOLIET,
	TERMINATOR,
	PATH_TABLES, /* four of them */
	ROOT = PATH_TABLES + 4,
	JOLIET_ROOT,
	CONTENT,
	PATH_TABLE_SIZE = 10, /* of the root alone */
	FLAG_FOLDER = 2,
};

/* 7.2.3, 7.3.3: numbers stand twice, in both byte orders. */
static void put_16(unsigned char *at, unsigned value)
{
	at[0] = at[3] = (unsigned char)value;
	at[1] = at[2] = (unsigned char)(value >> 8);
}

static void put_32(unsigned char *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = at[7 - i] = (unsigned char)(value >> 8 * i);
}

/* Joliet: UCS-2, the high byte first. Returns the length in bytes. */
static size_t put_name(unsigned char *at, const char *name, bool joliet)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (joliet)
			at[2 * i + 1] = (unsigned char)name[i];
		else
			at[i] = (unsigned char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
	return joliet ? 2 * length : length;
}

/* 9.1. Whose name was put behind it already. Returns its length. */
static size_t put_record(unsigned char *at, uint32_t sector, uint32_t length, unsigned flags, size_t name_length)
{
	size_t size = 33 + name_length + (name_length % 2 == 0);

	at[0] = (unsigned char)size;
	put_32(at + 2, sector);
	put_32(at + 10, length);
	memcpy(at + 18, (const unsigned char[]){100, 1, 1}, 3); /* 2000-01-01: no date makes a difference */
	at[25] = (unsigned char)flags;
	put_16(at + 28, 1);
	at[32] = (unsigned char)name_length;
	return size;
}

/* 8.4, 8.5 */
static void put_descriptor(unsigned char *at, const char *label, uint32_t sectors, bool joliet)
{
	unsigned path_table = PATH_TABLES + (joliet ? 2 : 0);

	at[0] = joliet ? 2 : 1;
	memcpy(at + 1, "CD001\1", 6);
	/* The fields of text, spaces where they say nothing; numbers follow. Of 37 bytes the last is none of a letter.
	 */
	for (size_t i = 8; i < 813; i++)
		at[i] = joliet && (i < 739 || i >= 776 ? i % 2 == 0 : i % 2 == 1) ? 0 : ' ';
	memset(at + 72, 0, 118);
	put_name(at + 40, label, joliet);
	put_32(at + 80, sectors);
	if (joliet)
		memcpy(at + 88, "%/E", 3);
	put_16(at + 120, 1);
	put_16(at + 124, 1);
	put_16(at + 128, SECTOR);
	put_32(at + 132, PATH_TABLE_SIZE);
	at[140] = (unsigned char)path_table;
	at[151] = (unsigned char)(path_table + 1);
	put_record(at + 156, joliet ? JOLIET_ROOT : ROOT, SECTOR, FLAG_FOLDER, 1);
	for (size_t i = 813; i < 881; i++) /* four times: unknown */
		at[i] = (i - 813) % 17 == 16 ? 0 : '0';
	at[881] = 1;
}

/* 9.4: the length of the name, the sector, and that the root is its own parent. */
static void put_path_tables(unsigned char *image, unsigned first, unsigned root)
{
	unsigned char *little = image + (size_t)first * SECTOR, *big = little + SECTOR;

	little[0] = big[0] = 1;
	little[2] = big[5] = (unsigned char)root;
	little[6] = big[7] = 1;
}

static void put_root(unsigned char *image, unsigned sector, const char *name, size_t length, bool joliet)
{
	unsigned char *at = image + (size_t)sector * SECTOR;

	at += put_record(at, sector, SECTOR, FLAG_FOLDER, 1);
	at[33] = 1; /* the second entry is the parent, its name one byte of value 1 */
	at += put_record(at, sector, SECTOR, FLAG_FOLDER, 1);
	put_record(at, CONTENT, (uint32_t)length, 0, put_name(at + 33, name, joliet));
}

void iso_of_file(const char *label, const char *name, const void *data, size_t length, struct strbuf *ret)
{
	static const unsigned char empty[SECTOR];
	size_t sectors = CONTENT + (length + SECTOR - 1) / SECTOR;
	cleanup_strbuf struct strbuf versioned = {0};
	unsigned char *image;

	for (size_t i = 0; i < CONTENT; i++)
		strbuf_add_bytes(ret, empty, SECTOR);
	strbuf_add_bytes(ret, data, length);
	strbuf_add_bytes(ret, empty, sectors * SECTOR - ret->length);
	strbuf_printf(&versioned, "%s;1", name);
	image = (unsigned char *)ret->text;
	put_descriptor(image + (size_t)PRIMARY * SECTOR, label, (uint32_t)sectors, false);
	put_descriptor(image + (size_t)JOLIET * SECTOR, label, (uint32_t)sectors, true);
	memcpy(image + (size_t)TERMINATOR * SECTOR, "\377CD001\1", 7);
	put_path_tables(image, PATH_TABLES, ROOT);
	put_path_tables(image, PATH_TABLES + 2, JOLIET_ROOT);
	put_root(image, ROOT, versioned.text, length, false);
	put_root(image, JOLIET_ROOT, versioned.text, length, true);
}
