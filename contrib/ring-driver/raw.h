/* SPDX-License-Identifier: Apache-2.0
 *
 * What rawd knows of its clients. */

#ifndef RAW_H
#define RAW_H

#include "ring.h"

#include <stdbool.h>
#include <sys/un.h>

enum { CLIENTS = 8, JOBS = 33, JOBS_OF_ALL = CLIENTS * JOBS };
enum { DATA_BYTES = 65536, PAPERS_BYTES = 4096, PLACE_BYTES = 2 * DATA_BYTES + PAPERS_BYTES };
enum { PORT_ID_BYTES = 16, PROTOCOL_SRP = 4, PATH_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) };

struct packet { /* what clients and rawd say to each other begins with this */
    uint8_t kind;
    uint8_t code;
    uint16_t length;
    uint32_t out, in, reserved;
    uint64_t tag, lun, referenced;
};

struct job { /* one of a client's unanswered requests, or an answer that the client has not taken; its id is its number */
    enum job_state { IDLE, IN_CORE, WANT_OWED, WANTED, ANSWER_OWED } state;
    uint32_t present, in_room, data_in;
    uint64_t order; /* of what is owed, the oldest goes first */
    struct packet packet;
    uint8_t sense[TGTRING_SENSE_BYTES];
};

struct client {
    enum { FREE, GREETING, ADMITTING, OPENING, OPEN, CLOSING } state;
    int fd; /* -1 when the client has gone */
    uint32_t session, target;
    char initiator[PORT_ID_BYTES + 1];
    struct job jobs[JOBS]; /* the first one is for the nexus itself */
};

struct target {
    struct target *next;
    uint32_t number;
    char name[TGTRING_NAME_BYTES_MAX + 1];
};

extern struct client clients[CLIENTS];
extern struct target *targets;
extern struct ring ring;
extern char portal[PATH_BYTES];
extern uint64_t commands;

/* Where a job has its data-out, its data-in and its papers, one after the other. */
static inline uint64_t place(uint64_t id) { return id * PLACE_BYTES; }

const char *target_name(uint32_t number);

/* Whether text can be put into JSON, and shown, as it is. */
bool plain(const uint8_t *text, size_t length);

void client_readable(struct client *c);

/* Send what is owed, as far as the client takes it. */
void pay(struct client *c);
bool owes(struct client *c);

/* End a session; its client is free when the core has answered everything. */
void hang_up(struct client *c);

/* An answer of the core to one of the jobs. */
void answered(const void *message, uint64_t id);

#endif
