#include "doctor/wsl_keys.h"

#include "base/ip.h"
#include "config/spelling.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CHOICES(...)                                                                                                   \
	.type = WSL_CHOICE, .choices = (const char *const[])                                                           \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}
#define MIRRORED  .with = "networkingMode", .with_value = "mirrored"
#define TUNNELING .with = "dnsTunneling", .without_value = "false"

/* WSL_BOOLEAN is the type of a key that names none. */
const struct wsl_key wsl_keys[] = {
	{INI_WSLCONFIG, "wsl2", NULL, "nestedVirtualization", .fallback = "true", .windows = WINDOWS_11,
	 .use = "guests inside WSL may use the processor's virtualization"},
	{INI_WSLCONFIG, "wsl2", "experimental", "networkingMode",
	 CHOICES("none", "nat", "bridged", "mirrored", "virtioproxy", "consomme"), .fallback = "nat",
	 .windows = WINDOWS_11_22H2,
	 .use = "how WSL is connected; mirrored: with Windows' own interfaces and addresses"},
	{INI_WSLCONFIG, "wsl2", "experimental", "firewall", .fallback = "true", .windows = WINDOWS_11_22H2,
	 .with = "networkingMode", .without_value = "mirrored",
	 .use = "the Windows and Hyper-V firewalls filter what WSL sends and receives; always so in mirrored mode"},
	{INI_WSLCONFIG, "wsl2", "experimental", "dnsTunneling", .fallback = "true", .windows = WINDOWS_11_22H2,
	 .use = "names are resolved by Windows through a channel of its own, not by packets"},
	{INI_WSLCONFIG, "wsl2", "experimental", "autoProxy", .fallback = "true", .windows = WINDOWS_11,
	 .use = "WSL uses the HTTP proxy that Windows uses"},
	{INI_WSLCONFIG, "wsl2", NULL, "vmIdleTimeout", WSL_INTEGER, .fallback = "60000", .windows = WINDOWS_11,
	 .use = "milliseconds until WSL's virtual machine ends when no distribution runs; negative: never"},
	{INI_WSLCONFIG, "wsl2", NULL, "memory", WSL_SIZE, .use = "memory of WSL's virtual machine; half of Windows'"},
	{INI_WSLCONFIG, "wsl2", NULL, "processors", WSL_INTEGER,
	 .use = "processors of WSL's virtual machine; all of them"},
	{INI_WSLCONFIG, "wsl2", NULL, "swap", WSL_SIZE, .use = "swap space; a quarter of the memory; 0: none"},
	{INI_WSLCONFIG, "wsl2", NULL, "swapFile", WSL_PATH, .use = "the disk that is swapped to"},
	{INI_WSLCONFIG, "wsl2", NULL, "kernel", WSL_PATH, .use = "a kernel of one's own"},
	{INI_WSLCONFIG, "wsl2", NULL, "kernelModules", WSL_PATH,
	 .use = "a disk with the modules of a kernel of one's own"},
	{INI_WSLCONFIG, "wsl2", NULL, "kernelCommandLine", WSL_TEXT, .use = "words for the kernel's command line"},
	{INI_WSLCONFIG, "wsl2", NULL, "localhostForwarding", .fallback = "true", .with = "networkingMode",
	 .without_value = "mirrored",
	 .use = "Windows reaches WSL's ports as localhost; mirrored mode does so by itself"},
	{INI_WSLCONFIG, "wsl2", NULL, "dnsProxy", .fallback = "true", .with = "networkingMode",
	 .without_value = "mirrored", .use = "in NAT mode, WSL asks Windows for names"},
	{INI_WSLCONFIG, "wsl2", NULL, "safeMode", .fallback = "false", .windows = WINDOWS_11,
	 .use = "starts without most features, to repair a distribution; without nested virtualization, too"},
	{INI_WSLCONFIG, "wsl2", NULL, "guiApplications", .fallback = "true", .use = "programs with windows"},
	{INI_WSLCONFIG, "wsl2", NULL, "debugConsole", .fallback = "false", .windows = WINDOWS_11,
	 .use = "a window with the kernel's messages"},
	{INI_WSLCONFIG, "wsl2", NULL, "maxCrashDumpCount", WSL_INTEGER, .fallback = "10", .use = "crash dumps kept"},
	{INI_WSLCONFIG, "wsl2", NULL, "defaultVhdSize", WSL_SIZE, .fallback = "1TB",
	 .use = "size of a new distribution's disk"},
	{INI_WSLCONFIG, "wsl2", NULL, "hardwarePerformanceCounters", .fallback = "true", .undocumented = true,
	 .use = "the processor's performance counters"},
	{INI_WSLCONFIG, "wsl2", NULL, "ipv6", .fallback = "false", .undocumented = true, .use = "IPv6 in NAT mode"},
	{INI_WSLCONFIG, "wsl2", NULL, "vmSwitch", WSL_TEXT, .undocumented = true, .with = "networkingMode",
	 .with_value = "bridged", .use = "the Hyper-V switch of bridged mode"},
	{INI_WSLCONFIG, "wsl2", NULL, "macAddress", WSL_MAC, .undocumented = true,
	 .use = "MAC address of bridged mode"},
	{INI_WSLCONFIG, "wsl2", NULL, "dhcp", .fallback = "true", .undocumented = true, .use = "DHCP in bridged mode"},
	{INI_WSLCONFIG, "wsl2", NULL, "dhcpTimeout", WSL_INTEGER, .fallback = "5000", .undocumented = true,
	 .use = "milliseconds to wait for DHCP"},
	{INI_WSLCONFIG, "wsl2", NULL, "loadKernelModules", WSL_TEXT, .undocumented = true, .use = "modules to load"},
	{INI_WSLCONFIG, "wsl2", NULL, "loadDefaultKernelModules", .fallback = "true", .undocumented = true,
	 .use = "loads tun, ip_tables and br_netfilter"},
	{INI_WSLCONFIG, "wsl2", NULL, "isolateDistroCgroup", .fallback = "true", .undocumented = true,
	 .use = "a control group for each distribution"},
	{INI_WSLCONFIG, "wsl2", NULL, "earlyBootLogging", .fallback = "false", .undocumented = true,
	 .use = "debugging"},
	{INI_WSLCONFIG, "wsl2", NULL, "debugConsoleLogFile", WSL_PATH, .undocumented = true, .use = "debugging"},
	{INI_WSLCONFIG, "wsl2", NULL, "kernelDebugPort", WSL_INTEGER, .undocumented = true, .use = "debugging"},
	{INI_WSLCONFIG, "wsl2", NULL, "crashDumpFolder", WSL_PATH, .undocumented = true, .use = "where crash dumps go"},
	{INI_WSLCONFIG, "wsl2", NULL, "virtio", .fallback = "true", .undocumented = true, .use = "virtio devices"},
	{INI_WSLCONFIG, "wsl2", NULL, "virtio9p", .fallback = "false", .undocumented = true, .use = "file sharing"},
	{INI_WSLCONFIG, "wsl2", NULL, "virtiofs", .fallback = "false", .undocumented = true, .use = "file sharing"},
	{INI_WSLCONFIG, "wsl2", NULL, "hostFileSystemAccess", .fallback = "true", .undocumented = true,
	 .use = "Windows' drives in WSL"},
	{INI_WSLCONFIG, "wsl2", NULL, "gpuSupport", .fallback = "true", .undocumented = true,
	 .use = "the graphics card"},
	{INI_WSLCONFIG, "wsl2", NULL, "systemDistro", WSL_PATH, .undocumented = true,
	 .use = "a system distribution of one's own"},
	{INI_WSLCONFIG, "wsl2", NULL, "telemetry", .undocumented = true, .use = "telemetry"},
	{INI_WSLCONFIG, "wsl2", NULL, "kernelBootTimeout", WSL_INTEGER, .fallback = "30000", .undocumented = true,
	 .use = "milliseconds the kernel may take to start"},
	{INI_WSLCONFIG, "wsl2", NULL, "distributionStartTimeout", WSL_INTEGER, .fallback = "60000",
	 .undocumented = true, .use = "milliseconds a distribution may take to start"},
	{INI_WSLCONFIG, "wsl2", NULL, "mountDeviceTimeout", WSL_INTEGER, .fallback = "5000", .undocumented = true,
	 .use = "milliseconds a disk may take to appear"},

	{INI_WSLCONFIG, "general", NULL, "instanceIdleTimeout", WSL_INTEGER, .fallback = "15000", .undocumented = true,
	 .use = "milliseconds until a distribution ends when nobody is in it; negative: never"},
	{INI_WSLCONFIG, "general", NULL, "distributionInstallPath", WSL_PATH, .undocumented = true,
	 .use = "where new distributions are put"},

	{INI_WSLCONFIG, "experimental", NULL, "ignoredPorts", WSL_PORTS, .windows = WINDOWS_11_22H2, MIRRORED,
	 .use = "ports that programs in Linux may listen on though Windows uses them"},
	{INI_WSLCONFIG, "experimental", NULL, "hostAddressLoopback", .fallback = "false", .windows = WINDOWS_11_22H2,
	 MIRRORED, .use = "Windows and WSL reach each other by all of the machine's addresses, not by 127.0.0.1 alone"},
	{INI_WSLCONFIG, "experimental", NULL, "bestEffortDnsParsing", .fallback = "false", .windows = WINDOWS_11_22H2,
	 TUNNELING,
	 .use = "questions for names that Windows does not understand wholly are answered as far as it does"},
	{INI_WSLCONFIG, "experimental", NULL, "dnsTunnelingIpAddress", WSL_ADDRESS, .fallback = "10.255.255.254",
	 .windows = WINDOWS_11_22H2, TUNNELING, .use = "the name server's address in WSL"},
	{INI_WSLCONFIG, "experimental", NULL, "initialAutoProxyTimeout", WSL_INTEGER, .fallback = "1000",
	 .windows = WINDOWS_11, .with = "autoProxy", .without_value = "false",
	 .use = "milliseconds to wait for Windows' proxy"},
	{INI_WSLCONFIG, "experimental", NULL, "autoMemoryReclaim", CHOICES("disabled", "gradual", "dropCache"),
	 .fallback = "dropCache", .use = "gives cached memory back to Windows"},
	{INI_WSLCONFIG, "experimental", NULL, "sparseVhd", .fallback = "false",
	 .use = "new disks give unused space back"},
	{INI_WSLCONFIG, "experimental", NULL, "swiotlb", WSL_SIZE, .undocumented = true, .use = "bounce buffers"},
	{INI_WSLCONFIG, "experimental", NULL, "virtioFsAggregateShares", .fallback = "true", .undocumented = true,
	 .use = "file sharing"},
	{INI_WSLCONFIG, "experimental", NULL, "setVersionDebug", .fallback = "false", .undocumented = true,
	 .use = "debugging"},

	{INI_WSLCONF, "boot", NULL, "systemd", .fallback = "false",
	 .use = "systemd runs, and with it services such as libvirt"},
	{INI_WSLCONF, "boot", NULL, "command", WSL_TEXT, .windows = WINDOWS_11,
	 .use = "run by root when the distribution starts: routes that must survive, for example"},
	{INI_WSLCONF, "boot", NULL, "protectBinfmt", .fallback = "true",
	 .use = "keeps systemd from taking away how Windows programs start"},
	{INI_WSLCONF, "boot", NULL, "initTimeout", WSL_INTEGER, .fallback = "10000", .undocumented = true,
	 .use = "milliseconds systemd may take to start"},
	{INI_WSLCONF, "automount", NULL, "enabled", .fallback = "true", .use = "mounts Windows' drives"},
	{INI_WSLCONF, "automount", NULL, "mountFsTab", .fallback = "true", .use = "mounts what /etc/fstab says"},
	{INI_WSLCONF, "automount", NULL, "root", WSL_TEXT, .fallback = "/mnt/",
	 .use = "where Windows' drives are mounted"},
	{INI_WSLCONF, "automount", NULL, "options", WSL_TEXT, .use = "mount options of Windows' drives"},
	{INI_WSLCONF, "automount", NULL, "ldconfig", .fallback = "true", .undocumented = true,
	 .use = "libraries of the graphics card"},
	{INI_WSLCONF, "automount", NULL, "cgroups", CHOICES("v1", "v2"), .fallback = "v2", .undocumented = true,
	 .use = "which control groups are mounted"},
	{INI_WSLCONF, "filesystem", NULL, "umask", WSL_INTEGER, .fallback = "022", .undocumented = true,
	 .use = "umask of shells"},
	{INI_WSLCONF, "network", NULL, "generateHosts", .fallback = "true", .use = "WSL writes /etc/hosts"},
	{INI_WSLCONF, "network", NULL, "generateResolvConf", .fallback = "true", .use = "WSL writes /etc/resolv.conf"},
	{INI_WSLCONF, "network", NULL, "hostname", WSL_TEXT, .use = "the distribution's name"},
	{INI_WSLCONF, "interop", NULL, "enabled", .fallback = "true", .windows = 17763,
	 .use = "Windows programs may be started"},
	{INI_WSLCONF, "interop", NULL, "appendWindowsPath", .fallback = "true", .windows = 17763,
	 .use = "Windows' PATH in WSL"},
	{INI_WSLCONF, "user", NULL, "default", WSL_TEXT, .windows = 18980,
	 .use = "the user whom a shell is started as"},
	{INI_WSLCONF, "gpu", NULL, "enabled", .fallback = "true", .use = "the graphics card"},
	{INI_WSLCONF, "gpu", NULL, "appendLibPath", .fallback = "true", .undocumented = true,
	 .use = "libraries of the graphics card"},
	{INI_WSLCONF, "time", NULL, "useWindowsTimezone", .fallback = "true", .use = "the time zone of Windows"},
	{INI_WSLCONF, "general", NULL, "guiApplications", .fallback = "true", .undocumented = true,
	 .use = "programs with windows"},
	{INI_WSLCONF, "fileServer", NULL, "enabled", .fallback = "true", .undocumented = true,
	 .use = "WSL's files in Windows"},
	{INI_WSLCONF, "fileServer", NULL, "logFile", WSL_TEXT, .undocumented = true, .use = "debugging"},
	{INI_WSLCONF, "fileServer", NULL, "logLevel", WSL_INTEGER, .undocumented = true, .use = "debugging"},
	{INI_WSLCONF, "fileServer", NULL, "logTruncate", .fallback = "true", .undocumented = true, .use = "debugging"},
	{},
};

const char *wsl_file_name(enum ini_reader file)
{
	return file == INI_WSLCONFIG ? "%USERPROFILE%\\.wslconfig" : "/etc/wsl.conf";
}

static bool in_section(const struct wsl_key *key, const char *section)
{
	return strcasecmp(key->section, section) == 0 || (key->also && strcasecmp(key->also, section) == 0);
}

const struct wsl_key *wsl_key(enum ini_reader file, const char *section, const char *name)
{
	for (const struct wsl_key *key = wsl_keys; key->name; key++)
		if (key->file == file && in_section(key, section) && strcasecmp(key->name, name) == 0)
			return key;
	return NULL;
}

static const struct wsl_key *only_named(enum ini_reader file, const char *name)
{
	const struct wsl_key *only = NULL;

	for (const struct wsl_key *key = wsl_keys; key->name; key++) {
		if (key->file != file || strcasecmp(key->name, name) != 0)
			continue;
		if (only)
			return NULL;
		only = key;
	}
	return only;
}

const struct wsl_key *wsl_key_named(enum ini_reader file, const char *name)
{
	const struct wsl_key *own = only_named(file, name);

	return own ? own : only_named(file == INI_WSLCONF ? INI_WSLCONFIG : INI_WSLCONF, name);
}

static void lower(char *to, size_t size, const char *from)
{
	size_t i = 0;

	for (; from[i] && i + 1 < size; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]);
	to[i] = '\0';
}

enum { NAME_SIZE = 81 };

/* How many letters two names differ in, in whatever case; SIZE_MAX: they are not alike. */
static size_t distance(const char *name, const char *candidate)
{
	char word[NAME_SIZE], other[NAME_SIZE];
	struct spelling spelling = {.word = word};

	lower(word, sizeof(word), name);
	lower(other, sizeof(other), candidate);
	spelling_try(&spelling, other);
	return spelling.best ? spelling.distance : SIZE_MAX;
}

const struct wsl_key *wsl_key_near(enum ini_reader file, const char *section, const char *name)
{
	const struct wsl_key *best = NULL;
	size_t least = SIZE_MAX;

	for (const struct wsl_key *key = wsl_keys; key->name; key++) {
		size_t d = distance(name, key->name);
		/* Of equally near ones that of this section, then that of this file. */
		size_t far = (key->file != file) * 2 + !in_section(key, section);

		if (d == SIZE_MAX || 4 * d + far >= least)
			continue;
		best = key;
		least = 4 * d + far;
	}
	return best;
}

const char *wsl_section_near(enum ini_reader file, const char *section)
{
	const char *best = NULL;
	size_t least = SIZE_MAX;

	for (const struct wsl_key *key = wsl_keys; key->name; key++) {
		size_t d;

		if (key->file != file)
			continue;
		if (in_section(key, section))
			return NULL;
		d = distance(section, key->section);
		if (d < least) {
			best = key->section;
			least = d;
		}
	}
	return best;
}

bool wsl_is_true(const char *value)
{
	return strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

bool wsl_is_false(const char *value)
{
	return strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

/* The next of the ports; 0 where it is none, and *rest is NULL at the end. */
static unsigned next_port(const char **rest)
{
	char *end;
	long number = strtol(*rest, &end, 10);
	bool fine = end != *rest && number > 0 && number <= 65535;

	end += strcspn(end, ",");
	*rest = *end ? end + 1 : NULL;
	return fine ? (unsigned)number : 0;
}

bool wsl_has_port(const char *ports, unsigned port)
{
	while (ports)
		if (next_port(&ports) == port)
			return true;
	return false;
}

static bool are_ports(const char *value)
{
	while (value)
		if (next_port(&value) == 0)
			return false;
	return true;
}

static bool is_integer(const char *value)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 0);
	return *value && !*end && errno == 0 && number >= INT_MIN && number <= INT_MAX;
}

/* WSL takes the unit's first letter, too, and capitals only. */
static bool is_size(const char *value)
{
	static const char *const units[] = {"", "B", "K", "KB", "M", "MB", "G", "GB", "T", "TB"};
	char *end;

	if (*value < '0' || *value > '9')
		return false;
	strtoull(value, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(end, units[i]) == 0)
			return true;
	return false;
}

static bool is_choice(const struct wsl_key *key, const char *value)
{
	for (const char *const *choice = key->choices; *choice; choice++)
		if (strcasecmp(*choice, value) == 0)
			return true;
	return false;
}

static bool has_control_characters(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < 0x20)
			return true;
	return false;
}

const char *wsl_value_problem(const struct wsl_key *key, const char *value)
{
	uint8_t mac[6];
	struct ip ip;

	switch (key->type) {
	case WSL_BOOLEAN:
		return wsl_is_true(value) || wsl_is_false(value) ? NULL : "is neither true nor false";
	case WSL_INTEGER:
		return is_integer(value) ? NULL : "is no number";
	case WSL_SIZE:
		return is_size(value) ? NULL : "is no size such as 8GB or 512MB";
	case WSL_CHOICE:
		return is_choice(key, value) ? NULL : "is none of the values it may have";
	case WSL_PORTS:
		return are_ports(value) ? NULL : "is no list of ports such as 67,5353";
	case WSL_ADDRESS:
		return ip_parse(value, &ip) && ip.family == AF_INET ? NULL : "is no IPv4 address";
	case WSL_MAC:
		return mac_parse(value, mac) ? NULL : "is no MAC address";
	case WSL_PATH:
		return has_control_characters(value) ? "is no path: write each backslash twice" : NULL;
	case WSL_TEXT:
		break;
	}
	return NULL;
}

const struct setting *wsl_setting(const struct facts *facts, const struct wsl_key *key)
{
	const struct setting *settings = key->file == INI_WSLCONFIG ? facts->wslconfig : facts->wslconf;
	size_t count = key->file == INI_WSLCONFIG ? facts->wslconfig_count : facts->wslconf_count;

	for (size_t i = 0; i < count; i++)
		if (!settings[i].ignored && strcasecmp(settings[i].key, key->name) == 0 &&
		    in_section(key, settings[i].section))
			return &settings[i];
	return NULL;
}
