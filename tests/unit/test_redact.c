/* facts/redact: secrets go, everything else stays as it is. */
#include "base/cleanup.h"
#include "facts/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define R REDACTED

static void check(const char *text, const char *wanted, size_t count)
{
	size_t length, again_length, found, again_found;
	cleanup_free char *got = redact_text(text, strlen(text), &length, &found);
	cleanup_free char *again = redact_text(got, length, &again_length, &again_found);

	assert_string_equal(got, wanted);
	assert_int_equal(length, strlen(got));
	assert_int_equal(found, count);
	assert_string_equal(again, wanted);
}

static void test_keys(void **state)
{
	check("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nabc\n-----END OPENSSH PRIVATE KEY-----\nb\n",
	      "a\n-----BEGIN OPENSSH PRIVATE KEY-----\n" R "\n-----END OPENSSH PRIVATE KEY-----\nb\n", 1);
	check("k = \"-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\n\" x",
	      "k = \"-----BEGIN RSA PRIVATE KEY-----" R "-----END RSA PRIVATE KEY-----\\n\" x", 1);
	check("-----BEGIN PRIVATE KEY-----\nMIIE\ncut off here", "-----BEGIN PRIVATE KEY-----\n" R "\n", 1);
	check("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n",
	      "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n", 0);
	check("AGE-SECRET-KEY-1QQPQZ", R, 1);
	/* several in one line, and marks the wrong way round: what follows the last mark is of a key still */
	check("-----BEGIN PRIVATE KEY-----a-----END PRIVATE KEY----- x -----BEGIN PRIVATE KEY-----b-----END PRIVATE "
	      "KEY-----",
	      "-----BEGIN PRIVATE KEY-----" R "-----END PRIVATE KEY----- x -----BEGIN PRIVATE KEY-----" R
	      "-----END PRIVATE KEY-----",
	      2);
	check("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----------BEGIN PRIVATE KEY-----\nMIIF\n"
	      "-----END PRIVATE KEY-----\nb\n",
	      "-----BEGIN PRIVATE KEY-----\n" R "\n-----END PRIVATE KEY----------BEGIN PRIVATE KEY-----\n" R
	      "\n-----END PRIVATE KEY-----\nb\n",
	      2);
	check("-----END PRIVATE KEY----- -----BEGIN PRIVATE KEY-----\nMIIE\n",
	      "-----END PRIVATE KEY----- -----BEGIN PRIVATE KEY-----\n" R "\n", 1);
}

static void test_uris(void **state)
{
	check("root=http://user:hunter2@10.0.0.1/x quiet", "root=http://user:" R "@10.0.0.1/x quiet", 1);
	check("'https://u:p@ss:w0rd@host:8080/'", "'https://u:" R "@host:8080/'", 1);
	check("http://user@host/ http://[fd00::1]:80/ http://host:8080/a@b",
	      "http://user@host/ http://[fd00::1]:80/ "
	      "http://host:8080/a@b",
	      0);
	check("ftp://:secret@host ://", "ftp://:" R "@host ://", 1);
}

static void test_names(void **state)
{
	check("quiet root_password=abc systemd.unit=x", "quiet root_password=" R " systemd.unit=x", 1);
	check("vnc_password = \"XYZ12345\"\nuser = \"root\"\n", "vnc_password = \"" R "\"\nuser = \"root\"\n", 1);
	check("{\"token\": \"abc\\\"def\", \"iptables\": false}", "{\"token\": \"" R "\", \"iptables\": false}", 1);
	check("wpa-psk 0123456789abcdef", "wpa-psk 0123456789abcdef", 0); /* no sign between: see below */
	check("psk=\"correct horse\" ssid=\"home\"", "psk=\"" R "\" ssid=\"home\"", 1);
	check("PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nPresharedKey=abc=\nPublicKey = xyz=\n",
	      "PrivateKey = " R "\nPresharedKey=" R "\nPublicKey = xyz=\n", 2);
	check("curl --password hunter2 -u x", "curl --password " R " -u x", 1);
	check("Authorization: Bearer abc.def", "Authorization: Bearer " R, 1);
	check("api-key=1 API_KEY: 2 apiKey='3' monkey=4", "api-key=" R " API_KEY: " R " apiKey='" R "' monkey=4", 3);
	check("secretmem.enable=1 nopassword_prompt", "secretmem.enable=1 nopassword_prompt", 0);
	check("rd.luks.options=discard smtp_pass=x bypass=1", "rd.luks.options=discard smtp_pass=" R " bypass=1", 1);
	check("password=", "password=", 0);
}

static void test_ipsec(void **state)
{
	check(": PSK \"v+NkxY9LLZvwj4qCC2o/gGrWDF2d21jL\"\n%any : RSA key.pem\n",
	      ": PSK \"" R "\"\n%any : RSA key.pem\n", 1);
}

static void test_xml(void **state)
{
	check("<graphics type='vnc' port='-1' passwd='hunter2'/>", "<graphics type='vnc' port='-1' passwd='" R "'/>",
	      1);
	check("<graphics type=\"spice\" passwd=\"a&quot;b\" connected=\"keep\"/>",
	      "<graphics type=\"spice\" passwd=\"" R "\" connected=\"keep\"/>", 1);
	check("<password>hunter2</password><auth username='x'><secret type='ceph' uuid='1'/></auth>",
	      "<password>" R "</password><auth username='x'><secret type='ceph' uuid='1'/></auth>", 1);
	check("<name>vm1</name>\n<uuid>aa-bb</uuid>\n", "<name>vm1</name>\n<uuid>aa-bb</uuid>\n", 0);
}

static void test_qemu(void **state)
{
	check("-object secret,id=sec0,data=hunter2,format=raw -drive file=x,data=y",
	      "-object secret,id=sec0,data=" R ",format=raw -drive file=x,data=y", 1);
	check("-object '{\"qom-type\":\"secret\",\"password\":\"x\"}' -spice port=0,password=abc,addr=::1",
	      "-object '{\"qom-type\":\"secret\",\"password\":\"" R "\"}' -spice port=0,password=" R ",addr=::1", 2);
}

static void test_hashes(void **state)
{
	check("root:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.:19000:0",
	      "root:" R ":19000:0", 1);
	check("x $y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC y", "x " R " y", 1);
	check("costs $5 and $HOME $1", "costs $5 and $HOME $1", 0);
}

/* What facts need must stay whole. */
static void test_innocent(void **state)
{
	static const char *const texts[] = {
		"BOOT_IMAGE=/vmlinuz-6.1 root=UUID=9d4f-11 ro kvm_amd.nested=1 intel_iommu=on isolcpus=2-3 "
		"console=ttyS0,115200\n",
		"user = \"libvirt-qemu\"\ngroup = \"kvm\"\nsecurity_driver = \"apparmor\"\nunix_sock_group = "
		"\"libvirt\"\n",
		"[    0.5] kvm: Nested Virtualization enabled\n[    1.0] audit: type=1400 apparmor=\"DENIED\" "
		"operation=\"open\" profile=\"libvirt-1\" name=\"/dev/kvm\"\n",
		"<domain type='kvm'><name>a</name><cpu mode='host-passthrough'/><mac "
		"address='52:54:00:11:22:33'/></domain>\n",
		"[wsl2]\nnetworkingMode=mirrored\nnestedVirtualization=true\n[experimental]\nignoredPorts=67\n",
		"\n\n  \t\nno newline at the end",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		check(texts[i], texts[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),   cmocka_unit_test(test_uris),	cmocka_unit_test(test_names),
		cmocka_unit_test(test_ipsec),  cmocka_unit_test(test_xml),	cmocka_unit_test(test_qemu),
		cmocka_unit_test(test_hashes), cmocka_unit_test(test_innocent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
