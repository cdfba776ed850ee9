/* What makes guests slow: mitigations, few cores, small caches, heat, disks, polling. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"
#include "doctor/mend.h"

#include <stdlib.h>
#include <string.h>

#define CPU "/sys/devices/system/cpu/"

enum {
	CORES_WANTED = 8,		   /* seeds: "Min 8 Cores"; threads, as the kernel counts CPUs */
	CACHE_WANTED_KIB = 16 * 1024,	   /* seeds: "16MB L3 Minimum" */
	TEMPERATURE_HIGH = 75000,	   /* seeds: "45C - 75C"; sysfs has millidegrees */
	HALT_POLL_DEFAULT_NS = 200 * 1000, /* arch/x86/include/asm/kvm_host.h, KVM_HALT_POLL_NS_DEFAULT */
};

/* A mitigation whose price is paid at every exit, and so many times over in a guest of a guest. */
struct price {
	const char *file;   /* below vulnerabilities/ */
	const char *says;   /* part of its text */
	const char *unless; /* unless this is part of it, too; or NULL */
	const char *costs;
	const char *remedy; /* a command or sentence; or with `word`, what to know of it; may be NULL then */
	const char *word;   /* for the kernel's command line; or NULL */
};

/*
 * Documentation/admin-guide/hw-vuln/: l1tf.rst ("VMX: cache flushes" is l1d flushing at every entry, "conditional" is
 * not; "EPT disabled"), multihit.rst, srso.rst and vmscape.rst (IBPB on VMEXIT), spectre.rst and retbleed (plain IBRS).
 */
static const struct price prices[] = {
	{"l1tf", "EPT disabled", NULL, "EPT is switched off",
	 "take l1tf= out of the kernel's command line and ept=0 out of modprobe.d"},
	{"l1tf", "VMX: cache flushes", NULL, "the L1 cache is emptied at every entry into a guest",
	 "echo cond > /sys/module/kvm_intel/parameters/vmentry_l1d_flush    # where all guests are trusted"},
	{"itlb_multihit", "Split huge pages", NULL, "guests' code never lies in huge pages",
	 "echo off > /sys/module/kvm/parameters/nx_huge_pages    # where all guests are trusted"},
	{"retbleed", "Mitigation: IBRS", NULL, "every exit switches IBRS",
	 "none but a CPU with enhanced IBRS (Intel's of 2019 and later)"},
	{"retbleed", "Mitigation: IBPB", NULL, "every exit empties the branch predictors", NULL, "retbleed=auto"},
	{"spectre_v2", "Mitigation: IBRS", NULL, "every exit switches IBRS",
	 "none but a CPU with enhanced IBRS (Intel's of 2019 and later)"},
	{"spec_rstack_overflow", "IBPB", "Safe RET", "exits empty the branch predictors",
	 "and bring the microcode up to date", "spec_rstack_overflow=safe-ret"},
	{"vmscape", "IBPB on VMEXIT", NULL, "every exit empties the branch predictors", NULL, "vmscape=ibpb"},
};

static bool is_said(const struct finding *finding, const char *remedy)
{
	for (size_t i = 0; i < finding->remedy_count; i++)
		if (strcmp(finding->remedy[i], remedy) == 0)
			return true;
	return false;
}

static void look_mitigations(const struct check *check, struct examination *examination, const struct patient *patient)
{
	cleanup_strbuf struct strbuf costs = {};
	struct finding *finding = NULL;
	size_t count;

	if (!look_is_host(patient->facts))
		return;
	if (!look_below(patient->facts, CPU "vulnerabilities/", &count)) {
		finding_unknown(check, examination, patient, CPU "vulnerabilities");
		return;
	}
	for (size_t i = 0; i < sizeof(prices) / sizeof(*prices); i++) {
		const struct price *price = &prices[i];
		const char *path = arena_printf(examination->arena, CPU "vulnerabilities/%s", price->file);
		const char *says = facts_attribute(patient->facts, path);

		if (says && strstr(says, price->says) && !(price->unless && strstr(says, price->unless)) &&
		    !(costs.text && strstr(costs.text, price->costs)))
			strbuf_printf(&costs, "%s%s", costs.length ? ", " : "", price->costs);
	}
	if (costs.length == 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "no mitigation is paid for dearly at every exit");
		finding_evidence(examination, finding, NULL, "%zu entries below " CPU "vulnerabilities", count);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "mitigations make exits, and so guests of guests, slow: %s", costs.text);
	for (size_t i = 0; i < sizeof(prices) / sizeof(*prices); i++) {
		const char *path = arena_printf(examination->arena, CPU "vulnerabilities/%s", prices[i].file);
		const struct attribute *entry = facts_attribute_entry(patient->facts, path);

		if (!entry || !strstr(entry->value, prices[i].says) ||
		    (prices[i].unless && strstr(entry->value, prices[i].unless)))
			continue;
		if (!finding->evidence || !strstr(finding->evidence, path))
			finding_attribute(examination, finding, entry);
		if (prices[i].word)
			finding_kernel_words(examination, finding, true, prices[i].word);
		if (prices[i].remedy && !is_said(finding, prices[i].remedy))
			finding_remedy(examination, finding, "%s", prices[i].remedy);
	}
}

const struct check check_cpu_mitigations = {
	.id = "cpu.mitigations",
	.title = "no mitigation makes every exit slow",
	.severity = SEVERITY_NOTE,
	.matters =
		"An exit of a guest's guest is a dozen exits of the layers above; what is paid at each is paid a dozen "
		"times. Take a mitigation away only where every guest is trusted.",
	.after = AFTER_REBOOT,
	.look = look_mitigations,
};

static void look_cores(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor *processor = &patient->facts->processor;
	struct finding *finding;

	/* The recommendation is for the machine, not for what it gives to each layer. */
	if (!look_is_host(patient->facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	if (!processor->threads.known) {
		finding_unknown(check, examination, patient, "how many CPUs there are (/proc/cpuinfo)");
		return;
	}
	if (processor->threads.value >= CORES_WANTED) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%llu CPUs, %d or more",
				      (unsigned long long)processor->threads.value, CORES_WANTED);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%llu CPUs are few: %d are recommended for a host of guests with guests",
				      (unsigned long long)processor->threads.value, CORES_WANTED);
		finding_remedy(examination, finding,
			       "keep to one small hypervisor guest, or use a machine with more CPUs");
	}
	finding_evidence(examination, finding, &processor->origin, "%llu processors",
			 (unsigned long long)processor->threads.value);
}

const struct check check_cpu_cores = {
	.id = "cpu.cores",
	.title = "8 CPUs or more at the outermost layer",
	.severity = SEVERITY_ADVICE,
	.matters = "Every layer's hypervisor wants CPU time of its own; with few CPUs the layers wait for each other.",
	.look = look_cores,
};

/* "32768K", "16M" */
static uint64_t size_in_kib(const char *text)
{
	char *unit;
	unsigned long long value = strtoull(text, &unit, 10);

	return *unit == 'M' ? value * 1024 : *unit == 'G' ? value * 1024 * 1024 : value;
}

/* All L3 caches together: each of its CPUs shows a cache under its own folder, with the id of the cache. */
static uint64_t l3_total(const struct facts *facts, size_t *ret_caches)
{
	const struct attribute *size;
	const char *seen[256];
	uint64_t total = 0;
	size_t at = 0;

	*ret_caches = 0;
	while ((size = look_next(facts, CPU "cpu*/cache/index3/size", &at))) {
		char path[256];
		const char *id;
		bool known = false;

		snprintf(path, sizeof(path), "%.*sid", (int)(strlen(size->path) - strlen("size")), size->path);
		id = facts_attribute(facts, path);
		for (size_t i = 0; i < *ret_caches; i++)
			known = known || (id && strcmp(seen[i], id) == 0) || !id;
		if (known || *ret_caches == sizeof(seen) / sizeof(*seen))
			continue;
		seen[(*ret_caches)++] = id ? id : "";
		total += size_in_kib(size->value);
	}
	return total;
}

static void look_cache(const struct check *check, struct examination *examination, const struct patient *patient)
{
	struct finding *finding;
	uint64_t total;
	size_t caches;

	/* A guest sees what its CPU model says, which is not what it has. */
	if (!look_is_host(patient->facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	total = l3_total(patient->facts, &caches);
	if (caches == 0) {
		finding_unknown(check, examination, patient, CPU "cpu0/cache/index3/size");
		return;
	}
	if (total >= CACHE_WANTED_KIB) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%llu MiB of L3 cache",
				      (unsigned long long)total / 1024);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%llu MiB of L3 cache are little: 16 MiB are recommended",
				      (unsigned long long)total / 1024);
		finding_remedy(examination, finding, "run fewer hypervisor guests at once here");
	}
	finding_evidence(examination, finding, NULL, "%zu cache%s (" CPU "cpu*/cache/index3)", caches,
			 caches == 1 ? "" : "s");
}

const struct check check_cpu_cache = {
	.id = "cpu.cache",
	.title = "16 MiB of L3 cache or more",
	.severity = SEVERITY_NOTE,
	.matters =
		"Page tables of page tables live in the last cache; when it is too small, each access goes to memory.",
	.look = look_cache,
};

/* Documentation/filesystems/resctrl.rst: shares of the L3 cache (Intel CAT, AMD QoS), flag cat_l3. */
static void look_resctrl(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct attribute *schemata = facts_attribute_entry(facts, "/sys/fs/resctrl/schemata");
	struct finding *finding;
	size_t count;

	if (!look_is_host(facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	switch (look_flag(facts, "cat_l3")) {
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, "the CPU's flags (/proc/cpuinfo)");
		return;
	case TRUTH_NO: /* most desktop CPUs: nothing to advise */
		return;
	case TRUTH_YES:
		break;
	}
	if (schemata || look_below(facts, "/sys/fs/resctrl/info/", &count)) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "the L3 cache can be shared out (resctrl)");
		if (schemata)
			finding_attribute(examination, finding, schemata);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "the L3 cache could be shared out between hypervisors, and resctrl is not mounted");
	finding_evidence(examination, finding, &facts->processor.origin, "cat_l3 among the CPU's flags");
	finding_remedy(examination, finding,
		       "mount -t resctrl resctrl /sys/fs/resctrl    # 2 MiB or more for each hypervisor");
}

const struct check check_cpu_resctrl = {
	.id = "cpu.resctrl",
	.title = "the L3 cache can be shared out between guests (CAT)",
	.severity = SEVERITY_NOTE,
	.matters = "One busy guest can push all others out of the cache, unless each has a share of its own.",
	.look = look_resctrl,
};

/* The hottest sensor of the processor: coretemp of Intel, k10temp of AMD, or the thermal zone of the package. */
static const struct attribute *hottest(struct arena *arena, const struct facts *facts, long *ret)
{
	const struct attribute *found = NULL, *name, *type, *input;
	size_t at = 0;

	*ret = -1;
	while ((name = look_next(facts, "/sys/class/hwmon/hwmon*/name", &at))) {
		const char *inputs =
			arena_printf(arena, "%.*stemp*_input", (int)(strlen(name->path) - strlen("name")), name->path);
		size_t input_at = 0;

		if (strcmp(name->value, "coretemp") != 0 && strcmp(name->value, "k10temp") != 0 &&
		    strcmp(name->value, "zenpower") != 0)
			continue;
		while ((input = look_next(facts, inputs, &input_at)))
			if (atol(input->value) > *ret) {
				*ret = atol(input->value);
				found = input;
			}
	}
	at = 0;
	while ((type = look_next(facts, "/sys/class/thermal/thermal_zone*/type", &at))) {
		char path[256];
		const struct attribute *temperature;

		snprintf(path, sizeof(path), "%.*stemp", (int)(strlen(type->path) - strlen("type")), type->path);
		temperature = facts_attribute_entry(facts, path);
		if (strcmp(type->value, "x86_pkg_temp") != 0 || !temperature || atol(temperature->value) <= *ret)
			continue;
		*ret = atol(temperature->value);
		found = temperature;
	}
	return found;
}

static void look_temperature(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct attribute *sensor;
	struct finding *finding;
	long temperature;

	if (!look_is_host(patient->facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	sensor = hottest(examination->arena, patient->facts, &temperature);
	if (!sensor) {
		finding_unknown(check, examination, patient, "the processor's temperature (/sys/class/hwmon)");
		return;
	}
	if (temperature <= TEMPERATURE_HIGH) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "the processor has %ld °C, 75 or less",
				      temperature / 1000);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "the processor has %ld °C: above 75 it has no headroom for more load",
				      temperature / 1000);
		finding_remedy(examination, finding, "clean and check the cooling, or run fewer guests at once");
	}
	finding_attribute(examination, finding, sensor);
}

const struct check check_cpu_temperature = {
	.id = "cpu.temperature",
	.title = "the processor is not too hot (45 to 75 °C under load)",
	.severity = SEVERITY_NOTE,
	.matters = "A hot processor slows itself down, and guests of guests notice first: their timers come late.",
	.look = look_temperature,
};

static void look_throttling(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct attribute *worst = NULL, *count;
	const struct facts *facts = patient->facts;
	unsigned long long most = 0;
	size_t at = 0;
	bool any = false;
	struct finding *finding;

	if (!look_is_host(patient->facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	while ((count = look_next(facts, CPU "cpu*/thermal_throttle/*_throttle_count", &at))) {
		unsigned long long value = strtoull(count->value, NULL, 10);

		any = true;
		if (value > most || !worst) {
			most = value;
			worst = count;
		}
	}
	if (!any) { /* AMD's processors count nothing there */
		if (look_flag(patient->facts, "svm") != TRUTH_YES)
			finding_unknown(check, examination, patient, CPU "cpu*/thermal_throttle");
		return;
	}
	if (most == 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "the processor did not throttle since it was started");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "the processor was too hot and throttled %llu time%s since it was started", most,
				      most == 1 ? "" : "s");
		finding_remedy(examination, finding, "clean and check the cooling, or run fewer guests at once");
	}
	finding_attribute(examination, finding, worst);
}

const struct check check_cpu_throttling = {
	.id = "cpu.throttling",
	.title = "the processor did not throttle",
	.severity = SEVERITY_ADVICE,
	.matters = "Throttling shows itself as latency that comes and goes in the innermost guests.",
	.look = look_throttling,
};

/* "[none] mq-deadline kyber": the one in use stands in brackets. */
static const char *scheduler_in_use(struct arena *arena, const char *value)
{
	const char *open = strchr(value, '[');

	return open ? arena_strndup(arena, open + 1, strcspn(open + 1, "]")) : value;
}

static bool schedules_well(const char *scheduler)
{
	static const char *const good[] = {"none", "noop", "mq-deadline", "deadline"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (strcmp(scheduler, good[i]) == 0)
			return true;
	return false;
}

/* Disks of memory, loops, CD and floppy drives do not count. */
static bool is_real_disk(const char *name)
{
	return strncmp(name, "loop", 4) != 0 && strncmp(name, "ram", 3) != 0 && strncmp(name, "zram", 4) != 0 &&
	       strncmp(name, "sr", 2) != 0 && strncmp(name, "fd", 2) != 0;
}

/* The next disk that is scheduled a second time. */
static const struct attribute *next_scheduled(struct arena *arena, const struct facts *facts, size_t *at,
					      const char **ret_scheduler)
{
	const struct attribute *queue;

	while ((queue = look_next(facts, "/sys/block/*/queue/scheduler", at))) {
		*ret_scheduler = scheduler_in_use(arena, queue->value);
		if (is_real_disk(queue->path + strlen("/sys/block/")) && !schedules_well(*ret_scheduler))
			return queue;
	}
	return NULL;
}

static void mend_scheduler(struct examination *examination, struct finding *finding)
{
	static const char file[] = "/etc/udev/rules.d/60-nestvisor-scheduler.rules",
			  rule[] = "ACTION==\"add|change\", KERNEL==\"vd*|sd*\", ATTR{queue/scheduler}=\"none\"";
	struct fix *fix = mend_new(examination, finding, "let the host below schedule the disks alone");
	const struct attribute *queue;
	const char *scheduler;
	size_t at = 0;

	while ((queue = next_scheduled(examination->arena, finding->patient->facts, &at, &scheduler))) {
		finding_remedy(examination, finding, "echo none > %s", queue->path);
		mend_poke(examination, fix, queue->path, "none", scheduler);
	}
	finding_remedy(examination, finding, "echo '%s' > %s", rule, file);
	mend_file(examination, fix, file, arena_printf(examination->arena, "%s\n", rule));
}

/* seeds: "setting the I/O scheduler to none or mq-deadline inside the L1 guest to avoid double-queuing delays" */
static void look_scheduler(const struct check *check, struct examination *examination, const struct patient *patient)
{
	cleanup_strbuf struct strbuf wrong = {};
	const struct attribute *first = NULL, *queue;
	const struct facts *facts = patient->facts;
	const char *scheduler;
	struct finding *finding;
	size_t disks = 0, at = 0;

	if (!look_is_host(patient->facts) || look_is_inside(patient) != TRUTH_YES)
		return;
	while ((queue = next_scheduled(examination->arena, facts, &at, &scheduler))) {
		const char *name = queue->path + strlen("/sys/block/");

		first = first ? first : queue;
		strbuf_printf(&wrong, "%s%.*s (%s)", wrong.length ? ", " : "", (int)strcspn(name, "/"), name,
			      scheduler);
	}
	for (at = 0; (queue = look_next(facts, "/sys/block/*/queue/scheduler", &at));)
		disks += is_real_disk(queue->path + strlen("/sys/block/"));
	if (wrong.length) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "disks of this guest are scheduled a second time: %s", wrong.text);
		finding_attribute(examination, finding, first);
		mend_scheduler(examination, finding);
	} else if (disks > 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "disks of this guest are scheduled once, by the host it runs on");
		finding_evidence(examination, finding, NULL, "none or mq-deadline in /sys/block/*/queue/scheduler");
	} else {
		finding_unknown(check, examination, patient, "the disks' schedulers (/sys/block/*/queue/scheduler)");
	}
}

const struct check check_storage_scheduler = {
	.id = "storage.scheduler",
	.title = "disks inside a guest use the scheduler none or mq-deadline",
	.severity = SEVERITY_NOTE,
	.matters = "The host below orders all requests anyway; ordering them twice only delays them.",
	.fixable = true,
	.look = look_scheduler,
};

/*
 * Documentation/virt/kvm/halt-polling.rst: a host polls up to halt_poll_ns before it lets the CPU go, which saves a
 * trip through its scheduler and costs CPU time. Inside a guest the trip is no shorter for polling, and the host above
 * pays.
 */
static void mend_polling(struct examination *examination, struct finding *finding, const char *path, uint64_t now)
{
	static const char file[] = "/etc/modprobe.d/nestvisor-poll.conf", option[] = "options kvm halt_poll_ns=0";
	struct arena *arena = examination->arena;
	struct fix *fix = mend_new(examination, finding, "stop KVM from polling inside this guest");

	finding_remedy(examination, finding, "echo 0 > %s", path);
	if (look_built_in(finding->patient->facts, "kvm")) {
		fix->does = "stop KVM from polling inside this guest, until the next boot";
		finding_kernel_words(examination, finding, true, "kvm.halt_poll_ns=0");
		mend_poke(examination, fix, path, "0", arena_printf(arena, "%llu", (unsigned long long)now));
		return;
	}
	finding_remedy(examination, finding, "echo '%s' > %s", option, file);
	mend_poke(examination, fix, path, "0", arena_printf(arena, "%llu", (unsigned long long)now));
	mend_file(examination, fix, file, arena_printf(arena, "%s\n", option));
}

static void look_halt_poll(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/module/kvm/parameters/halt_poll_ns";
	struct number poll = look_number(patient->facts, path);
	bool inside = look_is_inside(patient) == TRUTH_YES;
	struct finding *finding;

	if (!look_is_host(patient->facts) || look_loaded(patient->facts, "kvm") == TRUTH_NO)
		return;
	if (!poll.known) {
		finding_unknown(check, examination, patient, path);
		return;
	}
	if (poll.value > 0 && look_is_inside(patient) == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient, "whether this host is a guest itself");
		return;
	}
	if (inside && poll.value > 0) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"this hypervisor polls for its halted guests, on CPU time that its own host has to give");
		mend_polling(examination, finding, path, poll.value);
	} else if (!inside && poll.value > HALT_POLL_DEFAULT_NS) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "KVM polls for halted guests longer than by default: idle guests keep CPUs busy");
		finding_remedy(examination, finding, "echo %d > %s", HALT_POLL_DEFAULT_NS, path);
	} else {
		finding =
			finding_add(check, examination, patient, RESULT_PASS, "KVM polls no longer than is good here");
	}
	finding_attribute(examination, finding, facts_attribute_entry(patient->facts, path));
}

const struct check check_kvm_halt_poll = {
	.id = "kvm.halt-poll",
	.title = "KVM does not poll too long for halted guests",
	.severity = SEVERITY_NOTE,
	.matters = "Polling makes a halted guest wake up sooner and burns CPU time meanwhile; in a guest that is its "
		   "host's.",
	.fixable = true,
	.look = look_halt_poll,
};
