#include "image/unattend.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"

#include <errno.h>
#include <string.h>

/* The editions that most take. A server's are named after its year. */
static const char *usual_edition(enum windows_version version)
{
	return version == WINDOWS_11 ? "Windows 11 Pro" : version == WINDOWS_10 ? "Windows 10 Pro" : NULL;
}

static int run(struct invocation *inv)
{
	const char *output = invocation_string(inv, "output"), *edition = invocation_string(inv, "edition");
	const char *secret = invocation_string(inv, "password-file");
	enum windows_version version = (enum windows_version)windows_version(invocation_string(inv, "os"));
	struct unattend answers = {
		.version = version,
		.edition = edition ? edition : usual_edition(version),
		.language = invocation_string(inv, "language"),
		.keyboard = invocation_string(inv, "keyboard"),
		.time_zone = invocation_string(inv, "time-zone"),
		.computer_name = invocation_string(inv, "name"),
		.user = invocation_string(inv, "user"),
		.product_key = invocation_string(inv, "product-key"),
	};
	cleanup_strbuf struct strbuf xml = {0};
	cleanup_error struct error *err = NULL;
	cleanup_free char *password = NULL;
	int r;

	if (!secret)
		return invocation_usage(inv, "say where the account's password is: --password-file FILE");
	if (!answers.edition)
		return invocation_usage(inv, "say which --edition: a server's is named after its year");
	r = unattend_read_password(secret, &password, &err);
	answers.password = password;
	if (r == 0 && output)
		r = unattend_make_seed(&answers, output, &err);
	else if (r == 0)
		r = unattend_write(&answers, &xml, &err);
	if (r < 0)
		return invocation_fail_as(inv, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
	if (output)
		invocation_note(inv, "%s holds the password of %s: remove it once Windows is installed", output,
				answers.user);
	else
		invocation_print_text(inv, xml.text);
	return EXIT_DONE;
}

const struct command command_unattend = {
	.name = "unattend",
	.group = GROUP_MACHINE,
	.summary = "writes the answers with which Windows installs itself",
	.description =
		"Prints an autounattend.xml, or with -o writes a CD image with it. A machine with that CD beside those "
		"of "
		"Windows and of virtio-win installs Windows without a question, on its first disk, which is wiped: one "
		"account that is an administrator, Remote Desktop on, the drivers and the guest agent of virtio-win, "
		"and OpenSSH, which comes from Windows Update and so needs the world. Windows' requirements are not "
		"bypassed: the machine has to have UEFI, and for Windows 11 Secure Boot and a TPM 2.0.\n\n"
		"This was never tried with a real Windows; what it follows is Microsoft's reference.",
	.options =
		(const struct command_option[]){
			{"output", 'o', OPTION_STRING, "FILE", .help = "write a CD image (ISO 9660, Joliet) there",
			 .complete = COMPLETE_FILE, .no_env = true},
			{"os", 0, OPTION_CHOICE, .help = "which Windows", .fallback = "windows-11", .no_env = true,
			 .choices = (const char *const[]){"windows-11", "windows-10", "windows-server", NULL}},
			{"edition", 0, OPTION_STRING, "NAME",
			 .help = "as the medium names it; Pro if left out, of a server it must be said",
			 .no_env = true},
			{"language", 0, OPTION_STRING, "LANGUAGE", .help = "one that the medium has",
			 .fallback = "en-US", .no_env = true},
			{"keyboard", 0, OPTION_STRING, "LANGUAGE", .help = "the keyboard; the language's if left out",
			 .no_env = true},
			{"time-zone", 0, OPTION_STRING, "ZONE",
			 .help = "as Windows names it; it should be this machine's", .fallback = "UTC", .no_env = true},
			{"name", 0, OPTION_STRING, "NAME", .help = "the computer's name", .fallback = "windows",
			 .no_env = true},
			{"user", 0, OPTION_STRING, "NAME", .help = "the account's name", .fallback = "nestvisor",
			 .no_env = true},
			{"password-file", 0, OPTION_STRING,
			 "FILE", .help = "a file with the account's password, - for standard input; required",
			 .complete = COMPLETE_FILE, .no_env = true},
			{"product-key", 0, OPTION_STRING, "KEY", .help = "where the medium wants one", .no_env = true},
			{0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor unattend --password-file secret -o seed.iso", "Windows 11 Pro, in English"},
			{"nestvisor unattend --language de-DE --keyboard de-CH --password-file -", "to read it"},
			{0}},
	.run = run,
};
