/*
 * The schemas stand here as JSON and not as C strings: the JSON() macro lets the preprocessor put the quotes around
 * and the backslashes in. tests/unit/test_render.c checks that each is well formed and that real answers fit them, with
 * no member left undescribed.
 */
#include "render/schema.h"

#include "base/cleanup.h"
#include "render/render_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON(...) #__VA_ARGS__

/* clang-format off */
/* What `path` and `verify` say of a packet's way, less what follows the last of these. */
#define WAY JSON( \
	"verdict": {"enum": ["delivered", "rejected", "dropped", "lost", "unknown"]}, \
	"where": {"type": ["string", "null"], "description": "the host where it ends"}, \
	"to": {"type": ["string", "null"], "description": "of delivered ones: a local process, or an interface that leads outside"}, \
	"src": {"type": ["string", "null"], "description": "at the end, after any translation"}, \
	"dst": {"type": ["string", "null"]}, \
	"sport": {"type": ["integer", "null"], "description": "null: the kernel may choose"}, \
	"dport": {"type": ["integer", "null"]}, \
	"rule": {"type": ["string", "null"], "description": "that dropped or rejected it"}, \
	"hook": {"type": ["string", "null"]}, \
	"table": {"type": "string"}, \
	"chain": {"type": "string"}, \
	"reason": {"type": "string", "description": "of lost ones"}, \
	"answered": {"type": ["string", "null"], "description": "what its sender is told: icmp 3/3, rst; null: nothing, though it was rejected"}, \
	"out_port": {"type": "string", "description": "the port of the bridge it left by"}, \
	"hops": {"type": "array", "items": {"$ref": "#/$defs/hop"}}, \
	"assumptions": {"type": "array", "items": {"$ref": "#/$defs/assumption"}}, \
	"missing": {"type": "array", "description": "of unknown ones: what would tell", "items": {"$ref": "#/$defs/assumption"}})

/* A snapshot of one guest. */
#define SNAPSHOT JSON("type": "object", "required": ["guest", "name", "description", "time", "disk", "memory", "variables", "tpm", "size", "qemu", "damage"], "properties": { \
	"guest": {"type": "string", "description": "its path"}, \
	"name": {"type": "string"}, \
	"description": {"type": "string"}, \
	"time": {"type": "integer", "description": "seconds since the epoch"}, \
	"disk": {"type": "boolean"}, \
	"memory": {"type": "boolean", "description": "false: the guest was down"}, \
	"variables": {"type": "boolean", "description": "UEFI's"}, \
	"tpm": {"type": "boolean"}, \
	"size": {"type": "integer", "minimum": 0, "description": "bytes on disk; what its overlay lies on not counted"}, \
	"qemu": {"type": ["string", "null"], "description": "the release that wrote the memory; null: unknown, or no memory"}, \
	"damage": {"type": ["string", "null"], "description": "what of it is missing"}, \
	"stopped_ms": {"type": "integer", "minimum": 0, "description": "how long the guest stood still for it; of one that was just taken"} \
})

/* And what it refers to. */
#define WAY_DEFINITIONS JSON( \
	"reply": {"type": ["object", "null"], "description": "null: nothing came to be answered", "required": ["verdict", "where", "to", "src", "dst", "sport", "dport", "rule", "hook", "hops", "assumptions"], "properties": {) WAY JSON(}}, \
	"hop": {"type": "object", "required": ["host", "steps"], "properties": { \
		"host": {"type": "string"}, \
		"steps": {"type": "array", "items": {"type": "object", "required": ["step"], "properties": { \
			"step": {"enum": ["in", "sent", "rule", "policy", "route", "source check", "connection", "translation", "bridge", "neighbour", "out", "end"]}, \
			"hook": {"type": "string"}, \
			"family": {"type": "string", "description": "of the table"}, \
			"table": {"type": "string"}, \
			"chain": {"type": "string"}, \
			"index": {"type": "integer", "minimum": 1, "description": "of the rule in its chain"}, \
			"interface": {"type": "string"}, \
			"source": {"type": "string", "description": "file and line, or what was asked"}, \
			"text": {"type": "string", "description": "the rule, route or sysctl as its source has it"}, \
			"effect": {"type": "string"} \
		}}} \
	}}, \
	"assumption": {"type": "object", "required": ["text"], "properties": { \
		"text": {"type": "string"}, \
		"command": {"type": "string", "description": "what would show it"}, \
		"varies": {"type": "boolean", "description": "it is not the same for every packet, as a rate or chance is; false where it is left out"} \
	}})
/* What `why` and `fix` refer to. */
#define CAUSE_DEFINITIONS JSON("isolated": {"type": ["object", "null"], "description": "a guest that was cut off on purpose: that is why; null: it is something else, or nothing", "required": ["guest", "world"], "properties": {"guest": {"type": "string", "description": "its path, which `nestvisor open` takes"}, "world": {"enum": ["cut", "sealed"]}}}, "cause": {"type": "object", "required": ["what", "reply", "verdict", "source", "answer"], "properties": {"what": {"type": "string"}, "host": {"type": "string"}, "reply": {"type": "boolean", "description": "it is the answer that ends there"}, "verdict": {"type": "string"}, "source": {"type": ["string", "null"], "description": "of the rule, route or sysctl"}, "answer": {"type": "object", "description": "as path --batch gives it"}}}, "assumption": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "command": {"type": "string"}, "varies": {"type": "boolean", "description": "it is not the same for every packet, as a rate or chance is; false where it is left out"}}}, "listener": {"type": ["object", "null"], "description": "whether a program takes it at its end, which is a remark and no verdict; null: not known, or it was not asked about a port", "required": ["host", "service", "listens", "process", "source"], "properties": {"host": {"type": "string"}, "service": {"type": "string", "description": "22/tcp"}, "listens": {"type": "boolean"}, "process": {"type": ["string", "null"]}, "source": {"type": ["string", "null"]}}})

static const struct schema schemas[] = {
	{"adopt", 1, "a lab file of what a libvirt has", JSON({
		"properties": {
			"lab": {"type": "string"},
			"from": {"type": "string", "description": "libvirt's URI, or the bundle and the host in it"},
			"file": {"type": "string", "description": "the lab file, YAML with comments"},
			"guests": {"type": "integer", "minimum": 0},
			"networks": {"type": "integer", "minimum": 0},
			"left_out": {"type": "integer", "minimum": 0, "description": "domains and networks that are a comment alone"},
			"notes": {"type": "integer", "minimum": 0, "description": "what else could not be expressed"},
			"marked": {"type": "integer", "minimum": 0, "description": "domains that got the mark (--mark)"},
			"valid": {"type": "boolean"},
			"problems": {"type": "array", "description": "of the lab file, in the form of validate's", "items": {"type": "object"}}
		},
		"required": ["lab", "from", "file", "guests", "networks", "left_out", "notes", "valid", "problems"]
	})},
	{"apply", 1, "what a host made of its part of a lab", JSON({
		"properties": {
			"lab": {"type": "string"},
			"resources": {"type": "object", "description": "guest:PATH and network:PATH, each with the spec it was made from"},
			"error": {"type": ["object", "null"], "properties": {
				"message": {"type": "string"},
				"hint": {"type": ["string", "null"]}
			}}
		},
		"required": ["lab", "resources", "error"]
	})},
	{"capture", 1, "what was collected of hosts, and where it was written", JSON({
		"properties": {
			"file": {"type": ["string", "null"], "description": "the archive or folder; null with --list"},
			"bytes": {"type": "integer", "minimum": 0},
			"hosts": {"type": "array", "items": {"type": "object",
				"required": ["name", "complete", "taken", "missing", "not_reached", "failed", "redacted"], "properties": {
					"name": {"type": "string", "description": "of its folder in the bundle"},
					"complete": {"type": "boolean", "description": "false: the connection ended before all was there"},
					"taken": {"type": "integer", "minimum": 0, "description": "how many of the sources"},
					"missing": {"type": "integer", "minimum": 0, "description": "there is no such program or file"},
					"not_reached": {"type": "integer", "minimum": 0},
					"failed": {"type": "array", "items": {"type": "object", "required": ["name", "why"], "properties": {
						"name": {"type": "string"},
						"why": {"type": "string"}
					}}},
					"redacted": {"type": "integer", "minimum": 0, "description": "secrets that were taken out"}
				}}},
			"unanswered": {"type": "array", "description": "who did not answer and is not in the bundle", "items": {"type": "object",
				"required": ["name", "why"], "properties": {"name": {"type": "string"}, "why": {"type": "string"}}}},
			"sources": {"type": "array", "description": "with --list: what would be collected", "items": {"type": "object",
				"required": ["name", "group", "what", "files", "command", "secrets", "network"], "properties": {
					"name": {"type": "string", "description": "of the file in a bundle"},
					"group": {"type": "string"},
					"what": {"type": "string"},
					"files": {"type": ["string", "null"], "description": "paths and patterns, parted by spaces"},
					"command": {"type": ["string", "null"], "description": "POSIX sh"},
					"secrets": {"type": "boolean", "description": "may hold secrets, which are taken out"},
					"network": {"type": "boolean", "description": "collected of every network namespace"}
				}}}
		},
		"required": ["file", "bytes", "hosts"]
	})},
	{"cp", 1, "what was copied", JSON({
		"properties": {
			"bytes": {"type": "integer", "minimum": 0}
		},
		"required": ["bytes"]
	})},
	{"diff", 1, "what two sets of facts let through differently", JSON({
		"properties": {
			"same": {"type": "boolean"},
			"changes": {"type": "array", "items": {"type": "object", "required": ["change", "witness", "before", "after"], "properties": {
				"change": {"enum": ["opens", "closes", "unclear"]},
				"witness": {"type": ["string", "null"], "description": "a packet that gets through in one of the two only; null: none was found"},
				"before": {"description": "what decided about it: of one host's rules an object, else a text", "type": ["object", "string", "null"]},
				"after": {"description": "the same, now", "type": ["object", "string", "null"]},
				"hook": {"enum": ["forward", "input", "output", "prerouting", "postrouting"], "description": "one host's rules: where"},
				"text": {"type": "string", "description": "one host's rules: the packets, for people"},
				"fields": {"type": "object", "description": "one host's rules: the values of each field that matters"},
				"family": {"enum": ["ip", "ip6"]},
				"from": {"type": "string", "description": "all hosts: who asks"},
				"to": {"type": "string"},
				"service": {"type": "string", "description": "as 22/tcp and ping"},
				"was": {"enum": ["allowed", "partly", "blocked", "unknown"]},
				"is": {"enum": ["allowed", "partly", "blocked", "unknown"]}
			}}},
			"more": {"type": "boolean", "description": "there are more changes than are told"},
			"hooks": {"type": "array", "description": "one host's rules: the hooks that were compared", "items": {"enum": ["forward", "input", "output", "prerouting", "postrouting"]}},
			"gone": {"type": "array", "description": "hosts that only the first facts hold", "items": {"type": "string"}},
			"come": {"type": "array", "description": "hosts that only the second facts hold", "items": {"type": "string"}},
			"unknown": {"type": "integer", "minimum": 0, "description": "how many questions cannot be answered in either, so that they may have changed; of one host's rules: at how many hooks there are such packets"}
		},
		"required": ["same", "changes", "more"]
	})},
	{"doctor", 1, "what is wrong with hosts, and how to mend it", JSON({
		"properties": {
			"checks": {"type": "array", "description": "by host, the worst first", "items": {"type": "object",
				"required": ["id", "layer", "host", "derived", "result", "severity", "title", "matters", "why", "evidence", "remedy", "fixable",
					"after", "manual"],
				"properties": {
					"id": {"type": "string", "description": "of the check; several findings may have the same"},
					"layer": {"type": ["string", "null"], "description": "L0, L1, …; null where it is not known"},
					"host": {"type": "string"},
					"derived": {"type": "boolean", "description": "the host was not asked: this is what it will see"},
					"result": {"enum": ["pass", "warn", "unknown", "fail"]},
					"severity": {"enum": ["note", "advice", "required"], "description": "required: guests do not run without it"},
					"title": {"type": "string", "description": "what the check looks at"},
					"matters": {"type": "string"},
					"why": {"type": "string", "description": "what is the case"},
					"evidence": {"type": ["string", "null"], "description": "the fact it rests on, and where it came from"},
					"remedy": {"type": "array", "items": {"type": "string"}},
					"fixable": {"type": "boolean", "description": "doctor --fix would do it"},
					"after": {"enum": ["nothing", "reload", "relogin", "reboot", "wsl"], "description": "what the remedy needs to take effect"},
					"manual": {"type": "string"}
				}}},
			"summary": {"type": "string", "description": "what the hosts can run and what not"},
			"fixes": {"type": "array", "description": "with --fix: what was done", "items": {"type": "object",
				"required": ["id", "does", "result", "why"], "properties": {
					"id": {"type": "string", "description": "of the check"},
					"does": {"type": "string"},
					"result": {"enum": ["done", "nothing", "failed"]},
					"why": {"type": ["string", "null"], "description": "where it failed; all is then as it was before"}
				}}},
			"undone": {"type": "integer", "minimum": 0, "description": "with --undo: how many fixes were taken back"},
			"table": {"type": "array", "description": "with --list: the checks there are", "items": {"type": "object",
				"required": ["id", "title", "severity", "matters", "fixable", "after", "manual"], "properties": {
					"id": {"type": "string"},
					"title": {"type": "string"},
					"severity": {"enum": ["note", "advice", "required"]},
					"matters": {"type": "string"},
					"fixable": {"type": "boolean"},
					"after": {"enum": ["nothing", "reload", "relogin", "reboot", "wsl"]},
					"manual": {"type": "string"}
				}}}
		},
		"required": ["checks", "summary"]
	})},
	{"down", 1, "what was taken away", JSON({
		"properties": {
			"lab": {"type": "string"},
			"disks_kept": {"type": "boolean"},
			"snapshots": {"type": "integer", "minimum": 0, "description": "of guests of this host, that went, or were kept, with their disks"}
		},
		"required": ["lab", "disks_kept"]
	})},
	{"error", 1, "why a command failed; given in place of its answer", JSON({
		"properties": {
			"error": {"type": "object", "required": ["message", "hint", "status"], "properties": {
				"message": {"type": "string", "description": "what was tried, on what, and what happened"},
				"hint": {"type": ["string", "null"], "description": "what can be done about it"},
				"status": {"type": "integer", "description": "the exit status"}
			}},
			"problems": {"type": "array", "description": "what is wrong with the lab file",
				"items": {"$ref": "#/$defs/problem"}}
		},
		"required": ["error"],
		"$defs": {"problem": {"type": "object", "required": ["severity", "message"], "properties": {
			"severity": {"enum": ["error", "warning"]},
			"file": {"type": "string"},
			"line": {"type": "integer", "minimum": 0},
			"column": {"type": "integer", "minimum": 0},
			"message": {"type": "string"},
			"hint": {"type": ["string", "null"]}
		}}}
	})},
	{"exec", 1, "what a command in a guest said", JSON({
		"properties": {
			"path": {"type": "string"},
			"status": {"type": "integer", "description": "its exit status; 128 and the signal where one ended it"},
			"stdout": {"type": ["string", "null"], "description": "null where it is no text"},
			"stderr": {"type": ["string", "null"]},
			"binary": {"type": "boolean", "description": "whether one of the two is no text"}
		},
		"required": ["path", "status", "stdout", "stderr", "binary"]
	})},
	{"facts", 1, "what hosts say of themselves, and how they hang together", schema_facts},
	{"graph", 1, "a lab, or the hosts of a bundle of facts, as nodes and edges", JSON({
		"properties": {
			"lab": {"type": "string"},
			"facts": {"type": "string", "description": "in place of lab: the bundle's name"},
			"nodes": {"type": "array", "items": {"$ref": "#/$defs/node"}},
			"edges": {"type": "array", "items": {"$ref": "#/$defs/edge"}}
		},
		"required": ["nodes", "edges"],
		"$defs": {
			"node": {"type": "object", "required": ["id", "kind"], "properties": {
				"id": {"type": "string", "description": "stable only within one document"},
				"kind": {"enum": ["world", "host", "network", "guest", "interface"],
					"description": "a guest that has guests is a guest; of facts every machine is a host"},
				"name": {"type": "string"},
				"path": {"type": "string"},
				"layer": {"type": "integer", "minimum": 0},
				"layer_known": {"type": "boolean", "description": "of facts; false: the layer is the least that it can be"},
				"namespace_of": {"type": "string", "description": "the id of the machine of which it is only a network namespace"},
				"host": {"type": "string", "description": "the id of the node it runs on, or belongs to"},
				"machine": {"type": "string", "description": "in a lab with several hosts: which of them a guest runs on, L0 being this machine"},
				"subnets": {"type": "array", "items": {"type": "string"}},
				"uplink": {"enum": ["nat", "route", "none"]},
				"world": {"enum": ["open", "cut", "sealed"]},
				"not_in_force": {"type": "string", "description": "a host where that is not, or not known to be, in force"},
				"state": {"enum": ["absent", "starting", "running", "dead", "unknown"]},
				"system": {"enum": ["linux", "windows"]},
				"wsl": {"type": "boolean"},
				"forwards4": {"type": "boolean", "description": "missing: unknown"},
				"forwards6": {"type": "boolean"},
				"role": {"enum": ["nic", "loopback", "bridge", "tap"]},
				"addresses": {"type": "array", "items": {"type": "string"}},
				"mac": {"type": "string"},
				"up": {"type": "boolean"}
			}},
			"edge": {"type": "object", "required": ["from", "to", "kind"], "properties": {
				"from": {"type": "string"},
				"to": {"type": "string"},
				"kind": {"enum": ["nic", "gateway", "uplink", "publish", "port", "cable", "tap", "learned", "neighbour",
					"mirrored", "subnet", "route", "nat", "forward"]},
				"addresses": {"type": "array", "items": {"type": "string"}},
				"mac": {"type": "string"},
				"uplink": {"enum": ["nat", "route"]},
				"port": {"type": "integer"},
				"as": {"type": "integer"},
				"protocol": {"enum": ["tcp", "udp"]},
				"why": {"type": "string"},
				"evidence": {"type": "array", "items": {"type": "string"}, "description": "where it was captured: file:line"},
				"via": {"type": "string", "description": "of route: the gateway"},
				"default": {"type": "boolean"},
				"destinations": {"type": "array", "items": {"type": "string"}},
				"family": {"enum": ["ip", "ip6"]},
				"masquerade": {"type": "boolean"}
			}}
		}
	})},
	{"help", 1, "the table of commands", JSON({
		"properties": {
			"commands": {"type": "array", "items": {"type": "object",
				"required": ["name", "group", "summary", "description", "operands", "options", "examples", "json"],
				"properties": {
					"name": {"type": "string"},
					"group": {"type": "string"},
					"summary": {"type": "string"},
					"description": {"type": "string"},
					"json": {"type": ["string", "null"], "description": "the schema of its answer"},
					"operands": {"type": "array", "items": {"type": "object", "properties": {
						"name": {"type": "string"},
						"help": {"type": "string"},
						"optional": {"type": "boolean"},
						"repeated": {"type": "boolean"},
						"choices": {"type": "array", "items": {"type": "string"}}
					}}},
					"options": {"type": "array", "items": {"type": "object", "properties": {
						"name": {"type": "string"},
						"letter": {"type": ["string", "null"]},
						"kind": {"enum": ["flag", "string", "integer", "choice", "seconds"]},
						"argument": {"type": ["string", "null"]},
						"help": {"type": "string"},
						"choices": {"type": "array", "items": {"type": "string"}},
						"default": {"type": ["string", "null"]},
						"variable": {"type": ["string", "null"]},
						"repeated": {"type": "boolean"}
					}}},
					"examples": {"type": "array", "items": {"type": "object", "properties": {
						"command": {"type": "string"},
						"does": {"type": "string"}
					}}}
				}}}
		},
		"required": ["commands"]
	})},
	{"image", 1, "an image and its files", JSON({
		"properties": {
			"name": {"type": "string"},
			"id": {"type": "string"},
			"kernel": {"type": ["string", "null"]},
			"vmlinux": {"type": ["string", "null"], "description": "the kernel as an ELF file, for PVH boots"},
			"initrd": {"type": ["string", "null"]},
			"initrd_host": {"type": ["string", "null"], "description": "of a guest that has guests"},
			"disk": {"type": ["string", "null"]},
			"carriers": {"type": "array", "items": {"type": "object", "properties": {
				"serial": {"type": "string"},
				"path": {"type": "string"},
				"format": {"enum": ["raw", "qcow2"]}
			}}},
			"append": {"type": "string", "description": "words it wants on the kernel command line"},
			"medium": {"type": "object", "description": "of an ISO that Windows is installed from", "properties": {
				"kind": {"enum": ["windows", "virtio-win"]},
				"what": {"type": "string"},
				"label": {"type": "string"},
				"format": {"type": "string"},
				"editions": {"type": "array", "items": {"type": "object", "properties": {
					"name": {"type": "string"},
					"edition": {"type": "string"},
					"architecture": {"type": "string"},
					"build": {"type": "integer"},
					"languages": {"type": "array", "items": {"type": "string"}}
				}}}
			}}
		},
		"required": ["name", "id", "carriers"]
	})},
	{"why", 1, "why a packet does not arrive", JSON({
		"properties": {
			"from": {"type": "string"},
			"to": {"type": "string"},
			"verdict": {"enum": ["delivered", "rejected", "dropped", "lost", "unknown"]},
			"isolated": {"$ref": "#/$defs/isolated"},
			"causes": {"type": "array", "description": "in the order in which they are met", "items": {"$ref": "#/$defs/cause"}},
			"mendable": {"type": "boolean"},
			"listener": {"$ref": "#/$defs/listener"},
			"missing": {"type": "array", "description": "what would tell, where the answer is not certain", "items": {"$ref": "#/$defs/assumption"}},
			"assumptions": {"type": "array", "items": {"$ref": "#/$defs/assumption"}}
		},
		"required": ["from", "to", "verdict", "isolated", "causes", "mendable", "listener", "assumptions", "missing"],
		"$defs": {) CAUSE_DEFINITIONS JSON(}
	})},
	{"fix", 1, "the changes that let a packet arrive", JSON({
		"properties": {
			"verdict": {"enum": ["delivered", "rejected", "dropped", "lost", "unknown"], "description": "before"},
			"isolated": {"$ref": "#/$defs/isolated"},
			"changes": {"type": "array", "items": {"type": "object", "required": ["host", "kind", "command", "undo", "opens", "permanent"], "properties": {
				"host": {"type": "string"},
				"kind": {"enum": ["route", "rule", "nat", "sysctl", "link", "policy"]},
				"command": {"type": "string"},
				"undo": {"type": ["string", "null"]},
				"opens": {"type": ["string", "null"], "description": "what it lets through or changes, all told"},
				"permanent": {"type": "array", "items": {"type": "object", "required": ["how", "file", "text"], "properties": {
					"how": {"type": "string"},
					"file": {"type": ["string", "null"]},
					"text": {"type": "string", "description": "what stands in the file, or a command"}
				}}}
			}}},
			"verified": {"type": "boolean", "description": "with the changes the packet arrives and its answer comes back, and where a policy is known, all that it promises is still proved"},
			"policy": {"enum": ["none", "kept", "unknown", "broken"], "description": "what becomes of the lab's policy with the changes; none: no lab and no --policy was given; broken: all that was found breaks it, and is refused"},
			"doubt": {"type": ["string", "null"], "description": "why it is unknown"},
			"refused": {"type": "array", "description": "changes that would mend it and break the policy", "items": {"type": "object", "required": ["why", "changes"], "properties": {
				"why": {"type": "string"},
				"changes": {"type": "array", "items": {"type": "object", "required": ["host", "command"], "properties": {"host": {"type": "string"}, "command": {"type": "string"}}}}
			}}},
			"after": {"type": "object", "description": "what becomes of the packet with the changes, as path --batch gives it"},
			"reply": {"type": ["object", "null"], "description": "and of what answers it; null: not asked, or it does not arrive"},
			"causes": {"type": "array", "items": {"$ref": "#/$defs/cause"}},
			"listener": {"$ref": "#/$defs/listener"},
			"missing": {"type": "array", "description": "what would tell, where the answer is not certain", "items": {"$ref": "#/$defs/assumption"}},
			"assumptions": {"type": "array", "items": {"$ref": "#/$defs/assumption"}},
			"applied": {"type": "boolean", "description": "--apply: the changes were made"},
			"now": {"type": "object", "description": "--apply: what becomes of the packet now, as `why` gives it, from facts collected after the changes"},
			"undone": {"type": "integer", "minimum": 0, "description": "--undo: how many fixes were taken back; nothing else is said then, and without --undo all else is"}
		},
		"required": ["changes"],
		"$defs": {) CAUSE_DEFINITIONS JSON(}
	})},
	{"restore", 1, "the guests that went back to a snapshot", JSON({
		"properties": {
			"lab": {"type": "string"},
			"restored": {"type": "array", "items": {"type": "object", "required": ["guest", "name", "memory", "flows", "behind", "clock"], "properties": {
				"guest": {"type": "string", "description": "its path"},
				"name": {"type": "string"},
				"memory": {"type": "boolean", "description": "it goes on from there; false: it was booted from its disk as it was then"},
				"flows": {"type": "integer", "minimum": 0, "description": "connections of it that this host has forgotten"},
				"behind": {"type": "integer", "description": "seconds between the snapshot and now"},
				"clock": {"type": ["string", "null"], "description": "why the guest's clock could not be set; null: it was, or it was booted"}
			}}}
		},
		"required": ["lab", "restored"]
	})},
	{"snapshot", 1, "the snapshots that were taken, or removed", JSON({
		"properties": {
			"lab": {"type": "string"},
			"snapshots": {"type": "array", "items": {) SNAPSHOT JSON(}},
			"removed": {"type": "array", "description": "in place of those", "items": {"type": "object", "required": ["guest", "name", "freed"], "properties": {
				"guest": {"type": "string"},
				"name": {"type": "string"},
				"freed": {"type": "integer", "minimum": 0, "description": "bytes"}
			}}}
		},
		"required": ["lab"]
	})},
	{"snapshots", 1, "the snapshots that there are, the oldest of a guest first", JSON({
		"properties": {
			"lab": {"type": "string"},
			"snapshots": {"type": "array", "items": {) SNAPSHOT JSON(}}
		},
		"required": ["lab", "snapshots"]
	})},
	{"isolation", 1, "how far guests may reach, and at which hosts that is in force", JSON({
		"properties": {
			"lab": {"type": "string"},
			"complete": {"type": "boolean", "description": "in force at every host that runs"},
			"guests": {"type": "array", "items": {"type": "object",
				"required": ["path", "world", "set", "file", "method", "open_until", "neighbours", "allow", "at_run_time", "since", "by"], "properties": {
					"path": {"type": "string"},
					"world": {"enum": ["open", "cut", "sealed"], "description": "what holds now, those that it lies in included"},
					"set": {"enum": ["open", "cut", "sealed"], "description": "for the guest itself; what a timed opening goes back to"},
					"file": {"enum": ["open", "cut", "sealed"], "description": "what the lab file says"},
					"method": {"enum": ["nft", "nwfilter"], "description": "by what the host that runs it does so: its own rules, or a filter of libvirt's"},
					"open_until": {"type": ["integer", "null"], "description": "seconds since the epoch: the end of a timed opening"},
					"neighbours": {"enum": ["keep", "cut", "drop"], "description": "the lab's other guests: as before, only those that are cut, none"},
					"allow": {"type": "array", "items": {"type": "object", "required": ["to", "asked"], "properties": {
						"to": {"type": "string"},
						"asked": {"type": ["string", "null"], "description": "the name that it was resolved from"}
					}}},
					"at_run_time": {"type": "boolean", "description": "said in place of the lab file"},
					"since": {"type": ["integer", "null"]},
					"by": {"type": ["string", "null"], "description": "who said it"},
					"replaced": {"type": ["string", "null"], "description": "the command that says again what this cut took back of an earlier one (its neighbours, its allowed places); null: nothing"},
					"missing_at": {"type": ["string", "null"], "description": "a host where it is not known to be in force"}
				}}},
			"layers": {"type": "array", "description": "the hosts that were told, this one first", "items": {"type": "object",
				"required": ["host", "result", "why", "ms"], "properties": {
					"host": {"type": "string", "description": "its path; empty for L0"},
					"result": {"enum": ["done", "waits", "failed"], "description": "waits: it does not run and gets it when it starts"},
					"why": {"type": ["string", "null"]},
					"ms": {"type": "number", "minimum": 0, "description": "since the change began"}
				}}},
			"elements": {"type": "integer", "minimum": 0, "description": "of the rules' sets, that came or went at this host"},
			"flows": {"type": "integer", "minimum": 0, "description": "that were ended at this host"},
			"unsure": {"type": ["string", "null"], "description": "of a lab that was adopted from a libvirt: why somebody may not be held though the rules are in force (libvirt does not answer, a flowtable); null: nothing is known of that"},
			"reloaded": {"type": "boolean", "description": "the rules were not those of the lab, and all of them were loaded anew"},
			"transaction_ms": {"type": "number", "minimum": 0, "description": "how long the kernel took for it"},
			"verify": {"type": ["object", "null"], "description": "whether the lab keeps its promises after it, as verify --json gives it; null: nobody could be asked"},
			"probes": {"type": "array", "description": "guests that were asked to ping the machine's router", "items": {"type": "object", "required": ["guest", "to", "reached", "why"], "properties": {
				"guest": {"type": "string"},
				"to": {"type": "string"},
				"reached": {"type": ["boolean", "null"], "description": "null: it was not tried"},
				"why": {"type": ["string", "null"]}
			}}}
		},
		"required": ["lab", "complete", "guests"]
	})},
	{"path", 1, "one packet's way, and that of what answers it", JSON({
		"properties": {
			"packet": {"type": "string", "description": "as it was sent"},
			) WAY JSON(,
			"reply": {"$ref": "#/$defs/reply"}
		},
		"required": ["verdict", "where", "to", "src", "dst", "sport", "dport", "rule", "hook", "hops", "assumptions", "packet", "reply"],
		"$defs": {
			) WAY_DEFINITIONS JSON(
		}
	})},
	{"plan", 1, "what up would do", JSON({
		"properties": {
			"changes": {"type": "array", "items": {"type": "object", "required": ["do", "what", "path", "why"], "properties": {
				"do": {"enum": ["create", "change", "remove", "restart"]},
				"what": {"type": "string", "description": "guest, network, uplink and the like"},
				"path": {"type": "string", "description": "of the guest or network in the lab; empty for the machine itself"},
				"host": {"type": "string", "description": "of guests of a lab with several hosts: which one runs it, L0 being this machine"},
				"why": {"type": "string"},
				"overwrites": {"type": "boolean", "description": "true: what somebody else has changed would be lost; up wants --overwrite"}
			}}},
			"unsure": {"type": "boolean", "description": "true: not all is known, since a host did not answer: there may be more to do"}
		},
		"required": ["changes"]
	})},
	{"verify", 1, "what becomes of a lab's promises: its policy, and what its file implies", JSON({
		"properties": {
			"result": {"$ref": "#/$defs/result", "description": "the worst of them; unknown is better than violated, and suspended is as good as proved"},
			"policies": {"type": "array", "description": "the lines of the file, then what is implied",
				"items": {"type": "object", "required": ["text", "implied", "line", "result", "isolated", "why", "witness", "missing", "guarantees"], "properties": {
					"text": {"type": "string"},
					"implied": {"type": "boolean", "description": "by `world:`, by networks without uplink; no line of the policy"},
					"line": {"type": ["integer", "null"], "description": "of the lab file; null: it is implied, or of a lab that runs no file here promises the same"},
					"result": {"enum": ["proved", "violated", "unknown", "suspended"], "description": "suspended: it is allowed, and does not hold as long as a guest stays cut or sealed that was so at run time"},
					"isolated": {"$ref": "#/$defs/isolated"},
					"why": {"type": ["string", "null"], "description": "of a violation, and of what is suspended: where the witness ends"},
					"witness": {"type": ["object", "null"], "description": "a packet that breaks it and its way, as path gives it; of unknown, one that it depends on",
						"required": ["from", "packet", "verdict", "hops"], "properties": {
			"from": {"type": "string", "description": "who sends it"},
			"packet": {"type": "string", "description": "as it was sent"},
			) WAY JSON(,
			"reply": {"$ref": "#/$defs/reply"}
					}},
					"missing": {"type": "array", "description": "what would tell", "items": {"$ref": "#/$defs/assumption"}},
					"guarantees": {"type": "array", "description": "of a violation by hosts taken over: what the others stop even so", "items": {"type": "string"}}
				}}},
			"assumptions": {"type": "array", "items": {"$ref": "#/$defs/assumption"}}
		},
		"required": ["result", "policies", "assumptions"],
		"$defs": {"isolated": {"type": ["object", "null"], "description": "of what is allowed and does not hold: the guest that is cut off; null: that is not why", "required": ["guest", "world"], "properties": {"guest": {"type": "string"}, "world": {"enum": ["cut", "sealed"]}}},
			"result": {"enum": ["proved", "violated", "unknown"]},
			) WAY_DEFINITIONS JSON(
		}
	})},
	{"reach", 1, "who may open a connection to whom: over a whole lab, or as a host's rules decide", JSON({
		"properties": {
			"host": {"type": "string", "description": "one host's rules: whose"},
			"hook": {"type": "string"},
			"protocol": {"type": "integer", "minimum": 0},
			"services": {"type": "array", "description": "a whole lab: what was asked for, as 22/tcp and ping",
				"items": {"type": "string"}},
			"classes": {"type": "array", "description": "addresses that the rules cannot tell apart; of a whole lab, the ends",
				"items": {"type": "object", "required": ["id", "family", "addresses"], "properties": {
					"id": {"type": "integer", "minimum": 0},
					"name": {"type": "string", "description": "a host's; world: every address in none of the lab's subnets"},
					"family": {"enum": ["ip", "ip6"]},
					"addresses": {"type": "array", "description": "an address, a prefix, or FIRST-LAST", "items": {"type": "string"}}
				}}},
			"edges": {"type": "array", "description": "from which class to which some packet gets through, or may",
				"items": {"$ref": "#/$defs/edge"}},
			"blocked": {"type": "array", "description": "a whole lab: where none does", "items": {"$ref": "#/$defs/edge"}},
			"causes": {"type": "array", "description": "what stops packets", "items": {"type": "object",
				"required": ["fate", "host", "text"], "properties": {
					"fate": {"enum": ["dropped", "rejected", "lost", "elsewhere", "unknown"]},
					"host": {"type": "string"},
					"text": {"type": "string"},
					"hook": {"type": "string"},
					"table": {"type": "string"},
					"chain": {"type": "string"},
					"index": {"type": "integer", "minimum": 1, "description": "absent: the chain's policy"},
					"source": {"type": "string"},
					"rule": {"type": "string"}
				}}},
			"translated": {"type": "array", "description": "ports at which another host answers", "items": {"type": "object",
				"required": ["from", "to", "service", "host", "port"], "properties": {
					"from": {"type": "integer", "minimum": 0},
					"to": {"type": "integer", "minimum": 0},
					"service": {"type": "string"},
					"host": {"type": "string"},
					"port": {"type": ["integer", "null"]}
				}}},
			"undecided": {"type": "array", "description": "rules that no packet decides: rates, chance, payload, what was blanked",
				"items": {"type": "object", "required": ["table", "chain", "index", "source", "text"], "properties": {
					"table": {"type": "string"},
					"chain": {"type": "string"},
					"index": {"type": "integer", "minimum": 1},
					"source": {"type": "string"},
					"text": {"type": "string"}
				}}},
			"missing": {"type": "array", "description": "one host's rules: what was not captured of them",
				"items": {"type": "object", "required": ["what", "command"], "properties": {
					"what": {"type": "string"},
					"command": {"type": "string", "description": "shows it"}
				}}},
			"unknown": {"type": "array", "description": "families of which no rules are known at this hook, or of which nobody has an address",
				"items": {"enum": ["ip", "ip6"]}}
		},
		"required": ["classes", "edges", "unknown"],
		"$defs": {"edge": {"type": "object", "required": ["from", "to", "ports", "undecided", "sure"], "properties": {
			"from": {"type": "integer", "minimum": 0},
			"to": {"type": "integer", "minimum": 0},
			"protocol": {"type": "string"},
			"ports": {"type": "array", "description": "of those asked for", "items": {"type": "integer"}},
			"undecided": {"type": "array", "description": "those of them that only may get through",
				"items": {"type": "integer"}},
			"loopback": {"type": "array", "description": "those of them that only get through by the host's own loopback interface",
				"items": {"type": "integer"}},
			"sure": {"type": "boolean", "description": "something gets through in any case"},
			"verdict": {"enum": ["allowed", "partly", "blocked", "unknown"]},
			"cause": {"type": ["integer", "null"], "minimum": 0, "description": "which of the causes"}
		}}}
	})},
	{"room", 1, "what a machine has for guests", JSON({
		"properties": {
			"version": {"type": "string", "description": "of nestvisor there"},
			"host": {"type": "string", "description": "a name of the machine that outlasts reboots"},
			"place": {"type": "string", "description": "where it keeps its labs: two that say the same are one"},
			"root": {"type": "boolean", "description": "whether root asked"},
			"cpus": {"type": "integer", "minimum": 0},
			"memory": {"type": "integer", "minimum": 0, "description": "bytes that are free for programs"},
			"paths": {"type": "array", "items": {"type": "object", "required": ["to"], "properties": {
				"to": {"type": "string"},
				"from": {"type": "string", "description": "the address that packets there leave with"},
				"mtu": {"type": "integer", "description": "of the path, as far as the kernel knows it"},
				"problem": {"type": "string"}
			}}}
		},
		"required": ["version", "host", "place", "root", "cpus", "memory", "paths"]
	})},
	{"schemas", 1, "the answers that have a schema", JSON({
		"properties": {
			"schemas": {"type": "array", "items": {"type": "object", "required": ["name", "schema", "summary"], "properties": {
				"name": {"type": "string"},
				"schema": {"type": "string"},
				"summary": {"type": "string"}
			}}}
		},
		"required": ["schemas"]
	})},
	{"status", 1, "what runs of a lab", JSON({
		"properties": {
			"lab": {"type": "string"},
			"host": {"type": "object", "required": ["name", "path", "layer", "accel"], "properties": {
				"name": {"type": "string", "description": "its hostname"},
				"path": {"type": "string", "description": "its place in the lab; empty for L0"},
				"layer": {"type": "integer", "minimum": 0},
				"accel": {"type": ["string", "null"], "description": "kvm or tcg, as a probe boot found"},
				"accel_why": {"type": ["string", "null"]},
				"changed": {"$ref": "#/$defs/changed"}
			}},
			"interrupted": {"type": "string", "description": "what a killed run was doing"},
			"publish_in_force": {"type": "boolean", "description": "whether the way in for published ports is, at this host, as the lab says"},
			"networks": {"type": "array", "items": {"$ref": "#/$defs/network"}},
			"hosts": {"type": "array", "description": "further machines of L0", "items": {"type": "object", "required": ["name", "uri", "changed"], "properties": {
				"name": {"type": "string"},
				"uri": {"type": "string"},
				"address": {"type": ["string", "null"], "description": "for tunnels"},
				"changed": {"$ref": "#/$defs/changed"},
				"problem": {"type": "string", "description": "why it did not answer: its guests are unknown"}
			}}},
			"guests": {"type": "array", "items": {"$ref": "#/$defs/guest"}}
		},
		"required": ["lab", "host", "networks", "guests"],
		"$defs": {
			"changed": {"type": "array", "description": "what, on this host, is not as nestvisor made it; up mends it",
				"items": {"enum": ["namespace", "rules", "networks", "routes", "uplink", "publish", "sysctls"]}},
			"network": {"type": "object", "required": ["name", "path", "host", "subnets", "gateways", "uplink", "mtu"], "properties": {
				"name": {"type": "string"},
				"path": {"type": "string"},
				"host": {"type": "string", "description": "the path of the host that owns it"},
				"subnets": {"type": "array", "items": {"type": "string"}},
				"gateways": {"type": "array", "items": {"type": "string"}},
				"uplink": {"enum": ["nat", "route", "none"]},
				"mtu": {"type": "integer", "minimum": 68}
			}},
			"guest": {"type": "object",
				"required": ["name", "path", "layer", "state", "world", "addresses", "driver", "accel", "guests"],
				"properties": {
					"name": {"type": "string"},
					"path": {"type": "string"},
					"layer": {"type": "integer", "minimum": 1},
					"state": {"enum": ["absent", "starting", "running", "dead", "unknown"]},
					"world": {"enum": ["open", "cut", "sealed"]},
					"changed": {"$ref": "#/$defs/changed"},
					"not_in_force": {"type": "string", "description": "a host where that is not, or not known to be, in force"},
					"addresses": {"type": "array", "items": {"type": "string"}},
					"driver": {"type": "string"},
					"host": {"type": "string", "description": "of guests of L0, in a lab with several hosts: which one runs it, L0 being this machine"},
					"accel": {"type": ["string", "null"]},
					"pid": {"type": "integer", "description": "of its machine's process, in its host's numbering"},
					"since": {"type": "integer", "description": "seconds since the epoch when it was started"},
					"note": {"type": "string"},
					"drift": {"type": "object", "description": "of a guest that libvirt defines for nestvisor, where somebody else has changed it",
						"required": ["changes", "of_machine"], "properties": {
							"changes": {"type": "array", "items": {"type": "string"}, "description": "in libvirt's words"},
							"of_machine": {"type": "boolean", "description": "of the machine that runs, too: only starting it anew undoes it"},
							"unknown": {"type": "string", "description": "why it could not be found out"}
						}},
					"publish": {"type": "array", "description": "its ports that are reached at L0", "items": {
						"type": "object", "required": ["address", "as", "port", "protocol"], "properties": {
							"address": {"type": "string", "description": "at L0"},
							"as": {"type": "integer", "description": "the port at L0"},
							"port": {"type": "integer", "description": "of the guest"},
							"protocol": {"enum": ["tcp", "udp"]}
						}}},
					"guests": {"type": "array", "items": {"$ref": "#/$defs/guest"}}
				}}
		}
	})},
	{"up", 1, "what up did", JSON({
		"properties": {
			"lab": {"type": "string"},
			"changes": {"type": "array", "items": {"type": "object", "required": ["do", "what", "path", "why"], "properties": {
				"do": {"enum": ["create", "change", "remove", "restart"]},
				"what": {"type": "string"},
				"path": {"type": "string"},
				"host": {"type": "string", "description": "as in plan"},
				"why": {"type": "string"},
				"overwrites": {"type": "boolean", "description": "true: what somebody else has changed would be lost; up wants --overwrite"}
			}}},
			"seconds": {"type": "number"}
		},
		"required": ["lab", "changes", "seconds"]
	})},
	{"validate", 1, "what is wrong with a lab file, and what it holds", JSON({
		"properties": {
			"file": {"type": "string"},
			"valid": {"type": "boolean"},
			"errors": {"type": "integer", "minimum": 0},
			"warnings": {"type": "integer", "minimum": 0},
			"problems": {"type": "array", "items": {"$ref": "#/$defs/problem"}},
			"lab": {"type": ["string", "null"]},
			"guests": {"type": "integer", "minimum": 0},
			"networks": {"type": "integer", "minimum": 0},
			"policies": {"type": "integer", "minimum": 0},
			"layers": {"type": "integer", "minimum": 1}
		},
		"required": ["file", "valid", "errors", "warnings", "problems", "lab"],
		"$defs": {"problem": {"type": "object", "required": ["severity", "message"], "properties": {
			"severity": {"enum": ["error", "warning"]},
			"file": {"type": "string"},
			"line": {"type": "integer", "minimum": 0},
			"column": {"type": "integer", "minimum": 0},
			"message": {"type": "string"},
			"hint": {"type": ["string", "null"]}
		}}}
	})},
	{"version", 1, "what this program is", JSON({
		"properties": {
			"version": {"type": "string"},
			"libraries": {"type": "object", "description": "names and versions of those it runs with"}
		},
		"required": ["version", "libraries"]
	})},
	{"wsl", 1, "what is wrong with WSL's files, or what was written to them", JSON({
		"properties": {
			"files": {"type": "object", "description": "the files that were looked at", "required": ["wslconfig", "wslconf"], "properties": {
				"wslconfig": {"type": ["string", "null"]},
				"wslconf": {"type": ["string", "null"]}
			}},
			"checks": {"type": "array", "description": "check: what was found, in the form of doctor's checks", "items": {"type": "object",
				"required": ["id", "result", "severity", "why", "evidence", "remedy"], "properties": {
					"id": {"type": "string"},
					"result": {"enum": ["pass", "warn", "unknown", "fail"]},
					"severity": {"enum": ["note", "advice", "required"]},
					"why": {"type": "string"},
					"evidence": {"type": ["string", "null"]},
					"remedy": {"type": "array", "items": {"type": "string"}}
				}}},
			"difference": {"type": "string", "description": "apply, apply --undo: unified; empty: nothing to do"},
			"notes": {"type": "array", "description": "apply: what deserves to be known of it", "items": {"type": "string"}},
			"changed": {"type": "boolean", "description": "apply: was anything written?"},
			"undone": {"type": "integer", "minimum": 0, "description": "apply --undo: how many changes were taken back"},
			"then": {"type": ["string", "null"], "description": "apply: what has to be done for it to count"}
		},
		"required": []
	})},
	{NULL, 0, NULL, NULL},
};
/* clang-format on */

const struct schema *schema_table(void)
{
	return schemas;
}

const struct schema *schema_find(const char *name)
{
	for (const struct schema *s = schemas; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

const char *schema_tag(const struct schema *schema, char ret[SCHEMA_TAG_SIZE])
{
	snprintf(ret, SCHEMA_TAG_SIZE, "nestvisor/%s/%u", schema->name, schema->version);
	return ret;
}

json_t *schema_document(const struct schema *schema)
{
	cleanup_json json_t *body = json_loads(schema->text, 0, NULL);
	char tag[SCHEMA_TAG_SIZE];
	json_t *properties, *required;

	if (!body)
		abort(); /* the table is checked by a test */
	schema_tag(schema, tag);
	properties = json_pack("{s:{s:s}}", "schema", "const", tag);
	json_object_update(properties, json_object_get(body, "properties"));
	required = json_pack("[s]", "schema");
	json_array_extend(required, json_object_get(body, "required"));
	json_object_set_new(body, "properties", properties);
	json_object_set_new(body, "required", required);
	properties = json_pack("{s:s, s:s, s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
			       "title", tag, "description", schema->summary, "type", "object");
	json_object_update(properties, body);
	return properties;
}
