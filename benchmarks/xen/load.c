/*
 * Keeps disks busy for some time, and prints how many commands have ended in how many seconds.
 *
 *     load SECONDS BYTES DEPTH read|write scattered|sequential DISK...
 *
 * DEPTH commands of BYTES are under way at any time, on the disks in turn, by the kernel's asynchronous I/O and past its
 * cache.  It does as little as it can between the end of a command and the next one: whatever it uses, what is measured lacks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 256, DISKS_MAX = 8 };

static struct iocb commands[DEPTH_MAX];
static struct iocb *ready[DEPTH_MAX];
static struct io_event ended[DEPTH_MAX];

static struct {
	int fd;
	uint64_t places, next;
} disks[DISKS_MAX];

static int is_scattered;
static uint64_t length, state = 88172645463325252ull;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* xorshift64 of Marsaglia: any place is as good as another */
static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void place(struct iocb *command)
{
	int disk = command->aio_data;

	command->aio_offset = (is_scattered ? any() : disks[disk].next++) % disks[disk].places * length;
}

static void submit(aio_context_t context, long count)
{
	long done = 0;

	while (done < count) {
		long taken = syscall(SYS_io_submit, context, count - done, ready + done);

		if (taken <= 0)
			fail("io_submit");
		done += taken;
	}
}

int main(int argc, char **argv)
{
	if (argc < 7 || argc - 6 > DISKS_MAX || atoi(argv[3]) < 1 || atoi(argv[3]) > DEPTH_MAX)
		return 2;

	double seconds = atof(argv[1]);
	length = atoll(argv[2]);
	int depth = atoi(argv[3]), is_write = !strcmp(argv[4], "write"), count = argc - 6;
	is_scattered = !strcmp(argv[5], "scattered");

	for (int i = 0; i < count; i++) {
		disks[i].fd = open(argv[6 + i], O_RDWR | O_DIRECT);
		if (disks[i].fd < 0)
			fail(argv[6 + i]);
		disks[i].places = lseek(disks[i].fd, 0, SEEK_END) / length;
	}
	char *memory = mmap(NULL, depth * length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		fail("memory");
	memset(memory, 0x5a, depth * length);

	aio_context_t context = 0;
	if (syscall(SYS_io_setup, depth, &context))
		fail("io_setup");
	for (int i = 0; i < depth; i++) {
		commands[i].aio_data = i % count;
		commands[i].aio_fildes = disks[i % count].fd;
		commands[i].aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		commands[i].aio_buf = (uintptr_t)(memory + i * length);
		commands[i].aio_nbytes = length;
		place(&commands[i]);
		ready[i] = &commands[i];
	}

	double begin = now(), until = begin + seconds;
	long under_way = depth, total = 0;

	submit(context, depth);
	while (under_way) {
		long got = syscall(SYS_io_getevents, context, 1, depth, ended, NULL), again = 0;
		int goes_on = now() < until;

		if (got < 0)
			fail("io_getevents");
		for (long i = 0; i < got; i++) {
			struct iocb *command = (struct iocb *)(uintptr_t)ended[i].obj;

			if (ended[i].res != (int64_t)length) {
				errno = ended[i].res < 0 ? -ended[i].res : EIO;
				fail("a command");
			}
			if (goes_on) {
				place(command);
				ready[again++] = command;
			}
		}
		total += got;
		under_way -= got - again;
		if (again)
			submit(context, again);
	}
	printf("%ld %f\n", total, now() - begin);
	return 0;
}
