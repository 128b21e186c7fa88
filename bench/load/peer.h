/* One connection to a broker: requests go out as they are, answers come in whole. */
#ifndef BENCH_LOAD_PEER_H
#define BENCH_LOAD_PEER_H

#include "base/arena.h"
#include "base/buf.h"
#include "wire/kafka/schema.h"

struct load;
struct peer;

/* An answer behind its header; what it points to is valid until the function returns. */
typedef void peer_on_answer(struct peer *p, struct slice body);

struct peer {
	struct load *load;
	int fd;
	bool is_full; /* room to send is waited for */
	struct buf out, in;
	size_t sent;
	int32_t correlation;
	peer_on_answer *on_answer;
};

struct peers {
	int epoll;
	struct arena arena; /* of the answer that is being looked at */
};

void peers_open(struct peers *all);

/* Exits when there is no connection.  It blocks until peer_watch(). */
void peer_open(struct peer *p, struct load *l);

/* Append a request, and send what fits. */
void peer_send(struct peer *p, const struct schema *s, int version, const void *request);

/* While it blocks: the next answer, decoded into `ret`; valid until the next call. */
void peer_receive(struct peer *p, const struct schema *s, int version, void *ret);

/* Decode what on_answer() got; exits when it is something else. */
void peer_decode(struct peer *p, const struct schema *s, int version, struct slice body, void *ret);

/* From now on on_answer() is called by peers_wait(). */
void peer_watch(struct peer *p, peer_on_answer *on_answer);

/* Until `until_us` or until something came; sets load->now_us. */
void peers_wait(struct load *l, uint64_t until_us);

#endif
