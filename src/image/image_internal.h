/* What the files of this folder share: how a built-in image is described, and the steps that make one. */
#ifndef NESTVISOR_IMAGE_INTERNAL_H
#define NESTVISOR_IMAGE_INTERNAL_H

#include "image/files.h"
#include "image/image.h"
#include "image/sums.h"

#include <jansson.h>

/* A program that a build needs, and the Debian package it comes in. */
struct image_program {
	const char *name, *package;
};

struct image_recipe {
	const char *name;
	enum image_kind kind;
	const char *script;		      /* one of the files */
	const char *const *files;	      /* names of the embedded files it uses; NULL ends */
	const struct embedded_file *table;    /* where they are found */
	const struct image_program *programs; /* name NULL ends */
	bool needs_root;
	uint64_t needs_space; /* bytes that the folder must have free for a build from nothing */
	const char *append;
	/* Where nestvisor and its libraries go in the initramfs of a host: "" for its root, else a folder that the
	 * image's own init copies onto the root disk, with a slash at its end. */
	const char *nestvisor_prefix;
};

/* One request for a built-in image. */
struct image_build {
	const struct image_recipe *recipe;
	const char *nestvisor; /* path of the program that goes into hosts */
	const char *cache;     /* folder */
	const char *subject;   /* "image micro", for the reporter */
	struct arena *arena;
	struct reporter *reporter;
	struct cancel *cancel;
	int lock_fd; /* held during a build, -1 before */
};

/* An embedded file by its name, or NULL. */
const struct embedded_file *recipe_file(const struct image_recipe *recipe, const char *name);

int image_get_built(struct image_build *build, const char *id, struct image *ret, struct error **err);

/*
 * The cache (cache.c):
 *   layers/<id>/    what a script made: vmlinux bzImage guest.initrd host.cpio [disk.raw] manifest.json sums.json
 *   images/<id>/    that and nestvisor: host.initrd carrier.img manifest.json sums.json
 *   current/<key>   a link to the layer that a script, or to the image that a layer and a nestvisor, gave last
 *   known/<key>     small facts about files, by their identity
 *   carried/<id>/   where carriers are mounted, on a host that is a guest itself
 *   <name>.lock     held by whoever builds that image, and by the processes of the build
 *   <name>.log      what the script of the last failed build said
 *   build.<name>/   a build under way; left behind only by a builder that was killed
 */
int cache_prepare(const char *cache, struct error **err);
int cache_check_space(const struct image_build *build, struct error **err);
bool cache_is_full(const char *folder);
int cache_fail_full(const struct image_build *build, struct error **err);
/* Puts a finished folder in its place; one that is there already (the same content) is replaced. */
int cache_put_folder(const char *from, const char *to, struct error **err);
int cache_put_link(const char *cache, const char *key, const char *target, struct error **err);
char *cache_read_link(struct arena *arena, const char *cache, const char *key); /* NULL where there is none */
/* Removes images of that name which nobody has open, but the newest few, and layers that nothing refers to any more. */
void cache_prune(const struct image_build *build);

/* A fact about a file that holds as long as the file is the same one, unchanged: inode, size and time of modification.
 */
int known_key(const char *what, const char *path, char ret[IMAGE_ID_SIZE], struct error **err);
json_t *known_get(const char *cache, const char *key);
void known_put(const char *cache, const char *key, const json_t *fact);

/* A folder of the cache with its manifest, checked. */
struct cache_entry {
	char id[IMAGE_ID_SIZE];
	const char *path; /* NULL: none */
	json_t *manifest, *sums;
};
void cache_entry_clear(struct cache_entry *entry);
#define cleanup_entry __attribute__((cleanup(cache_entry_clear)))
/* -ENOENT when there is none, -EBADMSG when it is damaged. */
int cache_entry_read(const struct image_build *build, const char *kind, const char *id, struct cache_entry *ret,
		     struct error **err);
int cache_entry_write(const char *folder, const json_t *manifest, const json_t *sums, struct error **err);

/* Runs the recipe's script in `folder`, which then has out/ (script.c). */
int script_run(const struct image_build *build, const char *folder, struct error **err);

/* The layer of a script: the current one, or a new one (layer.c). */
void layer_key(const struct image_recipe *recipe, char ret[IMAGE_ID_SIZE]);
int layer_get(const struct image_build *build, bool may_build, struct cache_entry *ret, struct error **err);

/* Puts nestvisor on top of a layer (assemble.c). */
int assemble_key(const struct image_build *build, const char *layer_id, char ret[IMAGE_ID_SIZE], struct error **err);
int assemble(const struct image_build *build, const struct cache_entry *layer, const char *folder,
	     struct cache_entry *ret, struct error **err);

/* Carried images (carried.c): 1 found, 0 there is none, or an error. */
int carried_get(struct arena *arena, const char *name, const char *id, struct image *ret, struct error **err);

/* Fills in what a manifest says (image.c). `boot` and `layer` are the folders of host.initrd and of all else. */
int image_from_manifest(struct arena *arena, const json_t *manifest, const char *boot, const char *layer,
			struct image *ret, struct error **err);

#endif
