/* Who may do what: groups, security modules, libvirt's user and files. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"
#include "doctor/mend.h"

#include <fnmatch.h>
#include <string.h>

static const struct account *find_group(const struct facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->group_count; i++)
		if (strcmp(facts->groups[i].name, name) == 0)
			return &facts->groups[i];
	return NULL;
}

static bool is_listed(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* 1: in this session, 0: from the next login on, -1: not. */
static int membership(const struct facts *facts, const struct account *group)
{
	const struct caller *caller = &facts->caller;

	if (is_listed((const char *const *)caller->groups, caller->group_count, group->name))
		return 1;
	return caller->user && is_listed((const char *const *)group->members, group->member_count, caller->user) ? 0
														 : -1;
}

static void look_group(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const char *name = check->data;
	const struct facts *facts = patient->facts;
	const struct account *group = find_group(facts, name);
	const char *user = facts->caller.user;
	struct finding *finding;
	struct fix *fix;

	if (!look_is_host(facts))
		return;
	if (facts->groups_known != TRUTH_YES || !facts->caller.id.known) {
		finding_unknown(check, examination, patient, "who asks, and /etc/group");
		return;
	}
	if (!group) /* what would need it is not installed */
		return;
	if (facts->caller.id.value == 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "root needs no group");
		finding_evidence(examination, finding, &facts->caller.origin, "uid 0");
		return;
	}
	if (!user)
		user = "$USER";
	switch (membership(facts, group)) {
	case 1:
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s is in the group %s", user, name);
		break;
	case 0:
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "%s was put into the group %s after logging in, and is not in it yet", user, name);
		finding_remedy(examination, finding, "log out and in again, or for this shell: newgrp %s", name);
		break;
	default:
		finding =
			finding_add(check, examination, patient, RESULT_WARN, "%s is not in the group %s", user, name);
		finding_remedy(examination, finding, "sudo usermod -aG %s %s", name, user);
		fix = mend_new(examination, finding, "put %s into the group %s", user, name);
		mend_run(examination, fix, user, arena_printf(examination->arena, "usermod -aG %s \"$1\"", name),
			 arena_printf(examination->arena, "gpasswd -d \"$1\" %s", name),
			 arena_printf(examination->arena, "getent group %s | grep -q -E \"[:,]$1(,|$)\"", name), NULL);
		break;
	}
	finding_evidence(examination, finding, &group->origin, "%s", group->name);
}

const struct check check_access_kvm = {
	.id = "access.kvm",
	.title = "this user is in the group kvm",
	.severity = SEVERITY_ADVICE,
	.matters = "Members of the group may use /dev/kvm without being root.",
	.after = AFTER_RELOGIN,
	.fixable = true,
	.data = "kvm",
	.look = look_group,
};

const struct check check_access_libvirt = {
	.id = "access.libvirt",
	.title = "this user is in the group libvirt",
	.severity = SEVERITY_NOTE,
	.matters = "Members of the group may manage the guests of the system's libvirt without a password.",
	.after = AFTER_RELOGIN,
	.fixable = true,
	.data = "libvirt",
	.look = look_group,
};

static void look_denials(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct log_line *last;
	struct finding *finding;
	size_t denials;

	if (!look_is_host(facts))
		return;
	last = look_log_line(facts, "lsm.", &denials);
	if (!last) {
		if (facts->logs_known == TRUTH_UNKNOWN) {
			finding_unknown(check, examination, patient, "the kernel's log (dmesg, as root)");
			return;
		}
		finding = finding_add(check, examination, patient, RESULT_PASS, "QEMU was denied nothing");
		finding_evidence(examination, finding, NULL, "no such line in the kernel's log");
		return;
	}
	finding =
		finding_add(check, examination, patient, RESULT_WARN, "%s denied QEMU or libvirt something, %zu time%s",
			    strstr(last->text, "apparmor") ? "AppArmor" : "SELinux", denials, denials == 1 ? "" : "s");
	finding_evidence(examination, finding, &last->origin, "\"%s\"", last->text);
	if (strstr(last->text, "apparmor")) {
		finding_remedy(examination, finding,
			       "put the guest's files below /var/lib/libvirt/images, or name their "
			       "folder in /etc/apparmor.d/local/abstractions/libvirt-qemu");
		finding_remedy(examination, finding, "systemctl reload apparmor");
	} else {
		finding_remedy(examination, finding, "restorecon -Rv /var/lib/libvirt /etc/libvirt");
		finding_remedy(examination, finding,
			       "ausearch -m avc -ts boot | audit2why    # says which rule or boolean");
	}
}

const struct check check_access_denials = {
	.id = "access.denials",
	.title = "AppArmor and SELinux let QEMU do its work",
	.severity = SEVERITY_ADVICE,
	.matters = "A denied file or device shows itself as a guest that does not start, with \"Permission denied\" "
		   "though "
		   "permissions are right.",
	.look = look_denials,
};

/* A setting in a file of libvirt: 'user = "root"'; NULL: not set. */
static const char *libvirt_setting(struct arena *arena, const struct attribute *file, const char *key)
{
	const char *value = NULL;

	for (const char *line = file->value; *line;) {
		size_t length = strcspn(line, "\n");
		const char *at = line + strspn(line, " \t");

		if (strncmp(at, key, strlen(key)) == 0) {
			at += strlen(key);
			at += strspn(at, " \t");
			if (*at == '=') {
				at += 1 + strspn(at + 1, " \t\"'");
				value = arena_strndup(arena, at, strcspn(at, "\"'\n"));
			}
		}
		line += length + (line[length] == '\n');
	}
	return value;
}

/* seeds: "ensure that the libvirtd service runs under a restricted user"; what counts is whom it runs QEMU as. */
static void look_libvirt_user(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct attribute *file = facts_attribute_entry(patient->facts, "/etc/libvirt/qemu.conf");
	const char *user;
	struct finding *finding;

	if (!look_is_host(patient->facts) || !look_has_libvirt(patient->facts))
		return;
	if (!file) {
		finding_unknown(check, examination, patient, "/etc/libvirt/qemu.conf");
		return;
	}
	user = libvirt_setting(examination->arena, file, "user");
	if (user && (strcmp(user, "root") == 0 || strcmp(user, "+0") == 0 || strcmp(user, "0") == 0)) {
		finding = finding_add(check, examination, patient, RESULT_WARN, "libvirt runs QEMU as root");
		finding_evidence(examination, finding, &file->origin, "user = \"%s\"", user);
		finding_remedy(examination, finding,
			       "sed -i -E 's/^(user|group) *=/#&/' /etc/libvirt/qemu.conf && systemctl "
			       "restart libvirtd");
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "libvirt runs QEMU as a user without rights");
		finding_evidence(examination, finding, &file->origin, "user = %s", user ? user : "the default");
	}
}

const struct check check_access_libvirt_user = {
	.id = "access.libvirt-user",
	.title = "libvirt runs QEMU as a user without rights",
	.severity = SEVERITY_ADVICE,
	.matters = "A guest that breaks out of QEMU has the rights of QEMU's user, and as root it has the machine.",
	.after = AFTER_RELOAD,
	.look = look_libvirt_user,
};

/* seeds: "Use chmod 600 on all VM XML configuration files" */
static void look_xml_modes(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	cleanup_strbuf struct strbuf open = {};
	const struct node *first = NULL;
	struct finding *finding;
	struct fix *fix = NULL;
	size_t files = 0;

	if (!look_is_host(facts) || !look_has_libvirt(facts))
		return;
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct node *node = &facts->nodes[i];

		if (fnmatch("/etc/libvirt/qemu/*.xml", node->path, FNM_PATHNAME) != 0 || !node->mode.known)
			continue;
		files++;
		if ((node->mode.value & 077) == 0)
			continue;
		first = first ? first : node;
		strbuf_printf(&open, "%s%s", open.length ? ", " : "", strrchr(node->path, '/') + 1);
	}
	if (files == 0) {
		const struct node *folder = facts_node(facts, "/etc/libvirt/qemu");

		if (!folder || folder->exists == TRUTH_UNKNOWN || facts->caller.id.value != 0)
			finding_unknown(check, examination, patient, "who may read /etc/libvirt/qemu/*.xml");
		return;
	}
	if (!first) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "only root may read the definitions of libvirt's guests");
		finding_evidence(examination, finding, NULL, "mode 600 of %zu file%s (/etc/libvirt/qemu)", files,
				 files == 1 ? "" : "s");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "others than root may read the definitions of guests: %s", open.text);
	finding_evidence(examination, finding, &first->origin, "%s has mode %03o", first->path,
			 (unsigned)first->mode.value);
	finding_remedy(examination, finding, "chmod 600 /etc/libvirt/qemu/*.xml");
	fix = mend_new(examination, finding, "let only root read the definitions of libvirt's guests");
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct node *node = &facts->nodes[i];

		if (fnmatch("/etc/libvirt/qemu/*.xml", node->path, FNM_PATHNAME) == 0 && node->mode.known &&
		    (node->mode.value & 077))
			mend_run(examination, fix, node->path, "chmod 600 \"$1\"",
				 arena_printf(examination->arena, "chmod %03o \"$1\"", (unsigned)node->mode.value),
				 "test \"$(stat -c %a \"$1\")\" = 600", NULL);
	}
}

const struct check check_access_xml_modes = {
	.id = "access.xml-modes",
	.title = "only root may read the definitions of libvirt's guests (mode 600)",
	.severity = SEVERITY_ADVICE,
	.matters = "A definition may hold passwords of VNC and SPICE, and shows where every disk lies.",
	.fixable = true,
	.look = look_xml_modes,
};

/* https://libvirt.org/uri.html: without a URI, virsh of root asks qemu:///system, of anybody else qemu:///session. */
static void look_session(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct attribute *file = facts_attribute_entry(facts, "/etc/libvirt/libvirt.conf");
	const char *uri = file ? libvirt_setting(examination->arena, file, "uri_default") : NULL;
	struct finding *finding;

	if (!look_is_host(facts) || !look_has_libvirt(facts))
		return;
	if (!facts->caller.id.known) {
		finding_unknown(check, examination, patient, "who asks");
		return;
	}
	if (facts->caller.id.value == 0 || (uri && strcmp(uri, "qemu:///system") == 0)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "virsh asks the system's libvirt");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "virsh of %s asks a libvirt of that user's own (qemu:///session), which has no "
				      "bridges and does not see the system's guests",
				      facts->caller.user ? facts->caller.user : "this user");
		finding_remedy(examination, finding,
			       "virsh -c qemu:///system, or for good: echo 'export "
			       "LIBVIRT_DEFAULT_URI=qemu:///system' >> ~/.profile");
	}
	finding_evidence(examination, finding, uri ? &file->origin : &facts->caller.origin, "%s",
			 uri			       ? uri
			 : facts->caller.id.value == 0 ? "uid 0"
						       : "no uri_default is set");
}

const struct check check_access_session = {
	.id = "access.session",
	.title = "virsh asks the system's libvirt, not one of the user's own",
	.severity = SEVERITY_NOTE,
	.matters = "Guests that \"disappear\" are often defined in the other of the two libvirts.",
	.after = AFTER_RELOGIN,
	.look = look_session,
};
