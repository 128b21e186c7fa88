/* A UDP socket for both families, many datagrams a system call: recvmmsg and UDP_GRO in, sendmmsg
 * and UDP_SEGMENT out.  Where the kernel or a device refuses one of them the socket does without.
 * Nothing is queued here: what the kernel does not take is said, and is the caller's. */
#ifndef LOOP_DATAGRAM_H
#define LOOP_DATAGRAM_H

#include "loop/loop.h"
#include "wire/endpoint.h"

enum {
	DATAGRAM_IP_BYTES = 16,		 /* as in struct endpoint */
	DATAGRAM_BYTES_MAX = 65535,	 /* of a run */
	DATAGRAM_SEGMENTS_MAX = 64,	 /* datagrams in a run that goes out in one piece */
	DATAGRAM_RUNS_MAX = 16,		 /* received in one system call */
	DATAGRAM_BUFFER_BYTES = 7 << 20, /* of the socket, as far as the system allows */
	DATAGRAM_ROUNDS_MAX = 4,	 /* system calls before others have their turn */
};

/* Datagrams that stand one after the other in memory and go to, or came from, one place: each but
 * the last has `segment_size` bytes, and the last no more.  Of one datagram it is `size`. */
struct datagram_run {
	struct endpoint peer; /* whence or whither */
	/* Our address: received at, or sent from; zeros: any.  One that is ours no longer becomes
	 * zeros when it is sent, from any, unless there is an interface, too. */
	uint8_t local[DATAGRAM_IP_BYTES];
	uint32_t interface; /* index; 0: any */
	uint8_t *data;	    /* a receiver may write here until its callback returns */
	size_t size;
	size_t segment_size;
	enum err err; /* of datagram_send(): what became of this run */
};

struct datagram;

struct datagram_options {
	uint16_t port; /* 0: any */
	uint32_t mark; /* SO_MARK, 0: none; needs CAP_NET_ADMIN */
	bool is_v4_only;
	const uint8_t *local;	   /* DATAGRAM_IP_BYTES to bind to; NULL: every address */
	bool without_segmentation; /* one datagram a run, both ways */

	/* From the loop, never from inside a call.  At most DATAGRAM_RUNS_MAX runs, gone when it
	 * returns.  datagram_close() may be called in it. */
	void (*on_runs)(void *context, struct datagram_run *runs, size_t count);

	/* After datagram_send() took less than it was given; may be NULL. */
	void (*on_writable)(void *context);
	void *context;
};

/* ERR_BUSY: the port is taken. */
MUST_CHECK enum err datagram_open(struct loop *loop, const struct datagram_options *o,
				  struct datagram **ret);
void datagram_close(struct datagram *d); /* NULL is harmless */

/* Give runs to the kernel now.  Returns how many it dealt with: fewer than `count` when the socket
 * is full; `on_writable` comes when the rest may be tried again (of the first of them `data` and
 * `size` are what is left).  One that could not be sent for a reason of its own (no route, a
 * firewall) says so in its `err`, and counts as dealt with. */
size_t datagram_send(struct datagram *d, struct datagram_run *runs, size_t count);

/* One datagram; a full socket is ERR_BUSY, and then it is gone. */
enum err datagram_send_one(struct datagram *d, const struct endpoint *to, struct slice bytes);

/* One by IPv4 that no more than `hops` routers pass on. */
enum err datagram_send_near(struct datagram *d, const struct endpoint *to, struct slice bytes,
			    int hops);

uint16_t datagram_port(const struct datagram *d);
bool datagram_has_v6(const struct datagram *d);
bool datagram_has_segmentation(const struct datagram *d); /* UDP_SEGMENT, until a device refuses */

/* SO_MARK of what is sent from now on. */
MUST_CHECK enum err datagram_set_mark(struct datagram *d, uint32_t mark);

/* For what a socket alone can do: options of setsockopt(2).  It stays the datagram's. */
int datagram_fd(const struct datagram *d);

#endif
