/* SPDX-License-Identifier: Apache-2.0 */

#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Noreturn void die(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

/* Receive one packet and up to three descriptors; those that do not come are -1. */
static ssize_t receive(int link, void *packet, size_t size, int fds[3])
{
    union { struct cmsghdr head; char room[CMSG_SPACE(3 * sizeof(int))]; } control;
    struct iovec piece = {packet, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memset(fds, -1, 3 * sizeof(int));
    ssize_t length = recvmsg(link, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return length;
}

void ring_attach(struct ring *ring, const char *path, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        die("%s: the path is too long", path);
    strcpy(address.sun_path, path);
    memset(ring, 0, sizeof *ring);
    ring->link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (ring->link < 0 || connect(ring->link, (struct sockaddr *)&address, sizeof address))
        die("%s: %s", path, strerror(errno));

    struct tgtring_hello hello = {.magic = TGTRING_MAGIC, .abi_version = TGTRING_ABI_VERSION};
    memcpy(hello.driver, name, strnlen(name, sizeof hello.driver));
    struct tgtring_welcome welcome;
    int fds[3];
    if (send(ring->link, &hello, sizeof hello, MSG_NOSIGNAL) < 0 ||
        receive(ring->link, &welcome, sizeof welcome, fds) != (ssize_t)sizeof welcome)
        die("%s: the core has gone without an answer", path);
    if (memcmp(welcome.magic, TGTRING_MAGIC, sizeof welcome.magic))
        die("%s: whoever answers is no core", path);
    if (welcome.status != TGTRING_WELCOME_WELCOME || fds[2] < 0)
        die("%s: %.*s", path, (int)sizeof welcome.text, (const char *)welcome.text);

    if (pread(fds[0], &ring->header, sizeof ring->header, 0) != (ssize_t)sizeof ring->header)
        die("%s: the ring can't be read", path);
    ring->memory = mmap(NULL, ring->header.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    if (ring->memory == MAP_FAILED)
        die("%s: the ring can't be mapped: %s", path, strerror(errno));
    close(fds[0]);
    ring->request_bell = fds[1];
    ring->response_bell = fds[2];
    ring->data = ring->memory + ring->header.data_offset;
}

void *ring_post(struct ring *ring, uint8_t type)
{
    uint64_t number = ring->posted++ % ring->header.request_slots;
    uint8_t *slot = ring->memory + ring->header.request_offset + number * ring->header.request_slot_bytes;
    memset(slot, 0, ring->header.request_slot_bytes);
    *slot = type;
    return slot;
}

void ring_flush(struct ring *ring)
{
    uint64_t count = ring->posted - ring->rung;
    while (count && write(ring->request_bell, &count, sizeof count) < 0) {
        struct pollfd full = {ring->request_bell, POLLOUT, 0};
        if (errno == EPIPE || (errno == EAGAIN && poll(&full, 1, -1) < 0 && errno != EINTR))
            break; /* the core is going: the attachment tells */
    }
    ring->rung = ring->posted;
}

const void *ring_take(struct ring *ring)
{
    uint64_t counts[64];
    if (!ring->announced) {
        ssize_t length = read(ring->response_bell, counts, sizeof counts);
        for (ssize_t i = 0; i < length / (ssize_t)sizeof *counts; i++)
            ring->announced += counts[i];
        if (!ring->announced)
            return NULL;
    }
    ring->announced--;
    uint64_t number = ring->taken++ % ring->header.response_slots;
    return ring->memory + ring->header.response_offset + number * ring->header.response_slot_bytes;
}

uint8_t *ring_event_buffer(const struct ring *ring, uint32_t number)
{
    return ring->memory + ring->header.event_offset + (uint64_t)number * ring->header.event_bytes;
}

int ring_receive(const struct ring *ring)
{
    char address[TGTRING_ADDRESS_BYTES_MAX];
    int fds[3];
    if (receive(ring->link, address, sizeof address, fds) <= 0)
        die("the daemon has gone");
    return fds[0];
}

void ring_pass_on(const struct ring *ring, const char *address, int listening)
{
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct iovec piece = {(void *)(uintptr_t)address, strlen(address)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &listening, sizeof listening);
    sendmsg(ring->link, &message, MSG_NOSIGNAL);
}
