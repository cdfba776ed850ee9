/*
 * What this machine says of itself besides its network: files, and for what no file tells the commands of the table,
 * run by a shell as they are run on any other host.
 */
#include "facts/live.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "facts/collection.h"
#include "facts/files.h"

#include <fcntl.h>

enum { COMMANDS_MS = 30000 };

static int run_commands(struct loader *loader, const struct selection *selection, struct collection *ret,
			struct error **err)
{
	static const char *const argv[] = {"sh", NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_strbuf struct strbuf script = {0};
	char word[SCRIPT_WORD_SIZE];
	struct collection_input input = {.host = loader->facts->name, .word = word, .selection = selection};
	int r;

	script_word(word);
	script_write(&script, word, selection);
	r = process_run(&spec, script.text, script.length, COMMANDS_MS, NULL, &output, err);
	if (r < 0)
		return r;
	input.out = output.out;
	input.out_length = output.out_length;
	input.err = output.err;
	input.err_length = output.err_length;
	return collection_parse(loader->pool->arena, &input, ret, err);
}

static void load_commands(struct loader *loader)
{
	static const struct selection selection = {.without = SOURCE_KERNEL_ASKED, .commands = true};
	cleanup_error struct error *problem = NULL;
	struct collection collection;

	if (run_commands(loader, &selection, &collection, &problem) < 0)
		loader_unused(loader, "sh", "sh", problem->message);
	else
		collection_load(loader, &collection, "commands");
}

void facts_live_system(struct loader *loader)
{
	cleanup_close int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct root root = {.fd = fd, .live = true};

	if (fd >= 0)
		facts_from_files(loader, &root);
	load_commands(loader);
}
