#include "image/unattend.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "image/iso.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

/* Elements that are open, for the indent. */
struct writer {
	struct strbuf *out;
	int depth;
};

static void indent(struct writer *w)
{
	strbuf_printf(w->out, "%*s", 2 * w->depth, "");
}

/* `attributes` as they are to stand there, with a space before them, or "". */
static void begin(struct writer *w, const char *name, const char *attributes)
{
	indent(w);
	strbuf_printf(w->out, "<%s%s>\n", name, attributes);
	w->depth++;
}

static void end(struct writer *w, const char *name)
{
	w->depth--;
	indent(w);
	strbuf_printf(w->out, "</%s>\n", name);
}

static void value(struct writer *w, const char *name, const char *text)
{
	indent(w);
	strbuf_printf(w->out, "<%s>", name);
	strbuf_add_xml(w->out, text);
	strbuf_printf(w->out, "</%s>\n", name);
}

static void begin_component(struct writer *w, const char *name)
{
	indent(w);
	strbuf_printf(w->out,
		      "<component name=\"%s\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" "
		      "language=\"neutral\" versionScope=\"nonSxS\">\n",
		      name);
	w->depth++;
}

static void add_languages(struct writer *w, const struct unattend *a, bool setup)
{
	value(w, "InputLocale", a->keyboard ? a->keyboard : a->language);
	if (setup) {
		begin(w, "SetupUILanguage", "");
		value(w, "UILanguage", a->language);
		end(w, "SetupUILanguage");
	}
	value(w, "SystemLocale", a->language);
	value(w, "UILanguage", a->language);
	value(w, "UserLocale", a->language);
}

/* Folders of virtio-win. Setup passes over those that are not there. */
static void add_drivers(struct writer *w, const struct unattend *a)
{
	static const char *const drivers[] = {"NetKVM", "vioscsi", "viostor"};
	const char *folder = windows_drivers(a->version, a->build);
	int number = 0;

	begin(w, "DriverPaths", "");
	for (char letter = 'D'; letter <= 'H'; letter++)
		for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
			indent(w);
			strbuf_printf(w->out,
				      "<PathAndCredentials wcm:action=\"add\" wcm:keyValue=\"%d\">"
				      "<Path>%c:\\%s\\%s\\amd64</Path></PathAndCredentials>\n",
				      ++number, letter, drivers[i], folder);
		}
	end(w, "DriverPaths");
}

/* UEFI wants a partition for its boot loaders, Windows one that is reserved; what is left is for Windows. */
static void add_disk(struct writer *w)
{
	static const struct {
		const char *type, *size, *format, *label;
	} partitions[] = {
		{"EFI", "300", "FAT32", "System"}, {"MSR", "16", NULL, NULL}, {"Primary", NULL, "NTFS", "Windows"}};
	const size_t count = sizeof(partitions) / sizeof(*partitions);

	begin(w, "DiskConfiguration", "");
	begin(w, "Disk", " wcm:action=\"add\"");
	begin(w, "CreatePartitions", "");
	for (size_t i = 0; i < count; i++) {
		begin(w, "CreatePartition", " wcm:action=\"add\"");
		if (!partitions[i].size)
			value(w, "Extend", "true");
		value(w, "Order", (const char[]){(char)('1' + i), '\0'});
		if (partitions[i].size)
			value(w, "Size", partitions[i].size);
		value(w, "Type", partitions[i].type);
		end(w, "CreatePartition");
	}
	end(w, "CreatePartitions");
	value(w, "DiskID", "0");
	begin(w, "ModifyPartitions", "");
	for (size_t i = 0, order = 1; i < count; i++) {
		if (!partitions[i].format)
			continue;
		begin(w, "ModifyPartition", " wcm:action=\"add\"");
		value(w, "Format", partitions[i].format);
		value(w, "Label", partitions[i].label);
		value(w, "Order", (const char[]){(char)('0' + order++), '\0'});
		value(w, "PartitionID", (const char[]){(char)('1' + i), '\0'});
		end(w, "ModifyPartition");
	}
	end(w, "ModifyPartitions");
	value(w, "WillWipeDisk", "true");
	end(w, "Disk");
	end(w, "DiskConfiguration");
}

static void add_image(struct writer *w, const char *edition)
{
	begin(w, "ImageInstall", "");
	begin(w, "OSImage", "");
	begin(w, "InstallFrom", "");
	begin(w, "MetaData", " wcm:action=\"add\"");
	value(w, "Key", "/IMAGE/NAME");
	value(w, "Value", edition);
	end(w, "MetaData");
	end(w, "InstallFrom");
	begin(w, "InstallTo", "");
	value(w, "DiskID", "0");
	value(w, "PartitionID", "3");
	end(w, "InstallTo");
	end(w, "OSImage");
	end(w, "ImageInstall");
}

static void add_user_data(struct writer *w, const struct unattend *a)
{
	begin(w, "UserData", "");
	value(w, "AcceptEula", "true");
	value(w, "FullName", a->user);
	begin(w, "ProductKey", "");
	if (a->product_key)
		value(w, "Key", a->product_key);
	value(w, "WillShowUI", a->product_key ? "OnError" : "Never");
	end(w, "ProductKey");
	end(w, "UserData");
}

static void add_windows_pe(struct writer *w, const struct unattend *a)
{
	begin(w, "settings", " pass=\"windowsPE\"");
	begin_component(w, "Microsoft-Windows-International-Core-WinPE");
	add_languages(w, a, true);
	end(w, "component");
	begin_component(w, "Microsoft-Windows-PnpCustomizationsWinPE");
	add_drivers(w, a);
	end(w, "component");
	begin_component(w, "Microsoft-Windows-Setup");
	add_disk(w);
	add_image(w, a->edition);
	add_user_data(w, a);
	end(w, "component");
	end(w, "settings");
}

/* Remote Desktop: on, through the firewall (a group's name, the same in each language), for whom logged in before. */
static void add_specialize(struct writer *w, const struct unattend *a)
{
	begin(w, "settings", " pass=\"specialize\"");
	begin_component(w, "Microsoft-Windows-Shell-Setup");
	value(w, "ComputerName", a->computer_name);
	value(w, "TimeZone", a->time_zone);
	end(w, "component");
	begin_component(w, "Microsoft-Windows-TerminalServices-LocalSessionManager");
	value(w, "fDenyTSConnections", "false");
	end(w, "component");
	begin_component(w, "Microsoft-Windows-TerminalServices-RDP-WinStationExtensions");
	value(w, "UserAuthentication", "1");
	end(w, "component");
	begin_component(w, "Networking-MPSSVC-Svc");
	begin(w, "FirewallGroups", "");
	begin(w, "FirewallGroup", " wcm:action=\"add\" wcm:keyValue=\"RemoteDesktop\"");
	value(w, "Active", "true");
	value(w, "Group", "@FirewallAPI.dll,-28752");
	value(w, "Profile", "all");
	end(w, "FirewallGroup");
	end(w, "FirewallGroups");
	end(w, "component");
	end(w, "settings");
}

/*
 * Microsoft's reference says both of these commands, that each waits for the one before (SynchronousCommand) and that
 * all are started at once (Order): so none of them needs another, and the two installers, of which Windows runs one at
 * a time, are one command. `start /wait`: msiexec is a program with windows, for which cmd would not wait. Each has at
 * most 1024 characters.
 */
static const struct {
	const char *what, *command;
} first_logon[] = {
	{"virtio drivers and the QEMU guest agent",
	 "cmd /c (for %i in (D E F G H) do if exist %i:\\virtio-win-gt-x64.msi "
	 "start /wait msiexec /i %i:\\virtio-win-gt-x64.msi /qn /norestart) & "
	 "(for %i in (D E F G H) do if exist %i:\\guest-agent\\qemu-ga-x86_64.msi "
	 "start /wait msiexec /i %i:\\guest-agent\\qemu-ga-x86_64.msi /qn /norestart)"},
	{"OpenSSH, from Windows Update, and through the firewall, whatever the network's profile is",
	 "powershell -NoProfile -Command \"Add-WindowsCapability -Online -Name OpenSSH.Server~~~~0.0.1.0; "
	 "Set-Service sshd -StartupType Automatic; Start-Service sshd; "
	 "New-NetFirewallRule -Name nestvisor-ssh -DisplayName OpenSSH "
	 "-Direction Inbound -Protocol TCP -LocalPort 22 -Action Allow\""},
};

static void add_first_logon(struct writer *w)
{
	begin(w, "FirstLogonCommands", "");
	for (size_t i = 0; i < sizeof(first_logon) / sizeof(*first_logon); i++) {
		begin(w, "SynchronousCommand", " wcm:action=\"add\"");
		value(w, "CommandLine", first_logon[i].command);
		value(w, "Description", first_logon[i].what);
		value(w, "Order", (const char[]){(char)('1' + i), '\0'});
		end(w, "SynchronousCommand");
	}
	end(w, "FirstLogonCommands");
}

static void add_password(struct writer *w, const char *password)
{
	begin(w, "Password", "");
	value(w, "PlainText", "true");
	value(w, "Value", password);
	end(w, "Password");
}

static void add_shell(struct writer *w, const struct unattend *a)
{
	begin_component(w, "Microsoft-Windows-Shell-Setup");
	begin(w, "AutoLogon", ""); /* for FirstLogonCommands */
	value(w, "Enabled", "true");
	value(w, "LogonCount", "1");
	add_password(w, a->password);
	value(w, "Username", a->user);
	end(w, "AutoLogon");
	add_first_logon(w);
	begin(w, "OOBE", "");
	value(w, "HideEULAPage", "true");
	value(w, "HideOnlineAccountScreens", "true");
	value(w, "HideWirelessSetupInOOBE", "true");
	value(w, "ProtectYourPC", "3");
	end(w, "OOBE");
	begin(w, "UserAccounts", "");
	begin(w, "LocalAccounts", "");
	begin(w, "LocalAccount", " wcm:action=\"add\"");
	value(w, "Group", "Administrators");
	value(w, "Name", a->user);
	add_password(w, a->password);
	end(w, "LocalAccount");
	end(w, "LocalAccounts");
	end(w, "UserAccounts");
	end(w, "component");
}

static void add_oobe(struct writer *w, const struct unattend *a)
{
	begin(w, "settings", " pass=\"oobeSystem\"");
	begin_component(w, "Microsoft-Windows-International-Core");
	add_languages(w, a, false);
	end(w, "component");
	add_shell(w, a);
	end(w, "settings");
}

static bool is_language(const char *text)
{
	size_t first = strspn(text, LETTERS);

	return first >= 2 && first <= 3 && text[first] == '-' && text[first + 1] && strlen(text) <= 20 &&
	       text[first + 1 + strspn(text + first + 1, LETTERS DIGITS "-")] == '\0';
}

static bool is_computer_name(const char *text)
{
	size_t length = strlen(text);

	return length >= 1 && length <= 15 && strspn(text, LETTERS DIGITS "-") == length &&
	       strspn(text, DIGITS) < length && text[0] != '-' && text[length - 1] != '-';
}

/* One line that XML can say, of 1 to `most` characters. */
static bool is_line(const char *text, size_t most)
{
	size_t left = strlen(text), length, count = 0;
	uint32_t c;

	for (; left; text += length, left -= length, count++) {
		length = utf8_next(text, left, &c);
		if (!length || c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0xfffe || c == 0xffff)
			return false;
	}
	return count >= 1 && count <= most;
}

/* Some names are those of accounts and groups that every Windows has; Setup would stop, or there would be two. */
static bool is_user(const char *text)
{
	static const char *const taken[] = {"Administrator", "Guest",	"DefaultAccount", "WDAGUtilityAccount",
					    "SYSTEM",	     "NETWORK", "SERVICE",	  "NONE"};

	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		if (strcasecmp(text, taken[i]) == 0)
			return false;
	return is_line(text, 20) && !strpbrk(text, "\"/\\[]:;|=,+*?<>@%") && text[strspn(text, ". ")] &&
	       text[strlen(text) - 1] != '.';
}

static bool is_product_key(const char *text)
{
	for (size_t i = 0; i < 29; i++)
		if (i % 6 == 5 ? text[i] != '-' : !isalnum((unsigned char)text[i]))
			return false;
	return text[29] == '\0';
}

static int check(const struct unattend *a, struct error **err)
{
	if (!is_line(a->edition, 256))
		return error_set(err, EINVAL, "\"%s\" is no edition of Windows", a->edition);
	if (!is_language(a->language))
		return error_set(err, EINVAL, "\"%s\" is no language as Windows writes it, such as de-DE", a->language);
	if (a->keyboard && !is_language(a->keyboard))
		return error_set(err, EINVAL, "\"%s\" is no keyboard as Windows writes it, such as de-DE", a->keyboard);
	if (!is_line(a->time_zone, 256))
		return error_set(err, EINVAL, "\"%s\" is no time zone", a->time_zone);
	if (!is_computer_name(a->computer_name))
		return error_set(err, EINVAL,
				 "\"%s\" is no name of a computer for Windows: 1 to 15 letters, digits and \"-\", not "
				 "digits alone",
				 a->computer_name);
	if (!is_user(a->user))
		return error_set(err, EINVAL,
				 "\"%s\" is no name of an account for Windows: at most 20 characters, none of "
				 "\"/\\[]:;|=,+*?<>@%%, and none that Windows has already",
				 a->user);
	if (!is_line(a->password, 127)) /* which is not repeated */
		return error_set(err, EINVAL, "the password must be one line of 1 to 127 characters");
	if (a->product_key && !is_product_key(a->product_key))
		return error_set(err, EINVAL,
				 "a product key is five times five letters and digits, with \"-\" between");
	return 0;
}

int unattend_write(const struct unattend *answers, struct strbuf *ret, struct error **err)
{
	struct writer w = {.out = ret};
	int r = check(answers, err);

	if (r < 0)
		return r;
	strbuf_add(ret, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
	begin(&w, "unattend",
	      " xmlns=\"urn:schemas-microsoft-com:unattend\" "
	      "xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\"");
	add_windows_pe(&w, answers);
	add_specialize(&w, answers);
	add_oobe(&w, answers);
	end(&w, "unattend");
	return 0;
}

int unattend_make_seed(const struct unattend *answers, const char *path, struct error **err)
{
	cleanup_strbuf struct strbuf xml = {0}, iso = {0};
	int r = unattend_write(answers, &xml, err);

	if (r < 0)
		return r;
	iso_of_file("UNATTEND", "autounattend.xml", xml.text, xml.length, &iso);
	return file_write_output(path, iso.text, iso.length, 0600, err);
}

int unattend_read_password(const char *path, char **ret, struct error **err)
{
	size_t length;
	int r = file_read(path, 1024, ret, &length, err);

	if (r < 0)
		return r;
	if (strlen(*ret) != length)
		return error_set(err, EINVAL, "the password in %s is no text", path);
	if (length && (*ret)[length - 1] == '\n')
		(*ret)[--length] = '\0';
	if (length && (*ret)[length - 1] == '\r')
		(*ret)[--length] = '\0';
	return 0;
}
