#include "cli/verification.h"

#include "apply/folders.h"
#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/hosts.h"
#include "driver/libvirt_adopted.h"

#include <errno.h>
#include <string.h>

void verification_clear(struct verification *verification)
{
	stack_free(verification->stack);
	bundle_free(verification->bundle);
	arena_free(verification->arena);
	*verification = (struct verification){};
}

/* The lab stays the caller's. */
static int ask_hosts(struct invocation *inv, const struct lab *lab, struct verification *ret)
{
	struct hosts hosts = {
		.arena = ret->arena, .kind = COLLECT_NETWORK, .lab = (struct lab *)lab, .list.arena = ret->arena};

	collect_add_lab(&hosts.list, lab, true);
	return hosts_ask(&hosts, inv, &ret->bundle);
}

static int load_isolation(struct arena *arena, const struct lab *lab, struct isolation **ret, struct error **err)
{
	struct folders folders;
	int r = folders_of(arena, lab->name, &folders, err);

	return r < 0 ? r : isolate_load(&folders, lab, ret, err);
}

static bool has_nic(const struct guest *guest, const uint8_t mac[6])
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (memcmp(guest->nics[i].mac, mac, 6) == 0)
			return true;
	return false;
}

/* Of a domain of libvirt's the file need not name all NICs; what goes out by another would not be seen. */
static int check_domain(const struct guest *guest, const struct adopted_domain *domain, struct error **err)
{
	if (domain->running && domain->passed)
		return error_set(err, ENODATA, "%s has %s: what goes by that is not known, so nothing can be proved",
				 guest->path, domain->passed);
	for (size_t j = 0; domain->running && j < domain->interface_count; j++) {
		const struct adopted_interface *interface = &domain->interfaces[j];
		char mac[MAC_TEXT_SIZE];
		int r;

		if (has_nic(guest, interface->mac))
			continue;
		r = error_set(err, ENODATA,
			      "%s has a NIC (%s, %s) that the lab file does not name: what goes by it is not known, so "
			      "nothing can be proved",
			      guest->path, interface->type, mac_format(interface->mac, mac));
		error_hint(err, "nestvisor adopt writes the file anew, and says of a NIC why it leaves it out");
		return r;
	}
	return 0;
}

static const char *captured_domain(const struct bundle *facts, const char *name)
{
	for (size_t i = 0; i < facts->host_count; i++)
		for (size_t j = 0; j < facts->hosts[i]->document_count; j++) {
			const struct document *document = &facts->hosts[i]->documents[j];

			if (document->kind && document->name && strcmp(document->kind, "domain") == 0 &&
			    strcmp(document->name, name) == 0)
				return document->text;
		}
	return NULL;
}

static int look_at_captured(const struct lab *lab, const struct bundle *facts, struct arena *arena,
			    struct libvirt_adopted *ret, struct error **err)
{
	const struct host *root = lab->root;
	int r = 0;

	*ret = (struct libvirt_adopted){.lab = lab};
	ret->domains = arena_alloc(arena, (root->guest_count + 1) * sizeof(*ret->domains));
	for (size_t i = 0; i < root->guest_count && r == 0; i++) {
		const char *xml = captured_domain(facts, root->guests[i]->adopted);

		if (xml) {
			r = libvirt_adopted_read(xml, arena, &ret->domains[i], err);
			continue;
		}
		r = error_set(err, ENODATA, "the facts do not say what NICs %s has, so nothing can be proved",
			      root->guests[i]->path);
		error_hint(err, "capture that, too: virsh dumpxml %s", root->guests[i]->adopted);
	}
	return r;
}

/* facts NULL: as it is now. */
static int check_adopted(const struct lab *lab, const struct bundle *facts, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_adopted adopted;
	int r;

	if (!lab->adopted)
		return 0;
	r = facts ? look_at_captured(lab, facts, arena, &adopted, err)
		  : libvirt_adopted_look(lab, arena, &adopted, err);
	for (size_t i = 0; i < lab->root->guest_count && r == 0; i++)
		r = check_domain(lab->root->guests[i], &adopted.domains[i], err);
	return r;
}

int verification_run(struct invocation *inv, const struct lab *lab, const struct isolation *isolation,
		     struct bundle *facts, struct verification *ret)
{
	cleanup_isolation struct isolation *said = NULL;
	cleanup_error struct error *err = NULL;
	struct policy_input input = {.lab = lab, .isolation = isolation};
	int status;

	*ret = (struct verification){.arena = arena_new(), .bundle = facts};
	if (!isolation && load_isolation(ret->arena, lab, &said, &err) < 0)
		return invocation_fail(inv, &err);
	if (!isolation)
		input.isolation = said;
	if (check_adopted(lab, facts, &err) < 0)
		return invocation_fail_as(inv, EXIT_UNKNOWN, &err);
	status = facts ? EXIT_DONE : ask_hosts(inv, lab, ret);
	if (status != EXIT_DONE)
		return status;
	ret->stack = stack_new(ret->bundle);
	input.stack = ret->stack;
	if (policy_verify(&input, ret->arena, &ret->report, &err) < 0)
		return invocation_fail_as(inv, EXIT_UNKNOWN, &err); /* too large a question breaks nothing */
	return EXIT_DONE;
}

int verification_status(const struct policy_report *report)
{
	return report->result == POLICY_PROVED	   ? EXIT_DONE
	       : report->result == POLICY_VIOLATED ? EXIT_FAILED
						   : EXIT_UNKNOWN;
}
