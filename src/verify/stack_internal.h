/* The parts that stack_new() is made of. Within verify/ only. */
#ifndef NESTVISOR_VERIFY_STACK_INTERNAL_H
#define NESTVISOR_VERIFY_STACK_INTERNAL_H

#include "verify/stack.h"

void stack_build_rules(struct stack_host *host);   /* tables, sets, base chains; needs the links */
void stack_build_routing(struct stack_host *host); /* needs the links */
void stack_build_cables(struct stack *stack);	   /* needs the links of all hosts */

#endif
