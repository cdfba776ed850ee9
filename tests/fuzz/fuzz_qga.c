/*
 * What a hostile guest may answer to the guest agent's questions: after the synchronisation the input is the answer to
 * everything. Whatever comes, the call ends, with a result or with an error that says something.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "transport/base64.h"
#include "transport/transport.h"
#include "transport/unix_socket.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static char folder[] = "/tmp/nestvisor-fuzz.XXXXXX", path[64];
static int listener = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean_up(void)
{
	dir_remove(folder, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (!mkdtemp(folder))
		abort();
	snprintf(path, sizeof(path), "%s/qga", folder);
	if (unix_listen(path, &listener, NULL) < 0)
		abort();
	return atexit(clean_up);
}

struct answer {
	const uint8_t *data;
	size_t size;
};

static void *guest_main(void *argument)
{
	const struct answer *answer = argument;
	int fd = accept(listener, NULL, NULL);
	char text[4096], *id;
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	id = strstr(text, "\"id\":");
	n = snprintf(text, sizeof(text), "\xff{\"return\":%lld}\n", id ? strtoll(id + 5, NULL, 10) : 0);
	n = send(fd, text, (size_t)n, MSG_NOSIGNAL);
	if (n > 0)
		n = send(fd, answer->data, answer->size, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, text, sizeof(text), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void ask(struct transport *t, bool files)
{
	static const char *const paths[] = {"/a", "/proc/1/stat", NULL};
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	char *texts[2] = {NULL};
	int r;

	if (files)
		r = qga_read_files(t, paths, 2, 10000, NULL, texts, &err);
	else
		r = transport_run(t, paths + 1, "x", 1, 10000, NULL, &output, &err);
	if ((r < 0) != (err != NULL) || (r < 0 && !err->message[0]))
		abort();
	if (r == 0 && !files && (!output.out || !output.err || output.status < 0 || output.status > 255))
		abort();
	free(texts[0]);
	free(texts[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer answer = {data + 1, size - 1};
	cleanup_free char *bytes = NULL;
	struct transport *t = NULL;
	pthread_t thread;
	size_t length;

	if (size < 1)
		return 0;
	base64_decode((const char *)answer.data, answer.size & ~(size_t)3, &bytes, &length);
	if (pthread_create(&thread, NULL, guest_main, &answer) != 0)
		abort();
	if (transport_qga(path, NULL, &t, NULL) < 0)
		abort();
	ask(t, data[0] & 1);
	transport_close(t);
	pthread_join(thread, NULL);
	return 0;
}
