/* Published ports: the part of the namespace's rules that sends them on (rules.h). Pure. */
#ifndef NESTVISOR_NET_PUBLISH_H
#define NESTVISOR_NET_PUBLISH_H

#include "base/strbuf.h"

struct lab;

/* Maps and chains of the table inet nestvisor, for what comes in by NET_ADMIN. */
void publish_format_inside(const struct lab *lab, struct strbuf *out);

#endif
