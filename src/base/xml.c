#include "base/xml.h"

#include "base/arena.h"
#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libxml/parser.h: XML_PARSE_NOERROR, _NOWARNING, _NONET. Entities are not substituted and DTDs not loaded unasked. */
enum { XML_QUIET = 32 | 64, XML_NO_NETWORK = 2048 };

/* libxml/parser.h, libxml/tree.h, libxml/xpath.h; the structs stay closed. */
static struct {
	void *(*read_memory)(const char *buffer, int size, const char *url, const char *encoding, int options);
	void (*free_document)(void *document);
	void *(*new_context)(void *document);
	void (*free_context)(void *context);
	void *(*evaluate)(const unsigned char *xpath, void *context);
	void (*free_object)(void *object);
	unsigned char *(*to_string)(void *object);
	double (*to_number)(void *object);
	int (*to_boolean)(void *object);
	bool there;
} library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* xmlFree is a variable: a pointer to the function that frees what the library allocated. */
static void (**free_string)(void *);

static void load(void)
{
	const struct {
		const char *name;
		void **place;
	} symbols[] = {{"xmlReadMemory", (void **)&library.read_memory},
		       {"xmlFreeDoc", (void **)&library.free_document},
		       {"xmlXPathNewContext", (void **)&library.new_context},
		       {"xmlXPathFreeContext", (void **)&library.free_context},
		       {"xmlXPathEvalExpression", (void **)&library.evaluate},
		       {"xmlXPathFreeObject", (void **)&library.free_object},
		       {"xmlXPathCastToString", (void **)&library.to_string},
		       {"xmlXPathCastToNumber", (void **)&library.to_number},
		       {"xmlXPathCastToBoolean", (void **)&library.to_boolean},
		       {"xmlFree", (void **)&free_string}};
	static const char *const names[] = {"libxml2.so.2", "libxml2.so.16"};
	void *handle = NULL;

	for (size_t i = 0; !handle && i < sizeof(names) / sizeof(*names); i++)
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; handle && i < sizeof(symbols) / sizeof(*symbols); i++) {
		*symbols[i].place = dlsym(handle, symbols[i].name);
		if (!*symbols[i].place)
			return;
	}
	library.there = handle != NULL;
}

bool xml_available(void)
{
	pthread_once(&once, load);
	return library.there;
}

struct xml {
	void *document, *context;
};

int xml_open(const char *text, size_t length, struct xml **ret, struct error **err)
{
	void *document;

	if (!xml_available()) {
		error_set(err, ENOTSUP, "XML cannot be read: libxml2 is not installed");
		error_hint(err, "apt-get install libxml2");
		return -ENOTSUP;
	}
	document = length <= INT_MAX
			   ? library.read_memory(text, (int)length, "domain.xml", NULL, XML_QUIET | XML_NO_NETWORK)
			   : NULL;
	if (!document)
		return error_set(err, EINVAL, "this is not well-formed XML");
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		abort();
	(*ret)->document = document;
	(*ret)->context = library.new_context(document);
	if (!(*ret)->context)
		abort();
	return 0;
}

void xml_close(struct xml *xml)
{
	if (!xml)
		return;
	library.free_context(xml->context);
	library.free_document(xml->document);
	free(xml);
}

static void *evaluate(struct xml *xml, const char *format, va_list args)
{
	char *xpath = NULL;
	void *object;

	if (vasprintf(&xpath, format, args) < 0)
		abort();
	object = library.evaluate((const unsigned char *)xpath, xml->context);
	free(xpath);
	if (!object)
		abort();
	return object;
}

const char *xml_text(struct xml *xml, struct arena *arena, const char *xpath, ...)
{
	unsigned char *text;
	const char *kept;
	void *object;
	va_list args;

	va_start(args, xpath);
	object = evaluate(xml, xpath, args);
	va_end(args);
	text = library.to_string(object);
	kept = arena_strdup(arena, text ? (const char *)text : "");
	(*free_string)(text);
	library.free_object(object);
	return kept;
}

size_t xml_count(struct xml *xml, const char *xpath, ...)
{
	void *object;
	va_list args;
	double number;

	va_start(args, xpath);
	object = evaluate(xml, xpath, args);
	va_end(args);
	number = library.to_number(object);
	library.free_object(object);
	return number > 0 ? (size_t)number : 0;
}

bool xml_has(struct xml *xml, const char *xpath, ...)
{
	void *object;
	va_list args;
	bool has;

	va_start(args, xpath);
	object = evaluate(xml, xpath, args);
	va_end(args);
	has = library.to_boolean(object) == 1;
	library.free_object(object);
	return has;
}
