/* Loading the lab file that a command was given, with everything a user should hear about it. */
#ifndef NESTVISOR_CLI_LABFILE_H
#define NESTVISOR_CLI_LABFILE_H

#include "cli/command.h"
#include "model/lab.h"

/*
 * Loads `path` ("-": standard input), or the one *.nest.yaml of the current folder where it is NULL, and prints its
 * problems on standard error. `host`: also check it against this machine (CPUs, memory, routes). Returns EXIT_DONE and
 * the lab, or the exit status to return.
 */
int labfile_load(struct invocation *inv, const char *path, bool host, struct lab **ret);

#endif
