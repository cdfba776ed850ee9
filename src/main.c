/* nestvisor: the table of commands. Each is one file in cli/, and says there all that is to be known of it. */
#include "cli/command.h"

#include <stddef.h>

extern const struct command command_adopt, command_apply, command_capture, command_completion, command_complete, command_console, command_cp, command_cut, command_doctor, command_down,
	command_diff, command_exec, command_facts, command_fix, command_forward, command_graph, command_help, command_image, command_isolate, command_open, command_seal, command_path, command_plan, command_proxy, command_rdp, command_reach, command_relay, command_room, command_schema,
	command_restore, command_screenshot, command_snapshot, command_snapshots, command_ssh, command_status, command_type, command_unattend, command_up, command_validate, command_verify, command_version, command_view, command_why, command_wsl;

/* In the order of the overview within each group. */
static const struct command *const commands[] = {
	&command_validate,   &command_plan,   &command_up,	&command_status, &command_down,	    &command_image,	 &command_apply,
	&command_exec,	     &command_ssh,    &command_console, &command_cp, &command_proxy,	 &command_forward, &command_screenshot, &command_type, &command_view, &command_rdp, &command_relay, &command_room,    &command_cut, &command_open, &command_seal, &command_isolate, &command_graph, &command_snapshot, &command_snapshots, &command_restore,
	&command_verify, &command_path, &command_why, &command_fix, &command_reach, &command_diff, &command_doctor, &command_adopt, &command_wsl, &command_unattend, &command_facts, &command_capture,
	&command_completion, &command_schema, &command_version, &command_help,	 &command_complete, NULL,
};

int main(int argc, char **argv)
{
	return command_main(commands, argc, argv);
}
