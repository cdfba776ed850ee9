#include "facts/facts.h"

#include "facts/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *origin_format(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE])
{
	const char *source = origin->source ? origin->source : "";

	if (origin->line)
		snprintf(ret, ORIGIN_TEXT_SIZE, "%.3900s:%" PRIu32, source, origin->line);
	else if (origin->item)
		snprintf(ret, ORIGIN_TEXT_SIZE, "%.3900s#%" PRIu32, source, origin->item);
	else
		snprintf(ret, ORIGIN_TEXT_SIZE, "%.3900s", source);
	return ret;
}

bool facts_is_called(const struct facts *facts, const char *word)
{
	return strcasecmp(facts->name, word) == 0 || (facts->alias && strcasecmp(facts->alias, word) == 0);
}

struct link *facts_link(const struct facts *facts, const char *name)
{
	size_t at;

	if (names_fit(facts->link_names, facts->link_count))
		return names_find(facts->link_names, name, &at) ? &facts->links[at] : NULL;
	for (size_t i = 0; i < facts->link_count; i++)
		if (strcmp(facts->links[i].name, name) == 0)
			return &facts->links[i];
	return NULL;
}

struct link *facts_link_with_mac(const struct facts *facts, const struct mac *mac)
{
	for (size_t i = 0; mac->known && i < facts->link_count; i++)
		if (facts->links[i].mac.known && memcmp(facts->links[i].mac.bytes, mac->bytes, 6) == 0)
			return &facts->links[i];
	return NULL;
}

static int compare_sysctl(const void *key, const void *entry)
{
	return strcmp(key, ((const struct sysctl *)entry)->name);
}

const struct sysctl *facts_sysctl_entry(const struct facts *facts, const char *name)
{
	if (facts->sysctl_count == 0)
		return NULL;
	return bsearch(name, facts->sysctls, facts->sysctl_count, sizeof(*facts->sysctls), compare_sysctl);
}

enum truth facts_connections_known(const struct facts *facts)
{
	return facts->connections4_known == facts->connections6_known ? facts->connections4_known : TRUTH_NO;
}

const char *facts_sysctl(const struct facts *facts, const char *name)
{
	const struct sysctl *entry = facts_sysctl_entry(facts, name);

	return entry ? entry->value : NULL;
}

static int compare_text(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

bool facts_sysctl_absent(const struct facts *facts, const char *name)
{
	if (facts->sysctls_known == TRUTH_YES)
		return !facts_sysctl_entry(facts, name);
	return facts->sysctls_absent_count > 0 && bsearch(name, facts->sysctls_absent, facts->sysctls_absent_count,
							  sizeof(*facts->sysctls_absent), compare_text);
}

static int compare_attribute(const void *key, const void *entry)
{
	return strcmp(key, ((const struct attribute *)entry)->path);
}

const struct attribute *facts_attribute_entry(const struct facts *facts, const char *path)
{
	if (facts->attribute_count == 0)
		return NULL;
	return bsearch(path, facts->attributes, facts->attribute_count, sizeof(*facts->attributes), compare_attribute);
}

const char *facts_attribute(const struct facts *facts, const char *path)
{
	const struct attribute *entry = facts_attribute_entry(facts, path);

	return entry ? entry->value : NULL;
}

static int compare_node(const void *key, const void *entry)
{
	return strcmp(key, ((const struct node *)entry)->path);
}

const struct node *facts_node(const struct facts *facts, const char *path)
{
	if (facts->node_count == 0)
		return NULL;
	return bsearch(path, facts->nodes, facts->node_count, sizeof(*facts->nodes), compare_node);
}

const struct program *facts_program(const struct facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->program_count; i++)
		if (strcmp(facts->programs[i].name, name) == 0)
			return &facts->programs[i];
	return NULL;
}

bool facts_routes_known(const struct facts *facts, uint8_t family, const char *table)
{
	for (size_t i = 0; i < facts->route_coverage_count; i++) {
		const struct route_coverage *coverage = &facts->route_coverage[i];

		if (coverage->family == family && (!coverage->table || strcmp(coverage->table, table) == 0))
			return true;
	}
	return false;
}

static const struct setting *find_setting(const struct setting *settings, size_t count, const char *section,
					  const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (!settings[i].ignored && strcasecmp(settings[i].section, section) == 0 &&
		    strcasecmp(settings[i].key, key) == 0)
			return &settings[i];
	return NULL;
}

const struct setting *facts_wslconfig(const struct facts *facts, const char *section, const char *key)
{
	return find_setting(facts->wslconfig, facts->wslconfig_count, section, key);
}

const struct setting *facts_wslconf(const struct facts *facts, const char *section, const char *key)
{
	return find_setting(facts->wslconf, facts->wslconf_count, section, key);
}
