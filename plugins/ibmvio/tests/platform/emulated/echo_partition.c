/* A client partition in C, written after docs/reference/ibmvio-emulated.md: sends numbered elements and wants each of them back, in order,
 * with its number in memory where the server was asked to write it.
 *
 * echo_partition SOCKET COUNT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096u
#define PAGES 16u
#define WINDOW 0x700000000000u
#define QUEUE_SLOTS (PAGE / 16)
#define UNDER_WAY_MAX 512

struct hello {
	char magic[8];
	uint32_t version, partition_number;
	uint64_t memory_bytes, window_start, window_bytes;
	char partition_name[96];
};

struct welcome {
	char magic[8];
	uint32_t version, status, unit_address, reserved;
	uint64_t total_bytes, queue_offset, table_offset, memory_offset;
	char text[256];
};

struct call {
	uint32_t number, reserved;
	uint64_t first, second;
};

struct returned {
	uint32_t number;
	int32_t code;
};

typedef volatile uint64_t word;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int attach(const char *path, struct welcome *welcome, int fds[3])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct hello hello = {"TGTVIO\0", 1, 11, PAGES * PAGE, WINDOW, PAGES * PAGE, "partition in C"};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec piece = {welcome, sizeof *welcome};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	int link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (link < 0 || connect(link, (struct sockaddr *)&address, sizeof address))
		die(path);
	send(link, &hello, sizeof hello, MSG_NOSIGNAL);
	if (recvmsg(link, &message, MSG_CMSG_CLOEXEC) != sizeof *welcome)
		die("welcome");
	if (welcome->status) {
		fprintf(stderr, "%.256s\n", welcome->text);
		exit(2);
	}
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), 3 * sizeof(int));
	return link;
}

static int32_t call(int link, uint32_t number, uint64_t first, uint64_t second)
{
	struct call packet = {number, 0, first, second};
	struct returned returned;

	if (send(link, &packet, sizeof packet, MSG_NOSIGNAL) != sizeof packet)
		die("call");
	if (recv(link, &returned, sizeof returned, 0) != sizeof returned || returned.number != number)
		die("return");
	return returned.code;
}

static void wait_for_server(int link, int bell)
{
	struct pollfd fds[2] = {{.fd = bell, .events = POLLIN}, {.fd = link, .events = POLLIN}};
	char bytes[4096];

	if (poll(fds, 2, 20000) <= 0 || fds[1].revents) {
		fprintf(stderr, "the server does not answer, or has gone\n");
		exit(1);
	}
	if (read(bell, bytes, sizeof bytes) < 0 && errno != EAGAIN)
		die("doorbell");
}

int main(int argc, char **argv)
{
	struct welcome welcome;
	int fds[3];
	uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0, sent = 0, got = 0;

	if (!count)
		return 2;
	int link = attach(argv[1], &welcome, fds);
	unsigned char *base = mmap(NULL, welcome.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (base == MAP_FAILED)
		die("memory");
	word *server_open = (word *)(base + 64), *server_waits = (word *)(base + 128), *client_waits = (word *)(base + 192);
	word *table = (word *)(base + welcome.table_offset);
	unsigned char *memory = base + welcome.memory_offset;
	word *out = (word *)(base + welcome.queue_offset), *in = (word *)memory;

	for (uint64_t page = 0; page < PAGES; page++)
		table[page] = page * PAGE | 3;
	if (call(link, 0xFC, WINDOW, PAGE) != 0 || !*server_open)
		die("H_REG_CRQ");
	while (got < count) {
		uint64_t before = sent + got;
		while (sent < count && sent - got < UNDER_WAY_MAX && !(out[sent % QUEUE_SLOTS * 2] & 0xFF)) {
			uint64_t slot = sent % QUEUE_SLOTS * 2;
			out[slot + 1] = sent;
			out[slot] = 0x80 | sent << 8;
			sent++;
			atomic_thread_fence(memory_order_seq_cst);
			if (*server_waits) {
				*server_waits = 0;
				if (write(fds[1], "", 1) < 0 && errno != EAGAIN)
					die("ring");
			}
		}
		while (got < count && in[got % QUEUE_SLOTS * 2] & 0xFF) {
			uint64_t slot = got % QUEUE_SLOTS * 2;
			uint64_t first = in[slot], second = in[slot + 1], written;
			memcpy(&written, memory + PAGE + got % UNDER_WAY_MAX * 8, 8);
			if (first != (0x80 | got << 8) || second != got || written != got) {
				fprintf(stderr, "%llu: %llx %llx, %llu\n", (unsigned long long)got, (unsigned long long)first,
					(unsigned long long)second, (unsigned long long)written);
				return 1;
			}
			*(volatile unsigned char *)&in[slot] = 0;
			got++;
		}
		if (sent + got == before) {
			*client_waits = 1;
			atomic_thread_fence(memory_order_seq_cst);
			if (!(in[got % QUEUE_SLOTS * 2] & 0xFF))
				wait_for_server(link, fds[2]);
		}
	}
	printf("all %llu\n", (unsigned long long)got);
	return 0;
}
