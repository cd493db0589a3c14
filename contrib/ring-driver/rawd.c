/* SPDX-License-Identifier: Apache-2.0
 *
 * rawd: an example of a driver, for docs/reference/ring.md.  Clients connect to a UNIX socket, log in to a target and send any CDB
 * to any LUN, many at a time; README.md describes the packets.  One thread, and nothing allocated but targets. */

#define _GNU_SOURCE
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INHERIT_ID = JOBS_OF_ALL, PLACES, EVENTS = 64 };

struct ring ring;
struct target *targets;
char portal[PATH_BYTES];

static struct { uint64_t id; uint32_t number; uint8_t type; bool found; } waiting[EVENTS]; /* by buffer: they end with sessions */
static struct { uint64_t id; uint32_t buffer; } starting; /* START, while INHERIT is unanswered */
static int listening = -1;

static void answer(uint64_t id, uint8_t status, uint32_t length)
{
    struct tgtring_acknowledge *request = ring_post(&ring, TGTRING_REQUEST_ACKNOWLEDGE);
    request->status = status;
    request->length = length;
    request->id = id;
}

static void acknowledge(uint64_t id, uint32_t buffer, uint8_t status, const char *text)
{
    memcpy(ring_event_buffer(&ring, buffer), text, strlen(text));
    answer(id, status, (uint32_t)strlen(text));
}

const char *target_name(uint32_t number)
{
    for (struct target *t = targets; t; t = t->next)
        if (t->number == number)
            return t->name;
    return "";
}

/* ---- listening ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(made, (struct sockaddr *)&address, sizeof address) && errno == ECONNREFUSED)
        unlink(path); /* nobody listens there any more */
    close(made);
    made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made >= 0 && !bind(made, (struct sockaddr *)&address, sizeof address) && !listen(made, CLIENTS))
        return made;
    int error = errno;
    close(made);
    errno = error;
    return -1;
}

static void stop_listening(void)
{
    if (listening >= 0)
        close(listening);
    listening = -1;
}

static void inherited(bool found)
{
    int fd = found ? ring_receive(&ring) : -1;
    if (!starting.id) { /* stopped meanwhile */
        close(fd);
        return;
    }
    stop_listening();
    listening = fd >= 0 ? fd : listen_at(portal);
    acknowledge(starting.id, starting.buffer, listening < 0 ? TGTRING_ACK_FAILED : TGTRING_ACK_DONE, listening < 0 ? strerror(errno) : "");
    starting.id = 0;
}

static void start(const struct tgtring_event *e)
{
    if (listening >= 0) {
        acknowledge(e->id, e->buffer, TGTRING_ACK_DONE, "");
        return;
    }
    struct tgtring_inherit *request = ring_post(&ring, TGTRING_REQUEST_INHERIT);
    request->id = INHERIT_ID;
    request->offset = place(INHERIT_ID);
    request->length = (uint32_t)strlen(portal);
    memcpy(ring.data + request->offset, portal, request->length);
    starting.id = e->id;
    starting.buffer = e->buffer;
}

static void stop(void)
{
    stop_listening();
    if (starting.id)
        acknowledge(starting.id, starting.buffer, TGTRING_ACK_DONE, "");
    starting.id = 0;
    for (struct client *c = clients; c < clients + CLIENTS; c++)
        if (c->state == GREETING || c->state == ADMITTING || c->state == OPENING)
            hang_up(c);
}

/* ---- events: each gives the text of a failure, or an empty one ---- */

static const char *options(const char *json)
{
    static const char key[] = "\"clients\":\"";
    const char *begin = strstr(json, key), *end = begin ? strchr(begin += sizeof key - 1, '"') : NULL;
    size_t length = end ? (size_t)(end - begin) : 0;
    if (!length || length >= PATH_BYTES || memchr(begin, '\\', length))
        return "rawd can't listen at that path";
    char path[PATH_BYTES] = "";
    memcpy(path, begin, length);
    if (listening >= 0 && strcmp(path, portal)) {
        int other = listen_at(path);
        if (other < 0)
            return strerror(errno);
        stop_listening();
        listening = other;
    }
    memcpy(portal, path, PATH_BYTES);
    return "";
}

static const char *target_added(uint32_t number, const uint8_t *payload)
{
    size_t length = payload[0] | (size_t)payload[1] << 8;
    struct target *t = calloc(1, sizeof *t);
    if (!t || length >= sizeof t->name || !plain(payload + 2, length)) {
        free(t);
        return "rawd can't show a target of that name";
    }
    t->number = number;
    memcpy(t->name, payload + 2, length);
    t->next = targets;
    targets = t;
    return "";
}

static void target_removed(uint32_t number)
{
    for (struct target **at = &targets, *t; (t = *at); at = &t->next)
        if (t->number == number) {
            *at = t->next;
            free(t);
            return;
        }
}

static bool concerns(const struct client *c, uint8_t type, uint32_t number)
{
    if (c->state == FREE || type == TGTRING_EVENT_CLOSE)
        return c->state != FREE;
    return c->state != GREETING && (type == TGTRING_EVENT_DROP_TARGET ? c->target : c->session) == number;
}

/* End sessions; the event is acknowledged when the last of them has ended. */
static void drop(const struct tgtring_event *e, uint32_t number)
{
    waiting[e->buffer].id = e->id;
    waiting[e->buffer].type = e->type;
    waiting[e->buffer].number = number;
    waiting[e->buffer].found = false;
    for (struct client *c = clients; c < clients + CLIENTS; c++)
        if (concerns(c, e->type, number)) {
            waiting[e->buffer].found = true;
            hang_up(c);
        }
}

static void settle(void)
{
    for (uint32_t buffer = 0; buffer < EVENTS; buffer++) {
        bool busy = !waiting[buffer].id;
        for (struct client *c = clients; !busy && c < clients + CLIENTS; c++)
            busy = concerns(c, waiting[buffer].type, waiting[buffer].number);
        if (busy)
            continue;
        bool session = waiting[buffer].type == TGTRING_EVENT_DROP_SESSION;
        acknowledge(waiting[buffer].id, buffer, TGTRING_ACK_DONE, !session ? "" : waiting[buffer].found ? "1" : "0");
        waiting[buffer].id = 0;
        if (waiting[buffer].type == TGTRING_EVENT_CLOSE) {
            ring_flush(&ring);
            exit(0);
        }
    }
}

static uint32_t tasks(const struct client *c)
{
    uint32_t count = 0;
    for (const struct job *j = c->jobs + 1; j < c->jobs + JOBS; j++)
        count += j->state != IDLE;
    return count;
}

/* What SHOW asks for, as JSON; false: that is not supported. */
static bool show(const char *what, FILE *to)
{
    const char *comma = "";
    uint32_t used = 0;
    for (struct client *c = clients; c < clients + CLIENTS; c++)
        used += c->state != FREE;
    if (!strcmp(what, "portals")) {
        fprintf(to, "[");
        if (listening >= 0)
            fprintf(to, "{\"address\": \"%s\", \"group\": 1, \"connections\": %u}", portal, used);
        fprintf(to, "]");
    } else if (!strncmp(what, "sessions ", 9)) {
        unsigned long known = strtoul(what + 9, NULL, 10);
        fprintf(to, "[");
        for (struct client *c = clients; c < clients + CLIENTS; c++)
            if (c->state == OPEN && (!known || !known--)) {
                fprintf(to, "%s{\"id\": \"%u\", \"nexus\": %u, \"target\": \"%s\", ", comma, c->session, c->session, target_name(c->target));
                fprintf(to, "\"initiator\": \"%s\", \"address\": \"\", \"tasks\": %u, \"portal\": \"%s\"}", c->initiator, tasks(c), portal);
                comma = ", ";
            }
        fprintf(to, "]");
    } else if (!strcmp(what, "ports")) {
        fprintf(to, "{");
        for (struct target *t = targets; t; t = t->next, comma = ", ")
            fprintf(to, "%s\"%u\": [{\"name\": \"%s,raw\", \"relative_id\": 1, \"group\": 1, \"protocol\": %d}]", comma, t->number,
                    t->name, PROTOCOL_SRP);
        fprintf(to, "}");
    } else if (!strcmp(what, "statistics")) {
        fprintf(to, "{\"clients\": %u, \"commands\": %llu}", used, (unsigned long long)commands);
    } else {
        return false;
    }
    return true;
}

static void shown(const struct tgtring_event *e, const char *what)
{
    FILE *to = fmemopen(ring_event_buffer(&ring, e->buffer), ring.header.event_bytes, "w");
    bool supported = to && show(what, to);
    long length = to && !fflush(to) ? ftell(to) : -1;
    if (to)
        fclose(to);
    if (supported && length < 0)
        acknowledge(e->id, e->buffer, TGTRING_ACK_FAILED, "there is too much to tell");
    else
        answer(e->id, supported ? TGTRING_ACK_DONE : TGTRING_ACK_UNSUPPORTED, supported ? (uint32_t)length : 0);
}

static void event(const struct tgtring_event *e)
{
    const uint8_t *payload = ring_event_buffer(&ring, e->buffer);
    char text[4096] = "";
    const char *failure = "";
    memcpy(text, payload, e->length < sizeof text ? e->length : sizeof text - 1);
    switch (e->type) {
    case TGTRING_EVENT_OPTIONS:
        failure = options(text);
        break;
    case TGTRING_EVENT_TARGET_ADDED:
        failure = target_added(e->target, payload);
        break;
    case TGTRING_EVENT_TARGET_REMOVED:
        target_removed(e->target);
        break;
    case TGTRING_EVENT_START:
        start(e);
        return;
    case TGTRING_EVENT_STOP_LISTENING:
        stop();
        break;
    case TGTRING_EVENT_CLOSE:
        stop();
        drop(e, 0);
        return;
    case TGTRING_EVENT_DROP_TARGET:
        drop(e, e->target);
        return;
    case TGTRING_EVENT_DROP_SESSION:
        drop(e, (uint32_t)strtoul(text, NULL, 10));
        return;
    case TGTRING_EVENT_SHOW:
        shown(e, text);
        return;
    case TGTRING_EVENT_LISTENING:
        if (listening >= 0)
            ring_pass_on(&ring, portal, listening);
        acknowledge(e->id, e->buffer, TGTRING_ACK_DONE, listening >= 0 ? "1" : "0");
        return;
    default:
        answer(e->id, TGTRING_ACK_UNSUPPORTED, 0);
        return;
    }
    acknowledge(e->id, e->buffer, *failure ? TGTRING_ACK_FAILED : TGTRING_ACK_DONE, failure);
}

/* ---- one turn after the other ---- */

static struct client *free_client(void)
{
    for (struct client *c = clients; c < clients + CLIENTS; c++)
        if (c->state == FREE)
            return c;
    return NULL;
}

static void take_client(void)
{
    struct client *c = free_client();
    int fd = c ? accept4(listening, NULL, NULL, SOCK_CLOEXEC) : -1;
    if (fd < 0)
        return;
    memset(c, 0, sizeof *c);
    c->state = GREETING;
    c->fd = fd;
}

static void hear(void)
{
    for (const void *message; (message = ring_take(&ring));) {
        const struct tgtring_completion *head = message; /* every message has its type and id in the same places */
        if (head->type >= TGTRING_EVENT_OPTIONS)
            event(message);
        else if (head->type == TGTRING_RESPONSE_INHERITED)
            inherited(((const struct tgtring_inherited *)message)->found);
        else
            answered(message, head->id);
    }
}

static void turn(void)
{
    struct pollfd fds[3 + CLIENTS] = {{ring.link, POLLRDHUP, 0}, {ring.response_bell, POLLIN, 0}, {free_client() ? listening : -1, POLLIN, 0}};
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        bool listens = c->state == GREETING || c->state == OPEN;
        fds[3 + i] = (struct pollfd){c->state == FREE ? -1 : c->fd, (short)((listens ? POLLIN : 0) | (owes(c) ? POLLOUT : 0)), 0};
    }
    if (poll(fds, 3 + CLIENTS, -1) < 0)
        return;
    if (fds[0].revents)
        die("the daemon has gone");
    for (int i = 0; i < CLIENTS; i++) {
        if (fds[3 + i].revents & POLLIN)
            client_readable(&clients[i]);
        else if (fds[3 + i].revents & (POLLHUP | POLLERR))
            hang_up(&clients[i]);
    }
    if (fds[2].revents)
        take_client();
    if (fds[1].revents)
        hear();
    for (struct client *c = clients; c < clients + CLIENTS; c++)
        pay(c);
    settle();
    ring_flush(&ring);
}

int main(int count, char **words)
{
    if (count != 2)
        die("usage: rawd SOCKET");
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    ring_attach(&ring, words[1], "rawd");
    if (ring.header.depth <= INHERIT_ID || ring.header.data_bytes < (uint64_t)PLACES * PLACE_BYTES || ring.header.events > EVENTS)
        die("%s: the ring has other sizes than rawd can do with", words[1]);
    for (;;)
        turn();
}
