/* WSL: what its two files must say for guests of guests that can be reached, and that live. */
#include "base/arena.h"
#include "doctor/wsl_view.h"

#include <string.h>
#include <strings.h>

static bool is(const char *text, const char *value)
{
	return text && strcasecmp(text, value) == 0;
}

static void look_windows(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	if (!view.build) {
		finding_unknown(check, examination, patient, "the version of Windows (wsl --version, or ver)");
		return;
	}
	if (view.build < WINDOWS_11)
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "Windows is older than Windows 11: its WSL has no nested virtualization");
	else if (view.build < WINDOWS_11_22H2)
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "Windows 11 before 22H2 has no mirrored networking and no ignoredPorts");
	else
		finding = finding_add(check, examination, patient, RESULT_PASS, "Windows has all that is needed");
	finding_evidence(examination, finding, view.build_origin, "build %u", view.build);
	if (finding->result != RESULT_PASS)
		finding_remedy(examination, finding, "update Windows to Windows 11 22H2 (build %d) or newer",
			       WINDOWS_11_22H2);
}

const struct check check_wsl_windows = {
	.id = "wsl.windows",
	.title = "Windows is new enough for WSL to nest and to mirror",
	.severity = SEVERITY_ADVICE,
	.matters = "Nested virtualization in WSL came with Windows 11 (build 22000), mirrored networking with 22H2 "
		   "(22621).",
	.look = look_windows,
};

/* What came with which version of WSL itself; https://github.com/microsoft/WSL/releases. */
static void look_version(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char *const needed = "2.0.0", *const general = "2.5.8";
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	if (!view.version) {
		finding_unknown(check, examination, patient, "the version of WSL (wsl --version)");
		return;
	}
	if (wsl_compare_version(view.version, needed) < 0)
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "WSL %s has no mirrored networking, which came with %s", view.version, needed);
	else if (wsl_compare_version(view.version, general) < 0)
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "WSL %s may not know [general] instanceIdleTimeout, which %s does", view.version,
				      general);
	else
		finding = finding_add(check, examination, patient, RESULT_PASS, "WSL %s knows all that is needed",
				      view.version);
	finding_evidence(examination, finding, view.version_origin, "version %s", view.version);
	if (finding->result != RESULT_PASS)
		finding_remedy(examination, finding, "wsl --update    # in Windows");
}

const struct check check_wsl_version = {
	.id = "wsl.version",
	.title = "WSL itself is new enough",
	.severity = SEVERITY_ADVICE,
	.matters = "WSL comes from the Store and is updated apart from Windows; an old one passes over keys it does "
		   "not know.",
	.after = AFTER_WSL,
	.look = look_version,
};

/* Has the distribution's processor virtualization? */
static enum truth has_virtualization(const struct wsl_view *view)
{
	const struct facts *facts = view->distribution ? view->distribution->facts : NULL;

	if (!facts)
		return TRUTH_UNKNOWN;
	if (look_flag(facts, "vmx") == TRUTH_YES || look_flag(facts, "svm") == TRUTH_YES)
		return TRUTH_YES;
	return look_flag(facts, "vmx");
}

static void fail_nested(const struct check *check, struct examination *examination, const struct patient *patient,
			const struct wsl_view *view, const char *name, const struct wsl_value *value, const char *why)
{
	struct finding *finding = finding_add(check, examination, patient, RESULT_FAIL, "%s", why);

	wsl_evidence(examination, finding, view, name, value);
	wsl_remedy(examination, finding, "--nested");
}

static void look_nested(const struct check *check, struct examination *examination, const struct patient *patient)
{
	enum truth seen;
	struct wsl_value nested, safe;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	seen = has_virtualization(&view);
	nested = wsl_value(&view, "wsl2", "nestedVirtualization");
	safe = wsl_value(&view, "wsl2", "safeMode");
	if (safe.setting && wsl_is_true(safe.text)) {
		fail_nested(check, examination, patient, &view, "safeMode", &safe,
			    "safe mode switches nested virtualization off, whatever else is set");
	} else if (nested.text && wsl_is_false(nested.text)) {
		fail_nested(check, examination, patient, &view, "nestedVirtualization", &nested,
			    nested.default_ ? "this Windows' WSL has no nested virtualization"
					    : "nested virtualization is switched off for WSL");
	} else if (seen == TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "the distribution's processor has virtualization");
		finding_evidence(examination, finding, &view.distribution->facts->processor.origin, "%s",
				 look_flag(view.distribution->facts, "vmx") == TRUTH_YES ? "vmx" : "svm");
		wsl_evidence(examination, finding, &view, "nestedVirtualization", &nested);
	} else if (seen == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "the distribution's processor has no virtualization%s",
				      nested.text ? ", though .wslconfig does not switch it off" : "");
		wsl_evidence(examination, finding, &view, "nestedVirtualization", &nested);
		finding_evidence(examination, finding, NULL, "neither vmx nor svm among its flags");
		if (!nested.setting)
			wsl_remedy(examination, finding, "--nested");
		finding_remedy(examination, finding,
			       "where WSL was started anew since and it is the same: Windows is older than Windows 11, "
			       "a guest "
			       "itself, forbids it by policy, or VT-x or AMD-V is off in the firmware");
	} else if (!nested.text) {
		finding_unknown(check, examination, patient,
				view.windows
					? "the version of Windows (wsl --version), or the distribution's /proc/cpuinfo"
					: ".wslconfig of the Windows user, or the distribution's /proc/cpuinfo");
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS, "nested virtualization is %s",
				      nested.default_ ? "on, as Windows 11 has it" : "switched on");
		wsl_evidence(examination, finding, &view, "nestedVirtualization", &nested);
	}
}

const struct check check_wsl_nested = {
	.id = "wsl.nested",
	.title = "nested virtualization is switched on for WSL",
	.severity = SEVERITY_REQUIRED,
	.matters = "WSL is a guest of Windows; only where Windows hands VT-x or AMD-V on can KVM run in it.",
	.after = AFTER_WSL,
	.look = look_nested,
};

static void look_networking(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const char *mode, *said;
	struct finding *finding;
	struct wsl_value set;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	mode = wsl_networking_mode(&view, &set);
	said = view.distribution ? view.distribution->facts->wsl.networking_mode : NULL;
	if (!mode) {
		finding_unknown(check, examination, patient, ".wslconfig, or what wslinfo --networking-mode says");
		return;
	}
	if (is(mode, "mirrored")) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "WSL has Windows' own addresses");
	} else if (is(set.text, "mirrored") && said) {
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "mirrored networking is set, but WSL fell back to %s", said);
		finding_remedy(
			examination, finding,
			"wsl --shutdown and start it again: it says why. Windows before 22H2, IPv6 switched off "
			"in the registry (DisabledComponents=0xFF) and a kernel of one's own without seccomp do that");
	} else if (is(mode, "none")) {
		finding = finding_add(check, examination, patient, RESULT_FAIL, "WSL has no network");
		wsl_remedy(examination, finding, "--mirrored");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "WSL is behind %s: its address changes, and its guests stand behind two of them",
				      is(mode, "nat") ? "a NAT" : mode);
		wsl_remedy(examination, finding, "--mirrored");
	}
	wsl_evidence(examination, finding, &view, "networkingMode", &set);
	if (said)
		finding_evidence(examination, finding, &view.distribution->facts->wsl.origin, "WSL says %s", said);
}

const struct check check_wsl_networking = {
	.id = "wsl.networking",
	.title = "WSL's network is mirrored",
	.severity = SEVERITY_ADVICE,
	.matters =
		"In mirrored mode WSL shares Windows' interfaces, so what is published there is reached from outside; "
		"behind the default NAT nobody but Windows finds it.",
	.after = AFTER_WSL,
	.look = look_networking,
};

/* Is there, or will there be, a DHCP server of libvirt's? */
static enum truth serves_dhcp(const struct wsl_view *view, const struct listener **ret)
{
	const struct facts *facts = view->distribution ? view->distribution->facts : NULL;
	bool networks = false;

	*ret = NULL;
	if (!facts)
		return TRUTH_UNKNOWN;
	for (size_t i = 0; i < facts->listener_count; i++)
		if (facts->listeners[i].port.value == 67 && strcmp(facts->listeners[i].protocol, "udp") == 0)
			*ret = &facts->listeners[i];
	for (size_t i = 0; i < facts->document_count; i++)
		networks = networks || (facts->documents[i].kind && strcmp(facts->documents[i].kind, "network") == 0);
	if (*ret || networks || look_has_libvirt(facts) || facts_link(facts, "virbr0"))
		return TRUTH_YES;
	return facts->links_known == TRUTH_YES ? TRUTH_NO : TRUTH_UNKNOWN;
}

static void look_dhcp_port(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct listener *listener;
	struct wsl_value mode, ports;
	struct finding *finding;
	struct wsl_view view;
	enum truth serves;
	bool fails;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view) || !is(wsl_networking_mode(&view, &mode), "mirrored"))
		return;
	if (!view.windows) {
		finding_unknown(check, examination, patient, ".wslconfig of the Windows user");
		return;
	}
	ports = wsl_value(&view, "experimental", "ignoredPorts");
	serves = serves_dhcp(&view, &listener);
	if (ports.setting && wsl_has_port(ports.text, 67)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "port 67 is left to Linux");
		wsl_evidence(examination, finding, &view, "ignoredPorts", &ports);
		return;
	}
	fails = serves == TRUTH_YES && !listener && view.distribution->facts->listeners_known == TRUTH_YES;
	finding = finding_add(check, examination, patient, fails ? RESULT_FAIL : RESULT_WARN, "%s",
			      fails ? "libvirt's dnsmasq is not on port 67, which Windows may hold in mirrored mode"
				    : "a DHCP server such as libvirt's dnsmasq may find port 67 held by Windows");
	wsl_evidence(examination, finding, &view, "ignoredPorts", &ports);
	if (listener)
		finding_evidence(examination, finding, &listener->origin, "now there is one on it, all the same");
	wsl_remedy(examination, finding, "--mirrored");
}

const struct check check_wsl_dhcp_port = {
	.id = "wsl.dhcp-port",
	.title = "port 67 is left to Linux",
	.severity = SEVERITY_ADVICE,
	.matters =
		"In mirrored mode both systems share ports; a network of libvirt starts its own DHCP server on port 67 "
		"and fails with \"address already in use\".",
	.after = AFTER_WSL,
	.manual = "wsl-dhcp-port",
	.look = look_dhcp_port,
};

static void look_loopback(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct wsl_value mode, loopback;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view) || !view.windows ||
	    !is(wsl_networking_mode(&view, &mode), "mirrored"))
		return;
	loopback = wsl_value(&view, "experimental", "hostAddressLoopback");
	if (loopback.text && wsl_is_true(loopback.text)) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "Windows reaches what WSL publishes by every address of the machine");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "this Windows reaches what WSL publishes by 127.0.0.1 alone");
		wsl_remedy(examination, finding, "--mirrored");
	}
	wsl_evidence(examination, finding, &view, "hostAddressLoopback", &loopback);
}

const struct check check_wsl_loopback = {
	.id = "wsl.loopback",
	.title = "Windows reaches WSL by the machine's addresses",
	.severity = SEVERITY_NOTE,
	.matters =
		"A port that a guest publishes is then reached by the same address from this Windows and from others.",
	.after = AFTER_WSL,
	.look = look_loopback,
};

/* The resolver of the tunnel: an address on lo that nothing else puts there. */
static const struct address *tunnel_address(const struct wsl_view *view)
{
	const struct link *lo = view->distribution ? facts_link(view->distribution->facts, "lo") : NULL;
	struct wsl_value value = wsl_value(view, "experimental", "dnsTunnelingIpAddress");
	struct ip ip;

	if (!ip_parse(value.text && *value.text ? value.text : "10.255.255.254", &ip))
		return NULL;
	for (size_t i = 0; lo && i < lo->address_count; i++)
		if (ip_equal(&lo->addresses[i].prefix.ip, &ip))
			return &lo->addresses[i];
	return NULL;
}

static void look_dns(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct address *address;
	struct wsl_value mode, dns;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	dns = wsl_value(&view, "wsl2", "dnsTunneling");
	address = tunnel_address(&view);
	if (address || (dns.text && wsl_is_true(dns.text) && !is(wsl_networking_mode(&view, &mode), "none"))) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"names leave WSL without being packets: no rule in WSL that drops packets stops them");
		wsl_evidence(examination, finding, &view, "dnsTunneling", &dns);
		if (address)
			finding_evidence(examination, finding, &address->origin, "the tunnel's name server is on lo");
		finding_remedy(
			examination, finding,
			"for guests that must not reach the world: keep them from WSL's name server (port 53 of every "
			"address of WSL), or set dnsTunneling=false in [wsl2] of .wslconfig");
	} else if (dns.text) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "questions for names are packets");
		wsl_evidence(examination, finding, &view, "dnsTunneling", &dns);
	} else {
		finding_unknown(check, examination, patient,
				view.windows ? "the version of Windows (wsl --version), or the distribution's addresses"
					     : ".wslconfig, or the distribution's addresses");
	}
}

const struct check check_wsl_dns = {
	.id = "wsl.dns",
	.title = "how questions for names leave WSL",
	.severity = SEVERITY_NOTE,
	.matters = "With dnsTunneling Windows answers through a channel of the hypervisor: a guest that may ask WSL's "
		   "name "
		   "server still talks to the world, by names, when all its packets are dropped.",
	.after = AFTER_WSL,
	.look = look_dns,
};

static void look_proxy(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct wsl_value proxy;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view) || !view.windows)
		return;
	proxy = wsl_value(&view, "wsl2", "autoProxy");
	if (!proxy.text) {
		finding_unknown(check, examination, patient, "the version of Windows (wsl --version)");
		return;
	}
	if (wsl_is_true(proxy.text)) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "WSL takes over an HTTP proxy that Windows has: it is a way out that rules for the "
				    "default route do not see");
		finding_remedy(
			examination, finding,
			"for guests that must not reach the world: drop what they send to the proxy's address, too, or "
			"set autoProxy=false in [wsl2] of .wslconfig");
	} else {
		finding =
			finding_add(check, examination, patient, RESULT_PASS, "WSL does not take over Windows' proxy");
	}
	wsl_evidence(examination, finding, &view, "autoProxy", &proxy);
}

const struct check check_wsl_proxy = {
	.id = "wsl.proxy",
	.title = "whether WSL takes over Windows' HTTP proxy",
	.severity = SEVERITY_NOTE,
	.matters = "A proxy may stand in the local network, where isolated guests are often let through.",
	.after = AFTER_WSL,
	.look = look_proxy,
};

static void look_firewall(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct wsl_value mode, firewall;
	struct finding *finding;
	struct wsl_view view;
	bool mirrored;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view) || !view.windows)
		return;
	mirrored = is(wsl_networking_mode(&view, &mode), "mirrored");
	firewall = wsl_value(&view, "wsl2", "firewall");
	if (mirrored) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"the Hyper-V firewall stands before WSL, which cannot see it, and lets in what a rule names");
		finding_remedy(
			examination, finding,
			"for each port that is published, in PowerShell as administrator: New-NetFirewallHyperVRule "
			"-Name lab -DisplayName lab -Direction Inbound -VMCreatorId "
			"'{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}' -Protocol TCP -LocalPorts 3389");
	} else if (!firewall.setting && !(firewall.text && wsl_is_true(firewall.text))) {
		return; /* a Windows that does not filter WSL, or of unknown age */
	} else if (wsl_is_true(firewall.text)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "Windows' firewall filters WSL, too");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "Windows' firewall does not filter what WSL sends and receives");
		finding_remedy(examination, finding, "set firewall=true in [wsl2] of .wslconfig");
	}
	wsl_evidence(examination, finding, &view, "firewall", &firewall);
}

const struct check check_wsl_firewall = {
	.id = "wsl.firewall",
	.title = "the firewall of Windows before WSL",
	.severity = SEVERITY_NOTE,
	.matters = "It is invisible from Linux: what every rule in WSL allows may still not arrive.",
	.look = look_firewall,
};

static bool is_negative(const struct wsl_value *value)
{
	return value->text && value->text[0] == '-';
}

static void look_idle(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct wsl_value machine, instance;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONFIG, &view))
		return;
	if (!view.windows) {
		finding_unknown(check, examination, patient, ".wslconfig of the Windows user");
		return;
	}
	machine = wsl_value(&view, "wsl2", "vmIdleTimeout");
	instance = wsl_value(&view, "general", "instanceIdleTimeout");
	if (is_negative(&machine) && is_negative(&instance)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "WSL goes on when nobody is in it");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      is_negative(&machine)
					      ? "a distribution that nobody is in ends, and its guests with it"
					      : "WSL ends when nobody is in it, and its guests with it");
		wsl_remedy(examination, finding, "--keep-running");
	}
	wsl_evidence(examination, finding, &view, "vmIdleTimeout", &machine);
	wsl_evidence(examination, finding, &view, "instanceIdleTimeout", &instance);
}

const struct check check_wsl_idle = {
	.id = "wsl.idle",
	.title = "WSL goes on when nobody is in it",
	.severity = SEVERITY_ADVICE,
	.matters = "Services and guests do not count as somebody: 15 seconds after the last shell the distribution "
		   "ends, a "
		   "minute later WSL.",
	.after = AFTER_WSL,
	.look = look_idle,
};

static void look_systemd(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct wsl_key *key = wsl_key(INI_WSLCONF, "boot", "systemd");
	const struct setting *setting;
	const struct node *running;
	struct finding *finding;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONF, &view))
		return;
	setting = wsl_setting(patient->facts, key);
	running = facts_node(patient->facts, "/run/systemd/system");
	if (setting && wsl_is_true(setting->value)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "systemd is switched on");
		finding_evidence(examination, finding, &setting->origin, "systemd=%s in [boot]", setting->value);
	} else if (patient->facts->wslconf_known == TRUTH_YES || (running && running->exists == TRUTH_NO)) {
		finding = finding_add(check, examination, patient, RESULT_WARN, "systemd is not switched on");
		if (setting)
			finding_evidence(examination, finding, &setting->origin, "systemd=%s in [boot]",
					 setting->value);
		else
			finding_evidence(examination, finding, NULL, "[boot] of wsl.conf does not set it");
		wsl_remedy(examination, finding, "--systemd");
	} else if (running && running->exists == TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "systemd runs");
		finding_evidence(examination, finding, &running->origin, "/run/systemd/system is there");
	} else {
		finding_unknown(check, examination, patient, "/etc/wsl.conf");
	}
}

const struct check check_wsl_systemd = {
	.id = "wsl.systemd",
	.title = "systemd runs in WSL",
	.severity = SEVERITY_ADVICE,
	.matters = "libvirt is a set of services; without systemd each of them has to be started by hand after every "
		   "start.",
	.after = AFTER_WSL,
	.look = look_systemd,
};

/* Made by somebody, over a gateway, for a part of the net: what Windows mirrors is the kernel's. */
static bool is_own_route(const struct route *route)
{
	bool made = !route->protocol || strcmp(route->protocol, "static") == 0 || strcmp(route->protocol, "boot") == 0;

	return made && route->to.length > 0 && route->nexthop_count == 1 && route->nexthops[0].via.family != 0 &&
	       (!route->table || strcmp(route->table, "main") == 0);
}

static const char *route_text(struct arena *arena, const struct route *route)
{
	char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];

	return arena_printf(arena, "%s via %s", prefix_format(&route->to, to), ip_format(&route->nexthops[0].via, via));
}

/* All of them, since those of one call replace those of the one before. */
static const char *apply_routes(struct arena *arena, const struct facts *facts)
{
	const char *command = "nestvisor wsl apply";

	for (size_t i = 0; i < facts->route_count; i++)
		if (is_own_route(&facts->routes[i]))
			command = arena_printf(arena, "%s --routes \"%s\"", command,
					       route_text(arena, &facts->routes[i]));
	return command;
}

static void look_route(const struct check *check, struct examination *examination, const struct patient *patient,
		       const struct route *route, const struct setting *command)
{
	char to[PREFIX_TEXT_SIZE];
	struct finding *finding;

	prefix_format(&route->to, to);
	if (command && strstr(command->value, to)) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "the route to %s is made again at every start", to);
		finding_evidence(examination, finding, &command->origin, "command=%s", command->value);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "the route to %s is gone after the next wsl --shutdown", to);
	finding_evidence(examination, finding, &route->origin, "%s", route_text(examination->arena, route));
	finding_evidence(examination, finding, command ? &command->origin : NULL,
			 command ? "[boot] command does not make it" : "[boot] has no command");
	finding_remedy(examination, finding, "%s", apply_routes(examination->arena, patient->facts));
}

static void look_routes(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	struct wsl_view view;

	if (!wsl_look(examination, patient, INI_WSLCONF, &view))
		return;
	for (size_t i = 0; i < facts->route_count; i++) {
		if (!is_own_route(&facts->routes[i]))
			continue;
		if (facts->wslconf_known != TRUTH_YES) {
			finding_unknown(check, examination, patient, "/etc/wsl.conf");
			return;
		}
		look_route(check, examination, patient, &facts->routes[i],
			   wsl_setting(facts, wsl_key(INI_WSLCONF, "boot", "command")));
	}
}

const struct check check_wsl_routes = {
	.id = "wsl.routes",
	.title = "routes to guests of guests survive a restart of WSL",
	.severity = SEVERITY_ADVICE,
	.matters = "WSL makes its routes anew at every start, from Windows'; what was added by hand is lost.",
	.after = AFTER_WSL,
	.look = look_routes,
};
