/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients: what they say becomes requests, and what the core answers becomes packets. */

#define _GNU_SOURCE
#include "raw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client clients[CLIENTS];
uint64_t commands;

static uint32_t last_session;
static uint64_t orders;

static uint64_t id_of(const struct client *c, const struct job *j)
{
    return (uint64_t)((c - clients) * JOBS + (j - c->jobs));
}

bool plain(const uint8_t *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
            return false;
    return true;
}

void hang_up(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    for (struct job *j = c->jobs; j < c->jobs + JOBS; j++)
        if (j->state == ANSWER_OWED)
            j->state = IDLE;
    if (c->state == GREETING) {
        c->state = FREE;
    } else if (c->state == OPEN) { /* its commands end in silence now, and then comes NEXUS_CLOSED */
        struct tgtring_nexus_close *request = ring_post(&ring, TGTRING_REQUEST_NEXUS_CLOSE);
        request->nexus = c->session;
        request->id = id_of(c, c->jobs);
        c->state = CLOSING;
    }
}

/* Send a packet; false when the client takes none now. */
static bool tell(struct client *c, const struct packet *packet, const void *first, size_t n, const void *second, size_t m)
{
    struct iovec pieces[] = {{(void *)(uintptr_t)packet, sizeof *packet}, {(void *)(uintptr_t)first, n}, {(void *)(uintptr_t)second, m}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    if (sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return true;
    if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
        return false;
    hang_up(c);
    return true;
}

static void welcome(struct client *c, const char *refusal)
{
    struct packet packet = {.kind = 'R', .code = *refusal != 0};
    bool told = c->fd < 0 || tell(c, &packet, refusal, strlen(refusal), NULL, 0);
    c->state = *refusal ? GREETING : OPEN;
    if (!told || *refusal || c->fd < 0)
        hang_up(c);
}

static void owe(struct job *j, int state)
{
    if (j->state != WANT_OWED)
        j->order = ++orders;
    j->state = state;
}

static struct job *oldest_owed(struct client *c)
{
    struct job *found = NULL;
    for (struct job *j = c->jobs; j < c->jobs + JOBS; j++)
        if ((j->state == WANT_OWED || j->state == ANSWER_OWED) && (!found || j->order < found->order))
            found = j;
    return c->fd < 0 ? NULL : found;
}

bool owes(struct client *c)
{
    return oldest_owed(c) != NULL;
}

void pay(struct client *c)
{
    for (struct job *j; (j = oldest_owed(c));) {
        const uint8_t *data_in = ring.data + place(id_of(c, j)) + DATA_BYTES;
        bool wanted = j->state == WANT_OWED;
        if (!tell(c, &j->packet, j->sense, wanted ? 0 : j->packet.length, data_in, wanted ? 0 : j->data_in))
            return;
        j->state = wanted ? WANTED : IDLE;
    }
}

static struct job *job_of(struct client *c, uint64_t tag)
{
    for (struct job *j = c->jobs + 1; j < c->jobs + JOBS; j++)
        if (j->state != IDLE && j->packet.tag == tag)
            return j;
    return NULL;
}

/* A free job for a tag, or NULL: the tag is in use, or too many are. */
static struct job *new_job(struct client *c, uint64_t tag)
{
    if (job_of(c, tag))
        return NULL;
    for (struct job *j = c->jobs + 1; j < c->jobs + JOBS; j++)
        if (j->state == IDLE) {
            memset(j, 0, sizeof *j);
            j->state = IN_CORE;
            j->packet.tag = tag;
            return j;
        }
    return NULL;
}

/* ---- what clients say; false: it can't be ---- */

/* Append a word with its length before it. */
static uint8_t *word(uint8_t *at, const void *text, size_t length)
{
    *at++ = (uint8_t)length;
    *at++ = (uint8_t)(length >> 8);
    memcpy(at, text, length);
    return at + length;
}

/* The four words of ADMIT and NEXUS_OPEN; returns their length. */
static uint32_t login_words(const struct client *c, uint64_t at, const char *last)
{
    uint8_t transport_id[24] = {PROTOCOL_SRP}; /* SPC-5 7.6.4: the initiator port identifier from byte 8 on */
    memcpy(transport_id + 8, c->initiator, PORT_ID_BYTES);
    uint8_t *begin = ring.data + at, *end = word(begin, c->initiator, strlen(c->initiator));
    end = word(word(end, "", 0), transport_id, sizeof transport_id);
    return (uint32_t)(word(end, last, strlen(last)) - begin);
}

static bool hello(struct client *c, const struct packet *p, const uint8_t *rest, size_t length)
{
    if (!p->length || p->length > PORT_ID_BYTES || p->length > length || !plain(rest, p->length))
        return false;
    memset(c->initiator, 0, sizeof c->initiator);
    memcpy(c->initiator, rest, p->length);
    for (struct target *t = targets; t; t = t->next)
        if (strlen(t->name) == length - p->length && !memcmp(t->name, rest + p->length, length - p->length)) {
            uint64_t id = id_of(c, c->jobs), at = place(id);
            struct tgtring_admit *request = ring_post(&ring, TGTRING_REQUEST_ADMIT);
            request->target = c->target = t->number;
            request->id = id;
            request->offset = at;
            request->length = login_words(c, at, portal);
            c->session = ++last_session;
            c->state = ADMITTING;
            return true;
        }
    welcome(c, "there is no such target");
    return true;
}

static bool command(struct client *c, const struct packet *p, const uint8_t *rest, size_t length)
{
    size_t present = length - p->length;
    if (!p->length || p->length > TGTRING_CDB_BYTES_MAX || p->length > length || present > p->out || p->out > DATA_BYTES || p->in > DATA_BYTES)
        return false;
    struct job *j = new_job(c, p->tag);
    if (!j)
        return false;
    uint64_t id = id_of(c, j), at = place(id);
    struct tgtring_command *request = ring_post(&ring, TGTRING_REQUEST_COMMAND);
    request->attribute = p->code;
    request->cdb_length = p->length;
    request->nexus = c->session;
    request->id = id;
    request->lun = p->lun;
    request->data_out_offset = at;
    request->data_out_length = j->present = (uint32_t)present;
    request->data_out_expected = p->out;
    request->data_in_offset = at + DATA_BYTES;
    request->data_in_room = request->data_in_expected = j->in_room = p->in;
    request->cdb_offset = at + 2 * DATA_BYTES;
    memcpy(p->length > TGTRING_CDB_INLINE_BYTES ? ring.data + request->cdb_offset : request->cdb, rest, p->length);
    memcpy(ring.data + at, rest + p->length, present);
    commands++;
    return true;
}

static bool data(struct client *c, const struct packet *p, const uint8_t *rest, size_t length)
{
    struct job *j = job_of(c, p->tag);
    if (!j || j->state == ANSWER_OWED)
        return true; /* the command has ended meanwhile */
    if (j->state != WANTED || length != j->packet.out - j->present)
        return false;
    struct tgtring_data *request = ring_post(&ring, TGTRING_REQUEST_DATA);
    request->id = id_of(c, j);
    request->offset = place(request->id);
    request->length = j->packet.out;
    memcpy(ring.data + request->offset + j->present, rest, length); /* behind what came with the command */
    j->state = IN_CORE;
    return true;
}

static bool manage(struct client *c, const struct packet *p)
{
    struct job *meant = job_of(c, p->referenced), *j = new_job(c, p->tag);
    if (!j || p->code < TGTRING_FUNCTION_ABORT_TASK || p->code > TGTRING_FUNCTION_NEXUS_TASKS)
        return false;
    struct tgtring_task_management *request = ring_post(&ring, TGTRING_REQUEST_TASK_MANAGEMENT);
    request->function = p->code;
    request->nexus = c->session;
    request->id = id_of(c, j);
    request->lun = p->lun;
    request->referenced = meant ? id_of(c, meant) : UINT64_MAX;
    return true;
}

void client_readable(struct client *c)
{
    static uint8_t room[sizeof(struct packet) + TGTRING_CDB_BYTES_MAX + DATA_BYTES + 1];
    ssize_t length = recv(c->fd, room, sizeof room, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    struct packet p;
    bool good = length >= (ssize_t)sizeof p && length < (ssize_t)sizeof room;
    if (good) {
        memcpy(&p, room, sizeof p);
        const uint8_t *rest = room + sizeof p;
        size_t left = (size_t)length - sizeof p;
        good = c->state == GREETING ? p.kind == 'H' && hello(c, &p, rest, left)
             : p.kind == 'C'        ? command(c, &p, rest, left)
             : p.kind == 'D'        ? data(c, &p, rest, left)
                                    : p.kind == 'M' && manage(c, &p);
    }
    if (!good)
        hang_up(c);
}

/* ---- answers of the core ---- */

static void completed(struct client *c, struct job *j, const struct tgtring_completion *m)
{
    j->packet = (struct packet){.kind = 'S', .code = m->status, .out = m->wanted_out, .tag = j->packet.tag};
    j->packet.length = (uint16_t)(m->sense_length < sizeof j->sense ? m->sense_length : sizeof j->sense);
    j->packet.in = (uint32_t)(m->data_in_length < UINT32_MAX ? m->data_in_length : UINT32_MAX);
    j->data_in = m->data_in_length < j->in_room ? (uint32_t)m->data_in_length : j->in_room;
    memcpy(j->sense, m->sense, j->packet.length);
    owe(j, m->flags & TGTRING_SILENT || c->fd < 0 ? IDLE : ANSWER_OWED);
}

static void admitted(struct client *c, bool yes)
{
    uint64_t id = id_of(c, c->jobs), at = place(id);
    char port[TGTRING_NAME_BYTES_MAX + 8];
    if (!yes || c->fd < 0) {
        welcome(c, "this initiator is not admitted");
        return;
    }
    snprintf(port, sizeof port, "%s,raw", target_name(c->target));
    struct tgtring_nexus_open *request = ring_post(&ring, TGTRING_REQUEST_NEXUS_OPEN);
    request->protocol = PROTOCOL_SRP;
    request->relative_id = 1;
    request->group = 1;
    request->nexus = c->session;
    request->id = id;
    request->target = c->target;
    request->offset = at;
    request->length = login_words(c, at, port);
    c->state = OPENING;
}

static void opened(struct client *c, const struct tgtring_nexus_opened *m)
{
    char text[TGTRING_SENSE_BYTES + 1] = "";
    memcpy(text, m->text, m->text_length < sizeof m->text ? m->text_length : sizeof m->text);
    welcome(c, m->status == TGTRING_OPEN_OPENED ? "" : *text ? text : "the core does not say why not");
}

void answered(const void *message, uint64_t id)
{
    struct client *c = &clients[id / JOBS];
    struct job *j = &c->jobs[id % JOBS];
    const uint8_t *type = message;
    switch (*type) {
    case TGTRING_RESPONSE_COMPLETION:
        completed(c, j, message);
        break;
    case TGTRING_RESPONSE_WANT_DATA: {
        const struct tgtring_want_data *m = message;
        j->packet = (struct packet){.kind = 'W', .out = m->wanted_out, .tag = j->packet.tag};
        owe(j, WANT_OWED);
        break;
    }
    case TGTRING_RESPONSE_TASK_MANAGEMENT_DONE: {
        const struct tgtring_task_management_done *m = message;
        j->packet = (struct packet){.kind = 'A', .code = m->response, .tag = j->packet.tag};
        owe(j, c->fd < 0 ? IDLE : ANSWER_OWED);
        break;
    }
    case TGTRING_RESPONSE_ADMITTED:
        admitted(c, ((const struct tgtring_admitted *)message)->admitted);
        break;
    case TGTRING_RESPONSE_NEXUS_OPENED:
        opened(c, message);
        break;
    case TGTRING_RESPONSE_NEXUS_CLOSED:
        c->state = FREE;
        break;
    default:
        die("the core says something unknown: message type %d", *type);
    }
}
