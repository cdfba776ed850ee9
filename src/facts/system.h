/* What a host is besides its network: kernel, processor, memory, who is on it, what listens, what is installed. */
#ifndef NESTVISOR_FACTS_SYSTEM_H
#define NESTVISOR_FACTS_SYSTEM_H

#include "base/ip.h"
#include "facts/fact.h"

#include <stddef.h>

enum system {
	SYSTEM_UNKNOWN,
	SYSTEM_LINUX,
	SYSTEM_WINDOWS,
};

struct kernel {
	const char *release; /* "6.1.0-28-amd64" */
	const char
		*version; /* "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)": the package's version is in it */
	const char *machine; /* "x86_64" */
	const char *command_line;
	struct origin origin;
};

struct distribution {
	const char *id;	     /* "debian" */
	const char *version; /* "12" */
	const char *name;    /* "Debian GNU/Linux 12 (bookworm)" */
	struct origin origin;
};

struct module {
	const char *name;
	const char *state; /* "Live" */
	struct number used;
	struct origin origin;
};

struct processor {
	const char *vendor; /* "GenuineIntel", "AuthenticAMD" */
	const char *model_name;
	struct number family, model, stepping;
	const char *microcode;
	struct number threads; /* logical processors */
	struct number cores;   /* of all sockets */
	struct number sockets;
	const char **flags;
	size_t flag_count;
	enum truth flags_known;
	const char **bugs;
	size_t bug_count;
	struct origin origin;
};

/* Bytes. */
struct memory {
	struct number total, available, free, swap_total, swap_free;
	struct number huge_pages, huge_pages_free, huge_page_size;
	struct origin origin;
};

struct account {
	const char *name;
	struct number id;
	const char **members; /* of groups */
	size_t member_count;
	struct origin origin;
};

struct listener {
	const char *protocol; /* "tcp", "udp" */
	struct ip address;    /* none: every address */
	const char *device;   /* bound to it with % */
	struct number port;
	const char *process; /* as shown */
	struct origin origin;
};

/* A value the kernel shows in a file of its own, under /proc or /sys (sysctls have their own list). */
struct attribute {
	const char *path; /* "/sys/module/kvm_intel/parameters/nested" */
	const char *value;
	struct origin origin;
};

struct program {
	const char *name;     /* "qemu-system-x86_64", "libvirtd" */
	const char *version;  /* the first line of what it says; NULL: unknown */
	enum truth installed; /* no: it was looked for in PATH and is not there */
	const char *path;
	struct origin origin;
};

/* An installed package, as the distribution calls it (dpkg-query(1), rpm(8), apk(8), pacman(8)). */
struct package {
	const char *name;    /* "linux-image-6.1.0-28-amd64" */
	const char *version; /* "6.1.119-1" */
	struct origin origin;
};

/* Who may open a file or a device, as ls -l shows it. */
struct node {
	const char *path; /* "/dev/kvm" */
	enum truth exists;
	const char *type;	   /* "file", "folder", "character device", "block device", "link", "socket", "pipe" */
	struct number mode;	   /* permission bits: 0660 */
	const char *owner, *group; /* names, or numbers where they have none */
	const char *target;	   /* of links */
	struct origin origin;
};

/* The user whom the facts were collected as (id(1)): what she may open is all that can be seen. */
struct caller {
	const char *user;
	struct number id;
	const char **groups; /* of this session; a group joined after login is not among them */
	size_t group_count;
	struct origin origin;
};

/* A line of a log: only those worth reading are collected. */
struct log_line {
	const char *log; /* "dmesg", "journal", "/var/log/libvirt/qemu/vm1.log" */
	const char *text;
	struct origin origin;
};

/* XML of libvirt, as it is. */
struct document {
	const char *kind; /* the root element: "domain", "network", "filter", … */
	const char *name;
	const char *text;
	struct origin origin;
};

/* A key of .wslconfig or wsl.conf (https://learn.microsoft.com/windows/wsl/wsl-config). */
struct setting {
	const char *section;
	const char *key;
	const char *value;   /* as WSL understands it: without quotes and a comment behind it */
	const char *ignored; /* why WSL does not take it, whatever the key; NULL: it does (see ini.h) */
	struct origin origin;
};

/* What WSL says of itself, inside the distribution or in Windows. */
struct wsl {
	const char *networking_mode; /* "nat", "mirrored", "virtioproxy", "none" */
	const char *version;	     /* "2.3.26", "2.3.26.0" */
	struct origin origin;
	const char *windows; /* below it: "10.0.22631.4602" */
	struct origin windows_origin;
};

struct flow_side {
	struct ip source, destination;
	struct number source_port, destination_port;
	struct number icmp_type, icmp_code, icmp_id;
	struct number packets, bytes;
};

/* An entry of connection tracking (conntrack(8)). */
struct connection {
	uint8_t family;
	struct number protocol;
	const char *state;     /* of TCP and the like: "ESTABLISHED" */
	struct number timeout; /* seconds */
	struct flow_side original, reply;
	bool unreplied, assured, offloaded;
	struct number mark;
	struct number zone; /* of either direction, where they differ */
	const char *helper;
	struct origin origin;
};

#endif
