/*
 * Whether the kernel and its standard tools say the same of the network of this namespace: facts are collected live,
 * and captured with ip(8), nft(8) and the like, as text and as JSON, and compared member by member.
 *
 * Not compared are: where a fact comes from; counters and lifetimes, which run; and what only one side can know.
 */
#ifndef NESTVISOR_TESTS_FACTS_AGREE_H
#define NESTVISOR_TESTS_FACTS_AGREE_H

#include <stdbool.h>

/* Fails the test with the members that differ, what each side says, and what moved meanwhile. */
void assert_captures_agree(void);

bool have(const char *program); /* in PATH */

#endif
