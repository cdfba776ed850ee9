#include "doctor/adopt.h"

#include "apply/folders.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "config/config.h"
#include "driver/libvirt_adopted.h"
#include "driver/libvirt_list.h"
#include "facts/facts.h"
#include "render/text.h"

#include <errno.h>
#include <string.h>

/* What is adopted: documents, and where they are from. */
struct adoptable {
	const struct document *documents;
	size_t count;
	const char *origin;
	const char *driver; /* where the lab file can name the libvirt; else NULL */
};

static bool has_libvirt(const struct facts *facts)
{
	for (size_t i = 0; i < facts->document_count; i++)
		if (facts->documents[i].kind && (strcmp(facts->documents[i].kind, "domain") == 0 ||
						 strcmp(facts->documents[i].kind, "network") == 0))
			return true;
	return false;
}

/* A lab file holds what one libvirt has, so it is one host's. */
static int choose_host(struct invocation *inv, struct arena *arena, const struct bundle *bundle, const char *name,
		       struct adoptable *ret)
{
	const struct facts *chosen = NULL;

	for (size_t i = 0; i < bundle->host_count; i++) {
		const struct facts *facts = bundle->hosts[i];

		if (name ? strcmp(facts->name, name) != 0 : !has_libvirt(facts))
			continue;
		if (chosen)
			return invocation_usage(inv,
						"%s and %s both have domains or networks of libvirt's: name one with "
						"--host",
						chosen->name, facts->name);
		chosen = facts;
	}
	if (chosen) {
		ret->documents = chosen->documents;
		ret->count = chosen->document_count;
	}
	ret->origin = arena_printf(arena, "%s%s%s", invocation_string(inv, "facts"), chosen ? ", host " : "",
				   chosen ? chosen->name : "");
	return EXIT_DONE;
}

static json_t *adoption_json(const struct adoption *adoption, const char *lab, const struct adoptable *source,
			     const struct problems *problems)
{
	return json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:o}", "lab", lab, "from", text_json(source->origin),
			 "file", text_json(adoption->text), "guests", (json_int_t)adoption->guests, "networks",
			 (json_int_t)adoption->networks, "left_out", (json_int_t)adoption->left_out, "notes",
			 (json_int_t)adoption->notes, "valid", problems->errors == 0, "problems",
			 problems_json(problems));
}

/* The file goes through the same door as one that a person wrote: an error in it is said here and not at the first up.
 */
static int show(struct invocation *inv, const struct adoption *adoption, const char *lab,
		const struct adoptable *source)
{
	cleanup_problems struct problems problems = {};
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *built = NULL;
	int r = config_load_text("adopted.nest.yaml", adoption->text, strlen(adoption->text), NULL, &problems, &built,
				 &err);
	size_t marked = 0;

	if (r < 0 && problems.errors == 0)
		return invocation_fail(inv, &err);
	if (r == 0 && (invocation_flag(inv, "mark") || invocation_flag(inv, "unmark")) &&
	    libvirt_adopted_mark(built, invocation_flag(inv, "mark"), &marked, &err) < 0)
		return invocation_fail(inv, &err);
	if (inv->json) {
		json_t *document = adoption_json(adoption, lab, source, &problems);

		json_object_set_new(document, "marked",
				    json_integer(invocation_flag(inv, "mark") ? (json_int_t)marked : 0));
		invocation_answer(inv, document);
	} else {
		invocation_print_text(inv, adoption->text);
		if (problems.errors > 0)
			invocation_problems(inv, &problems);
		invocation_note(inv,
				"%zu guest%s and %zu network%s; %zu left out, %zu note%s on what is not taken over",
				adoption->guests, adoption->guests == 1 ? "" : "s", adoption->networks,
				adoption->networks == 1 ? "" : "s", adoption->left_out, adoption->notes,
				adoption->notes == 1 ? "" : "s");
		if (invocation_flag(inv, "mark") || invocation_flag(inv, "unmark"))
			invocation_note(inv, "nestvisor's mark of lab %s is %s %zu domain%s", lab,
					invocation_flag(inv, "mark") ? "on" : "off", marked, marked == 1 ? "" : "s");
	}
	return problems.errors > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_free char *name = NULL;
	const char *uri = invocation_operand(inv, 0), *lab = invocation_string(inv, "name");
	struct adoptable source = {};
	struct adoption adoption;
	struct document *documents;
	struct folders folders;
	int status = EXIT_DONE;

	if (folders_of(arena, lab, &folders, &err) < 0) /* before anything is written to where the file is to be */
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (invocation_string(inv, "facts")) {
		if (uri)
			return invocation_usage(inv, "give a URI or --facts, not both");
		status = factsource_bundle(inv, invocation_string(inv, "host"), COLLECT_FACTS, &bundle, &name);
		if (status == EXIT_DONE)
			status = choose_host(inv, arena, bundle, name, &source);
		if (status != EXIT_DONE)
			return status;
	} else if (invocation_string(inv, "host")) {
		return invocation_usage(inv, "--host names a host in --facts");
	} else {
		source.origin = uri ? uri : "qemu:///system";
		if (libvirt_list(source.origin, arena, &documents, &source.count, &err) < 0)
			return invocation_fail(inv, &err);
		source.documents = documents;
		source.driver = config_is_local_libvirt(source.origin) ? source.origin : NULL;
	}
	if ((invocation_flag(inv, "mark") || invocation_flag(inv, "unmark")) && !source.driver)
		return invocation_usage(
			inv,
			"only domains of a libvirt of this machine's that runs as root can be marked, by "
			"qemu:///system: not those of %s",
			source.origin);
	if (invocation_flag(inv, "mark") && invocation_flag(inv, "unmark"))
		return invocation_usage(inv, "--mark or --unmark, not both");
	if (adopt_lab_file(arena, source.documents, source.count, lab, source.origin, source.driver, &adoption, &err) <
	    0)
		return invocation_fail(inv, &err);
	return show(inv, &adoption, lab, &source);
}

const struct command command_adopt = {
	.name = "adopt",
	.group = GROUP_MACHINE,
	.summary = "writes a lab file of the domains and networks that a libvirt has",
	.description =
		"The lab file goes to standard output. libvirt's domains become guests of L0, its networks L0's "
		"networks. What a lab file has no word for stands in it as a comment, with the reason, above what it "
		"belongs to; domains and networks that cannot be guests of a lab are a comment alone. The "
		"file is checked as `nestvisor validate --no-host` does.\n\n"
		"libvirt is only read; nothing is started, changed or marked. Of this machine's qemu:///system the "
		"guests "
		"of the file are those domains themselves (the keys driver and adopted): `plan` on it says where they "
		"have "
		"become others since, and doctor, verify, graph, status, cut, seal and open work on them. nestvisor "
		"never "
		"changes, starts or ends them, and `down` leaves them. With --mark each domain gets a remark in its "
		"metadata that names the lab and the guest, for virsh metadata and others to see; it means nothing to "
		"nestvisor.\n\n"
		"Of a libvirt of another machine or user, or of captured XML, the guests are the like of the domains, "
		"for "
		"nestvisor to make: `up` starts them by QEMU, on overlays over the domains' disks, so shut the domains "
		"down first.",
	.operands =
		(const struct command_operand[]){{.name = "URI",
						  .help = "libvirt's (https://libvirt.org/uri.html); qemu:///system if "
							  "left out",
						  .optional = true},
						 {}},
	.options = (const struct command_option[]){FACTSOURCE_OPTIONS,
						   {.name = "host",
						    .kind = OPTION_STRING,
						    .argument = "HOST",
						    .help = "with --facts: whose libvirt, where several hosts have one",
						    .no_env = true},
						   {.name = "name",
						    .kind = OPTION_STRING,
						    .argument = "NAME",
						    .help = "the lab's name",
						    .fallback = "adopted",
						    .no_env = true},
						   {.name = "mark",
						    .help = "put a remark with the lab's name on each domain"},
						   {.name = "unmark", .help = "take that remark away again"},
						   {}},
	.examples =
		(const struct command_example[]){
			{"nestvisor adopt > mine.nest.yaml", "of this machine's libvirt"},
			{"nestvisor adopt qemu+ssh://root@server/system --name server", "of another machine's"},
			{"nestvisor adopt --name office --mark > office.nest.yaml",
			 "and virsh shows which lab they are in"},
			{"nestvisor adopt --facts bundle.tar --host vm1", "of domains and networks that were captured"},
			{}},
	.statuses =
		(const struct command_status[]){
			{EXIT_DONE, "the lab file is written, and valid"},
			{EXIT_FAILED,
			 "libvirt does not answer, has nothing, or the lab file has errors, which are shown"},
			{EXIT_USAGE, "wrong usage, or facts that cannot be read"},
			{}},
	.json = "adopt",
	.run = run,
};
