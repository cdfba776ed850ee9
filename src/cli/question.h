/* One question about a packet, as the commands that prove take it from their options: path, why, fix. */
#ifndef NESTVISOR_CLI_QUESTION_H
#define NESTVISOR_CLI_QUESTION_H

#include "cli/command.h"
#include "cli/hosts.h"
#include "verify/walk.h"

struct asked {
	struct question question;
	struct stack_host *target; /* the host that is meant by --to; NULL: the world, or whoever has the address */
};

/* What the two ends may be called: the last paragraph of such a command's description. */
#define QUESTION_ENDS                                                                                                  \
	"An end is a host, an address, or world. Without a lab this machine is called by its own name, or L0. With a " \
	"lab L0 is the lab's own network on this machine, where `nestvisor exec L0` runs, and L0-root the machine "    \
	"itself; a guest is called by its path, and hv1-lab-NAME is the lab's network on the guest hv1. world is "     \
	"anybody on the internet: what comes from there comes in where the outermost host has its default route, "     \
	"and it cannot be sent to a private address: `fix` then passes a port on at the host where it comes in."

/* The options such a command lists among its own. */
#define QUESTION_OPTIONS                                                                                               \
	{.name = "from",                                                                                               \
	 .kind = OPTION_STRING,                                                                                        \
	 .argument = "END",                                                                                            \
	 .help = "who sends it: a host, an address, or world (anybody on the internet)",                               \
	 .complete = COMPLETE_HOST,                                                                                    \
	 .no_env = true},                                                                                              \
		{.name = "to",                                                                                         \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "END",                                                                                    \
		 .help = "where it goes: a host, an address, or world (somewhere on the internet)",                    \
		 .complete = COMPLETE_HOST,                                                                            \
		 .no_env = true},                                                                                      \
		{.name = "port",                                                                                       \
		 .letter = 'p',                                                                                        \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "PORT[/PROTO]",                                                                           \
		 .help = "the port it goes to, or its name: 22, ssh, 53/udp; any if left out",                         \
		 .no_env = true},                                                                                      \
		{.name = "src-port",                                                                                   \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "PORT",                                                                                   \
		 .help = "the port it comes from; any that hosts choose if left out",                                  \
		 .no_env = true},                                                                                      \
		{.name = "proto",                                                                                      \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "PROTO",                                                                                  \
		 .help = "tcp, udp, icmp, a number; tcp where there is a port, else a ping",                           \
		 .no_env = true},                                                                                      \
		{.name = "icmp",                                                                                       \
		 .kind = OPTION_INTEGER,                                                                               \
		 .argument = "TYPE",                                                                                   \
		 .help = "the type of an ICMP packet",                                                                 \
		 .minimum = 0,                                                                                         \
		 .maximum = 255,                                                                                       \
		 .no_env = true},                                                                                      \
		{.name = "state",                                                                                      \
		 .kind = OPTION_CHOICE,                                                                                \
		 .help = "what it is to connection tracking",                                                          \
		 .choices = (const char *const[]){"new", "established", "invalid", NULL},                              \
		 .fallback = "new",                                                                                    \
		 .no_env = true},                                                                                      \
		{.name = "src",                                                                                        \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "ADDRESS",                                                                                \
		 .help = "the address it is sent from, also a forged one",                                             \
		 .no_env = true},                                                                                      \
		{.name = "iif",                                                                                        \
		 .kind = OPTION_STRING,                                                                                \
		 .argument = "INTERFACE",                                                                              \
		 .help = "it arrives at the host --from by this interface, with the address --src",                    \
		 .no_env = true},                                                                                      \
	{                                                                                                              \
		.name = "ipv6", .letter = '6', .help = "over IPv6, where no address says which"                        \
	}

/* Were --from and --to given? EXIT_DONE, or the usage error's status with the reason printed. */
int question_check(struct invocation *inv);
/*
 * EXIT_DONE, or the status to return with what is wrong and what would be right printed: EXIT_UNKNOWN where an end is
 * one of the hosts that did not answer. `hosts`: those who were asked, if any.
 */
int question_read(struct invocation *inv, const struct hosts *hosts, const struct stack *stack, struct asked *ret);

/*
 * A packet from the internet to a private address is sent to the address that it can be sent to instead, that of the
 * host where it comes in; *ret_inner is the private one, or has no family where it is no such packet. -EINVAL: nobody
 * has the private address, or no address can be sent to.
 */
int question_publish(struct asked *asked, struct ip *ret_inner, struct error **err);

/* 0 delivered, 1 not, 4 unknown */
int question_status(enum fate fate);

#endif
