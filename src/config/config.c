#include "config/config.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "config/build.h"

#include <errno.h>
#include <glob.h>
#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* Builds the lab and checks all that can be; it stays in b->lab, right or wrong. */
static void build_and_check(struct build *b)
{
	build_lab(b);
	check_adopted(b);
	check_machines(b);
	check_networks(b);
	check_overlaps(b);
	check_guests(b);
	check_capacity(b);
}

/* The layer above has said all warnings already: whoever runs a part cannot act on them. */
static void drop_warnings(struct problems *problems)
{
	size_t kept = 0;

	for (size_t i = 0; i < problems->count; i++)
		if (!problems->items[i].warning)
			problems->items[kept++] = problems->items[i];
	problems->count = kept;
}

static struct lab *load(const char *name, const char *text, size_t length, const struct surroundings *machine,
			struct problems *problems)
{
	cleanup_arena struct arena *tree_arena = arena_new();
	struct arena *arena = arena_new();
	struct lab *lab = arena_new_struct(arena, struct lab);
	struct build b = {.lab = lab, .tree_arena = tree_arena, .problems = problems, .machine = machine};
	struct node *root = tree_parse(tree_arena, text, length, problems);

	lab->arena = arena;
	lab->file = arena_strdup(arena, name);
	if (root && schema_check(tree_arena, root, problems) && !problems_enough(problems)) {
		b.root = root;
		build_and_check(&b);
		if (b.part)
			drop_warnings(problems);
	}
	if (problems->errors == 0)
		return lab;
	lab_free(lab);
	return NULL;
}

int config_load_text(const char *name, const char *text, size_t length, const struct surroundings *machine,
		     struct problems *ret_problems, struct lab **ret, struct error **err)
{
	problems_open(ret_problems, strcmp(name, "-") == 0 ? "<stdin>" : name);
	if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
		text += 3;
		length -= 3;
	}
	*ret = load(name, text, length, machine, ret_problems);
	problems_close(ret_problems, text, length);
	if (*ret)
		return 0;
	return error_set(err, EINVAL, "%s has %zu error%s", name, ret_problems->errors,
			 ret_problems->errors == 1 ? "" : "s");
}

int config_load(const char *path, const struct surroundings *machine, struct problems *ret_problems, struct lab **ret,
		struct error **err)
{
	cleanup_free char *text = NULL;
	size_t length;
	int r = file_read(path, TREE_LIMIT, &text, &length, err);

	*ret = NULL;
	if (r < 0) {
		problems_open(ret_problems, path);
		return r;
	}
	return config_load_text(path, text, length, machine, ret_problems, ret, err);
}

int config_find(char **ret_path, struct error **err)
{
	cleanup_strbuf struct strbuf names = {0};
	glob_t found;
	int r = 0, status = glob("*.nest.yaml", 0, NULL, &found);

	*ret_path = NULL;
	if (status == GLOB_NOMATCH) {
		error_set(err, ENOENT, "there is no *.nest.yaml in this folder");
		error_hint(err, "name a lab file, or go where one is; examples/first.nest.yaml is one to begin with");
		return -ENOENT;
	}
	if (status != 0)
		return error_set(err, status == GLOB_NOSPACE ? ENOMEM : EIO, "cannot read this folder");
	if (found.gl_pathc == 1) {
		*ret_path = strdup(found.gl_pathv[0]);
		if (!*ret_path)
			abort();
	} else {
		for (size_t i = 0; i < found.gl_pathc; i++)
			strbuf_printf(&names, "%s%s", i ? ", " : "", found.gl_pathv[i]);
		r = error_set(err, ENOTUNIQ, "there are several lab files in this folder: %s", names.text);
		error_hint(err, "name one of them");
	}
	globfree(&found);
	return r;
}
