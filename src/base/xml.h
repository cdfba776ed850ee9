/*
 * Questions to XML, in XPath: to libvirt's, and to that of Windows' images. libxml2 is loaded when the first document
 * is opened and not before: a hypervisor guest of nestvisor's own has no libvirt, and its image carries no libxml2 (2
 * MB, and 36 MB with the ICU that Debian links it to). Only functions with plain arguments are used, whose binary
 * interface has not changed since libxml2 2.0. Nothing is loaded from outside the document: no network, no DTD, no
 * entities.
 */
#ifndef NESTVISOR_BASE_XML_H
#define NESTVISOR_BASE_XML_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct error;
struct xml;

/* Whether there is a libxml2 at all. */
bool xml_available(void);

/* -ENOTSUP where there is no libxml2, -EINVAL with the parser's words where the text is no XML. */
int xml_open(const char *text, size_t length, struct xml **ret, struct error **err);
void xml_close(struct xml *xml); /* NULL is fine */

static inline void xml_closep(struct xml **xml)
{
	xml_close(*xml);
}
#define cleanup_xml __attribute__((cleanup(xml_closep)))

/* What an XPath expression of ours gives, as XPath's string(), number() and boolean() do: of a set of nodes the text of
 * its first, "" where it is empty. A wrong expression is a bug and aborts. */
const char *xml_text(struct xml *xml, struct arena *arena, const char *xpath, ...)
	__attribute__((format(printf, 3, 4)));
/* Of "count(…)". */
size_t xml_count(struct xml *xml, const char *xpath, ...) __attribute__((format(printf, 2, 3)));
bool xml_has(struct xml *xml, const char *xpath, ...) __attribute__((format(printf, 2, 3)));

#endif
