/*
 * Answers for Windows Setup, and the CD with them. xmllint says whether the XML is well-formed and what it means,
 * libarchive (bsdtar or cmake) what is on the CD. NESTVISOR_GOLDEN=write writes the golden files anew.
 */
#include "facts_check.h"

#include "base/process.h"
#include "image/iso.h"
#include "image/unattend.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 2048 };

static char folder[] = "/tmp/nestvisor-test-unattend.XXXXXX";

static const struct unattend windows_11 = {
	.version = WINDOWS_11,
	.edition = "Windows 11 Pro",
	.language = "en-US",
	.time_zone = "UTC",
	.computer_name = "win11",
	.user = "nestvisor",
	.password = "secret",
};
static const struct unattend server = {
	.version = WINDOWS_SERVER,
	.edition = "Windows Server 2022 <\"R&D\">",
	.language = "de-DE",
	.keyboard = "sr-Latn-RS",
	.time_zone = "W. Europe Standard Time",
	.computer_name = "0-srv",
	.user = "Jörg O'Neil & Co",
	.password = " ]]>&amp;<'\"%PATH% ",
	.product_key = "AAAAA-BBBBB-CCCCC-DDDDD-12345",
};

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return dir_remove(folder, NULL);
}

static void in_folder(char ret[static 100], const char *name)
{
	snprintf(ret, 100, "%s/%s", folder, name);
}

static bool installed(const char *program)
{
	cleanup_free char *path = NULL;

	return process_find(program, NULL, &path, NULL) == 0;
}

static char *write_answers(const struct unattend *answers)
{
	struct strbuf xml = {0};

	assert_int_equal(unattend_write(answers, &xml, NULL), 0);
	return xml.text;
}

static void check_answers(const char *below, const struct unattend *answers)
{
	cleanup_free char *xml = write_answers(answers), *path = source_path(below);

	check_golden(path, xml);
}

static void test_golden(void **state)
{
	check_answers("tests/golden/image/windows-11.xml", &windows_11);
	check_answers("tests/golden/image/windows-server.xml", &server);
}

/* What xmllint reads at a place, without the newline that it adds. */
static void check_meaning(const char *xml, const char *xpath, const char *wanted)
{
	const char *const argv[] = {"xmllint", "--nonet", "--xpath", xpath, "-", NULL};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};

	assert_int_equal(process_run(&spec, xml, strlen(xml), 10000, NULL, &output, NULL), 0);
	if (output.status != 0)
		fail_msg("%s: %s", xpath, output.err);
	assert_true(output.out_length > 0);
	output.out[output.out_length - 1] = '\0';
	assert_string_equal(output.out, wanted);
}

static void test_escaping(void **state)
{
	cleanup_free char *xml = write_answers(&server);

	if (!installed("xmllint")) {
		print_message("skipped: xmllint is not installed\n");
		skip();
	}
	check_meaning(xml, "string(//*[local-name()='LocalAccount']/*/*[local-name()='Value'])", server.password);
	check_meaning(xml, "string(//*[local-name()='AutoLogon']/*/*[local-name()='Value'])", server.password);
	check_meaning(xml, "string(//*[local-name()='LocalAccount']/*[local-name()='Name'])", server.user);
	check_meaning(xml, "string(//*[local-name()='MetaData']/*[local-name()='Value'])", server.edition);
	check_meaning(xml, "string(//*[local-name()='ProductKey']/*[local-name()='Key'])", server.product_key);
	check_meaning(xml, "string(//*[@*[local-name()='keyValue']='15']/*)", "H:\\viostor\\2k22\\amd64");
	check_meaning(xml, "count(//*[namespace-uri()!='urn:schemas-microsoft-com:unattend'])", "0");
}

/* Whether xmllint finds it as Microsoft's reference has it (tests/data/unattend.rng). */
static bool is_documented(const char *xml)
{
	cleanup_free char *schema = source_path("tests/data/unattend.rng");
	const char *const argv[] = {"xmllint", "--nonet", "--noout", "--relaxng", schema, "-", NULL};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};

	assert_int_equal(process_run(&spec, xml, strlen(xml), 10000, NULL, &output, NULL), 0);
	if (output.status != 0 && output.status != 3) /* 3: it does not validate */
		fail_msg("xmllint ended with %d: %s", output.status, output.err);
	return output.status == 0;
}

/* The same answers with one thing in them another. */
static void check_undocumented(const char *what, const char *instead)
{
	cleanup_free char *xml = write_answers(&windows_11);
	cleanup_strbuf struct strbuf changed = {0};
	const char *at = strstr(xml, what);

	if (!at)
		fail_msg("there is no %s", what);
	strbuf_add_bytes(&changed, xml, (size_t)(at - xml));
	strbuf_add(&changed, instead);
	strbuf_add(&changed, at + strlen(what));
	if (is_documented(changed.text))
		fail_msg("%s was taken for %s", instead, what);
}

/* By a second program: each setting is one that there is, in the reference's order, and has a value that it takes. */
static void test_documented(void **state)
{
	static const struct unattend *const all[] = {&windows_11, &server};

	if (!installed("xmllint")) {
		print_message("skipped: xmllint is not installed\n");
		skip();
	}
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *xml = write_answers(all[i]);

		assert_true(is_documented(xml));
	}
	check_undocumented("<DiskID>0</DiskID>", "<DiskNumber>0</DiskNumber>");
	check_undocumented("<Type>MSR</Type>", "<Type>Reserved</Type>");
	check_undocumented("<WillWipeDisk>true</WillWipeDisk>", "<WillWipeDisk>yes</WillWipeDisk>");
	check_undocumented("<ProtectYourPC>3</ProtectYourPC>", "<ProtectYourPC>4</ProtectYourPC>");
	check_undocumented("pass=\"specialize\"", "pass=\"specialise\"");
	check_undocumented("<component name=\"Microsoft-Windows-Setup\"",
			   "<component name=\"Microsoft-Windows-SetUp\"");
	check_undocumented("<LogonCount>1</LogonCount>", "<LogonCount>once</LogonCount>");
	check_undocumented("<Enabled>true</Enabled>", "<Zeal>true</Zeal>");
	check_undocumented("<UILanguage>en-US</UILanguage>\n      <UserLocale>en-US</UserLocale>",
			   "<UserLocale>en-US</UserLocale>\n      <UILanguage>en-US</UILanguage>");
	check_undocumented("wcm:action=\"add\"", "wcm:action=\"make\"");
}

/* The value of the attribute at the beginning of a line. */
static void attribute(const char *line, const char *before, char ret[static 200])
{
	size_t length = strcspn(line + strlen(before), "\"");

	assert_true(length < 200);
	snprintf(ret, 200, "%.*s", (int)length, line + strlen(before));
}

/* Passes as Setup goes through them; components, and the settings of each, by the alphabet. */
static void test_order(void **state)
{
	static const char *const passes[] = {"windowsPE", "specialize", "oobeSystem"};
	static const char pass[] = "  <settings pass=\"", component[] = "    <component name=\"", setting[] = "      <";
	cleanup_free char *xml = write_answers(&server);
	char name[200], last_component[200] = "", last_setting[200] = "", *save = NULL;
	size_t count = 0, settings = 0;

	for (char *line = strtok_r(xml, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, pass, strlen(pass)) == 0) {
			attribute(line, pass, name);
			assert_true(count < 3);
			assert_string_equal(name, passes[count++]);
			last_component[0] = '\0';
		} else if (strncmp(line, component, strlen(component)) == 0) {
			attribute(line, component, name);
			if (strcmp(last_component, name) >= 0)
				fail_msg("%s stands after %s", name, last_component);
			strcpy(last_component, name);
			last_setting[0] = '\0';
		} else if (strncmp(line, setting, strlen(setting)) == 0 && line[strlen(setting)] != '/') {
			line[strcspn(line, ">")] = '\0';
			attribute(line, setting, name);
			if (strcmp(last_setting, name) >= 0)
				fail_msg("%s stands after %s in %s", name, last_setting, last_component);
			strcpy(last_setting, name);
			settings++;
		}
	}
	assert_int_equal(count, 3);
	assert_int_equal(settings, 22);
}

/* Windows reads 1024 characters of a command; what it asks of the machine is met, and not switched off. */
static void test_limits(void **state)
{
	static const char begin[] = "<CommandLine>", key[] = "LabConfig";
	cleanup_free char *xml = write_answers(&windows_11);
	size_t count = 0;

	for (const char *at = xml; (at = strstr(at, begin)); count++) {
		size_t length = strcspn(at + strlen(begin), "<");
		cleanup_free char *command = strndup(at + strlen(begin), length);

		at += strlen(begin);
		assert_true(length <= 1024);
		/* They may be started all at once, and only one of Windows' installers runs at a time. */
		assert_true(count == 0 || !strstr(command, "msiexec"));
	}
	assert_int_equal(count, 2);
	assert_null(strcasestr(xml, "bypass"));
	assert_null(strcasestr(xml, key));
}

static void check_refused(struct unattend answers, const char *message)
{
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf xml = {0};

	assert_int_equal(unattend_write(&answers, &xml, &err), -EINVAL);
	assert_int_equal(xml.length, 0);
	if (!strstr(err->message, message))
		fail_msg("\"%s\" does not say \"%s\"", err->message, message);
}

#define REFUSED(field, value, message)                                                                                 \
	do {                                                                                                           \
		struct unattend answers = windows_11;                                                                  \
		answers.field = (value);                                                                               \
		check_refused(answers, message);                                                                       \
	} while (0)

static void test_refused(void **state)
{
	REFUSED(edition, "", "edition");
	REFUSED(language, "german", "language");
	REFUSED(language, "de-", "language");
	REFUSED(language, "de-DE;en", "language");
	REFUSED(keyboard, "0407:00000407", "keyboard");
	REFUSED(time_zone, "UTC\n", "time zone");
	REFUSED(computer_name, "sixteen-letters-", "computer");
	REFUSED(computer_name, "0123", "computer");
	REFUSED(computer_name, "a b", "computer");
	REFUSED(computer_name, "", "computer");
	REFUSED(user, "", "account");
	REFUSED(user, "a/b", "account");
	REFUSED(user, "administrator", "account");
	REFUSED(user, "twenty-one-characters", "account");
	REFUSED(user, "ends.", "account");
	REFUSED(user, "...", "account");
	REFUSED(password, "", "password");
	REFUSED(password, "two\nlines", "password");
	REFUSED(password, "bell\a", "password");
	REFUSED(password, "latin\xe9", "password");
	REFUSED(product_key, "AAAAA-BBBBB-CCCCC-DDDDD", "product key");
	REFUSED(product_key, "AAAAA-BBBBB-CCCCC-DDDDD-123456", "product key");
}

static uint32_t number(const unsigned char *at)
{
	for (unsigned i = 0; i < 4; i++) /* both byte orders say the same */
		assert_int_equal(at[i], at[7 - i]);
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* From a descriptor to the file, by the positions of ECMA-119 and not by those that the writer knows. */
static void check_tree(const unsigned char *iso, size_t size, unsigned sector, const char *name, size_t name_length,
		       const char *content, size_t length)
{
	const unsigned char *descriptor = iso + (size_t)sector * SECTOR, *at, *file;

	assert_memory_equal(descriptor + 1, "CD001\1", 6);
	assert_int_equal((size_t)number(descriptor + 80) * SECTOR, size);
	at = iso + (size_t)number(descriptor + 158) * SECTOR;
	assert_int_equal(number(at + 2), number(descriptor + 158)); /* itself, its parent, then the file */
	at += at[0];
	at += at[0];
	assert_int_equal(at[32], name_length);
	assert_memory_equal(at + 33, name, name_length);
	assert_int_equal(at[25], 0);
	assert_int_equal(number(at + 10), length);
	file = iso + (size_t)number(at + 2) * SECTOR;
	assert_true(file + length <= iso + size);
	assert_memory_equal(file, content, length);
	assert_int_equal(at[at[0]], 0);
}

static void test_layout(void **state)
{
	static const char joliet[] = "\0a\0.\0X\0m\0l\0;\0001";
	char content[3 * SECTOR];

	memset(content, 'x', sizeof(content));
	for (size_t length = 0; length <= sizeof(content); length += SECTOR / 2) {
		cleanup_strbuf struct strbuf iso = {0};
		const unsigned char *bytes;

		iso_of_file("LABEL", "a.Xml", content, length, &iso);
		bytes = (const unsigned char *)iso.text;
		assert_int_equal(iso.length % SECTOR, 0);
		check_tree(bytes, iso.length, 16, "A.XML;1", 7, content, length);
		check_tree(bytes, iso.length, 17, joliet, 14, content, length);
		assert_int_equal(bytes[16 * SECTOR], 1);
		assert_int_equal(bytes[17 * SECTOR], 2);
		assert_memory_equal(bytes + 17 * SECTOR + 88, "%/E", 3);
		assert_memory_equal(bytes + 18 * SECTOR, "\377CD001\1", 7);
	}
}

/* Reads the CD with another program, whichever there is, in a folder of its own. */
static void unpack(const char *iso, const char *to)
{
	bool bsdtar = installed("bsdtar");
	const char *const by_bsdtar[] = {"bsdtar", "-x", "-f", iso, "-C", to, NULL};
	const char *const by_cmake[] = {"cmake", "-E", "chdir", to, "cmake", "-E", "tar", "xf", iso, NULL};
	cleanup_error struct error *err = NULL;

	if (!bsdtar && !installed("cmake")) {
		print_message("skipped: neither bsdtar nor cmake is installed\n");
		skip();
	}
	if (process_must(bsdtar ? by_bsdtar : by_cmake, NULL, &err) < 0)
		fail_msg("%s", err->message);
}

static void test_seed(void **state)
{
	cleanup_free char *xml = write_answers(&server), *read = NULL;
	char iso[100], to[100], file[100];
	struct stat st;
	size_t length;

	in_folder(iso, "seed.iso");
	in_folder(to, "unpacked");
	in_folder(file, "unpacked/autounattend.xml");
	assert_int_equal(unattend_make_seed(&server, iso, NULL), 0);
	assert_int_equal(stat(iso, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* it holds a password */
	assert_int_equal(mkdir(to, 0700), 0);
	unpack(iso, to);
	assert_int_equal(file_read(file, 100000, &read, &length, NULL), 0);
	assert_string_equal(read, xml);
	assert_int_equal(length, strlen(xml));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden), cmocka_unit_test(test_escaping), cmocka_unit_test(test_documented),
		cmocka_unit_test(test_order),  cmocka_unit_test(test_limits),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_layout), cmocka_unit_test(test_seed),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
