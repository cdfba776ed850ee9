/* What is installed on a machine, who is on it and may open what, and what its logs say. */
#include "facts/parse.h"

#include <string.h>

static const char *type_of(char c)
{
	switch (c) {
	case '-':
		return "file";
	case 'd':
		return "folder";
	case 'c':
		return "character device";
	case 'b':
		return "block device";
	case 'l':
		return "link";
	case 's':
		return "socket";
	case 'p':
		return "pipe";
	default:
		return NULL;
	}
}

/* "rw-rw----", with s, S, t and T for the bits that stand in x's place; behind it may be + or a dot. */
static bool read_mode(struct span text, struct number *ret)
{
	static const char letters[] = "rwxrwxrwx";
	uint64_t mode = 0;

	if (text.length < 9)
		return false;
	for (size_t i = 0; i < 9; i++) {
		char c = text.at[i];
		uint64_t bit = (uint64_t)1 << (8 - i), special = (uint64_t)04000 >> i / 3;

		if (c == letters[i] || c == 's' || c == 't')
			mode |= bit;
		else if (c != '-' && c != 'S' && c != 'T')
			return false;
		if (c == 's' || c == 'S' || c == 't' || c == 'T') {
			if (i % 3 != 2)
				return false;
			mode |= special;
		}
	}
	*ret = number_of(mode);
	return true;
}

static struct node *add_node(struct reader *reader, struct span path, enum truth exists)
{
	struct node *node = reader_push(reader, reader->facts->nodes, reader->facts->node_count);

	*node = (struct node){.path = reader_intern(reader, path), .exists = exists, .origin = reader_origin(reader)};
	reader->capture->items++;
	return node;
}

/* "ls: cannot access '/dev/kvm': No such file or directory", of busybox "ls: /dev/kvm: No such file or directory". A
 * pattern that matched nothing tells of no file. */
static void take_absent(struct reader *reader, struct span line)
{
	size_t start = span_find_char(line, '/'), end = span_find(line, ": No such file");
	struct span path;

	if (start == SIZE_MAX || end == SIZE_MAX || end < start)
		return;
	path = span_skip(span_first(line, end), start);
	if (span_ends(path, "'"))
		path.length--;
	if (path.length > 0 && span_find_char(path, '*') == SIZE_MAX && span_find_char(path, '[') == SIZE_MAX)
		add_node(reader, path, TRUTH_NO);
}

/* "crw-rw----+ 1 root kvm 10, 232 Nov 21 09:12 /dev/kvm" of ls -l with whole paths. */
void parse_modes(struct reader *reader, const struct asked *asked)
{
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, mode, links, owner, group, path;
		struct number bits;
		struct node *node;
		size_t at;

		if (line.length == 0 || span_starts(line, "total "))
			continue;
		if (span_starts(line, "ls: ")) {
			take_absent(reader, line);
			continue;
		}
		at = span_find(line, " /");
		if (!span_word(&rest, &mode) || !type_of(mode.at[0]) || !read_mode(span_skip(mode, 1), &bits) ||
		    !span_word(&rest, &links) || !span_word(&rest, &owner) || !span_word(&rest, &group) ||
		    at == SIZE_MAX) {
			reader_ignored(reader, line);
			continue;
		}
		path = span_skip(line, at + 1);
		at = mode.at[0] == 'l' ? span_find(path, " -> ") : SIZE_MAX;
		node = add_node(reader, span_first(path, at), TRUTH_YES);
		node->type = type_of(mode.at[0]);
		node->mode = bits;
		node->owner = reader_intern(reader, owner);
		node->group = reader_intern(reader, group);
		if (at != SIZE_MAX)
			node->target = reader_intern(reader, span_skip(path, at + strlen(" -> ")));
	}
}

/* "27(sudo)": the name, or the number where there is none. */
static struct span name_of(struct span text)
{
	size_t open = span_find_char(text, '(');

	if (open == SIZE_MAX)
		return text;
	text = span_skip(text, open + 1);
	return span_first(text, span_find_char(text, ')'));
}

/* "uid=1000(alice) gid=1000(alice) groups=1000(alice),27(sudo),104(kvm)": id(1) */
void parse_id(struct reader *reader, const struct asked *asked)
{
	struct caller *caller = &reader->facts->caller;
	struct span line, word;

	while (reader_line(reader, &line)) {
		struct span rest = line;

		while (span_word(&rest, &word)) {
			struct span value = word, key = span_cut(&value, '=');

			if (span_is(key, "uid")) {
				caller->user = reader_intern(reader, name_of(value));
				caller->id = span_to_number(span_first(value, span_find_char(value, '(')));
				caller->origin = reader_origin(reader);
				reader->capture->items++;
			}
			while (span_is(key, "groups") && value.length > 0)
				texts_push(reader->pool->arena, &caller->groups, &caller->group_count,
					   reader_intern(reader, name_of(span_cut(&value, ','))));
		}
	}
}

/* "qemu-system-x86 1:7.2+dfsg-7+deb12u7": dpkg-query -W, rpm -q --qf, pacman -Q */
void parse_packages(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	struct span line, name, version;

	facts->packages_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		struct span rest = line;

		if (line.length == 0)
			continue;
		if (!span_word(&rest, &name) || !span_word(&rest, &version)) {
			reader_ignored(reader, line);
			continue;
		}
		*reader_push(reader, facts->packages, facts->package_count) = (struct package){
			reader_intern(reader, name), reader_intern(reader, version), reader_origin(reader)};
		reader->capture->items++;
	}
}

static struct program *find_program(struct reader *reader, const char *name)
{
	struct facts *facts = reader->facts;
	struct program *program;

	for (size_t i = 0; i < facts->program_count; i++)
		if (strcmp(facts->programs[i].name, name) == 0)
			return &facts->programs[i];
	program = reader_push(reader, facts->programs, facts->program_count);
	*program = (struct program){.name = name};
	return program;
}

/* "/usr/bin/virsh" of command -v or which; "swtpm: not found" */
void parse_programs(struct reader *reader, const struct asked *asked)
{
	struct span line, name;
	struct program *program;

	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		name = line;
		if (span_ends(line, ": not found"))
			name.length -= strlen(": not found");
		for (size_t slash; (slash = span_find_char(name, '/')) != SIZE_MAX;)
			name = span_skip(name, slash + 1);
		program = find_program(reader, reader_intern(reader, name));
		program->origin = reader_origin(reader);
		truth_set(&program->installed, truth_of(!span_ends(line, ": not found")));
		if (line.at[0] == '/')
			program->path = reader_intern(reader, line);
		reader->capture->items++;
	}
}

/* The first line of "qemu-system-x86_64 --version" and the like. */
void parse_version(struct reader *reader, const struct asked *asked)
{
	struct program *program;
	struct span line;

	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		program = find_program(reader, asked->subject);
		text_set(&program->version, reader_intern(reader, line));
		program->installed = TRUTH_YES;
		program->origin = reader_origin(reader);
		reader->capture->items++;
		break;
	}
	reader->at = reader->end;
}

/* dmesg, journalctl -k; and tail of several files, with "==> PATH <==" before each. */
void parse_log(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	const char *log = asked->subject ? asked->subject : "dmesg";
	struct span line;

	facts->logs_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		if (span_starts(line, "==> ") && span_ends(line, " <==")) {
			log = reader_intern(reader,
					    span_skip(span_first(line, line.length - strlen(" <==")), strlen("==> ")));
			continue;
		}
		*reader_push(reader, facts->log_lines, facts->log_line_count) =
			(struct log_line){log, reader_intern(reader, line), reader_origin(reader)};
		reader->capture->items++;
	}
}

/* "networking-mode: mirrored": what wslinfo(1) says, with its option before it. */
void parse_wslinfo(struct reader *reader, const struct asked *asked)
{
	struct wsl *wsl = &reader->facts->wsl;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span value = line, key = span_cut(&value, ':');

		value = span_trim(value);
		if (span_is(key, "networking-mode"))
			wsl->networking_mode = reader_intern(reader, value);
		else if (span_is(key, "wsl-version"))
			wsl->version = reader_intern(reader, value);
		else
			continue;
		wsl->origin = reader_origin(reader);
		reader->capture->items++;
	}
}
