#include "cli/undo.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/fix.h"

int undo_fixes(struct invocation *inv, struct arena *arena, const char *id, bool look_only, size_t *ret_count,
	       const char **ret_difference)
{
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf difference = {};
	int status = EXIT_DONE;

	*ret_count = 0;
	if (fix_undo_preview(id, &difference, &err) < 0)
		return invocation_fail(inv, &err);
	*ret_difference = arena_strdup(arena, difference.text ? difference.text : "");
	invocation_preview(inv, *ret_difference);
	if (look_only)
		return EXIT_DONE;
	if (difference.length)
		status = invocation_confirm(inv, "Take this back?");
	if (status == EXIT_DONE && fix_undo(id, inv->reporter, ret_count, &err) < 0)
		return invocation_fail(inv, &err);
	return status;
}
