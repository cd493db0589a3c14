/* SPDX-License-Identifier: Apache-2.0
 *
 * A driver's end of the ring: attach, post requests, take responses and events.  Nothing here knows what they mean. */

#ifndef RING_H
#define RING_H

#include "tgtring.h"

struct ring {
    int link;          /* the attachment: when it ends, the core is gone */
    int response_bell; /* readable when there is something to take */
    struct tgtring_header header; /* a copy */
    uint8_t *data;     /* the data area */
    int request_bell;
    uint8_t *memory;
    uint64_t posted, rung;     /* requests written, and announced */
    uint64_t taken, announced; /* responses and events read, and there to be read */
};

/* Attach to the core that listens at a path; what goes wrong ends the program. */
void ring_attach(struct ring *ring, const char *path, const char *name);

/* The slot of the next request, all zeroes, in which to write it at once. */
void *ring_post(struct ring *ring, uint8_t type);

/* Tell the core of what was posted. */
void ring_flush(struct ring *ring);

/* The next response or event, or NULL; it stays until something is posted. */
const void *ring_take(struct ring *ring);

uint8_t *ring_event_buffer(const struct ring *ring, uint32_t number);

/* What comes with a packet over the attachment: a descriptor, or -1; the core's end ends the program. */
int ring_receive(const struct ring *ring);

/* Pass a listening socket on, with its address. */
void ring_pass_on(const struct ring *ring, const char *address, int listening);

/* Print why and end the program. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
