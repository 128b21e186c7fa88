/* DNS messages (RFC 1035, EDNS of RFC 6891).
 *
 *	header 12 | questions | answers | authorities | additionals
 *
 * A name is a sequence of labels, each with its length before it, up to a length of zero; or ends
 * in a pointer, two bytes that begin with 11, to labels further in front.  A pointer here must
 * point before the labels that led to it, so there are no loops, and a name costs at most
 * DNS_NAME_BYTES_MAX steps.
 */
#ifndef WIRE_DNS_MESSAGE_H
#define WIRE_DNS_MESSAGE_H

#include "base/buf.h"

enum {
	DNS_HEADER_BYTES = 12,
	DNS_LABEL_BYTES_MAX = 63,
	DNS_NAME_BYTES_MAX = 255,		      /* as it is sent, with its last zero */
	DNS_NAME_TEXT_BYTES = 4 * DNS_NAME_BYTES_MAX, /* with \DDD for what is not printable */
	DNS_MESSAGE_BYTES_MAX = 65535,		      /* over TCP */
	DNS_UDP_BYTES_MIN = 512,		      /* what everybody takes */
	DNS_UDP_BYTES_MAX = 1232,		      /* what fits into every IPv6 packet */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* only with EDNS */
};

/* Bits of the header. */
enum {
	DNS_RESPONSE = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_AUTHORITATIVE = 0x0400,
	DNS_TRUNCATED = 0x0200,
	DNS_RECURSION_DESIRED = 0x0100,
	DNS_RECURSION_AVAILABLE = 0x0080,
	DNS_CHECKING_DISABLED = 0x0010,
	DNS_RCODE = 0x000f,
};

/* As it is sent, without pointers; case as it came. */
struct dns_name {
	uint8_t size; /* with the last zero; 0: none */
	uint8_t bytes[DNS_NAME_BYTES_MAX];
};

/* "a.example" or "a.example."; "" is the root.  ERR_INVALID, ERR_TOO_BIG. */
MUST_CHECK enum err dns_name_from_text(struct slice text, struct dns_name *ret);

/* Without a full stop at the end; the root is "".  Upper case becomes lower. */
void dns_name_text(const struct dns_name *name, char ret[DNS_NAME_TEXT_BYTES]);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b); /* whatever the case */

/* --- reading: ERR_INVALID is a message that breaks the format --------------------------------- */

struct dns_header {
	uint16_t id, flags;
	uint16_t questions, answers, authorities, additionals; /* what it says there are */
};

struct dns_question {
	struct dns_name name;
	uint16_t type, class;
};

struct dns_record {
	struct dns_name name;
	uint16_t type, class;
	uint32_t ttl_s;
	struct slice data;
	size_t data_at; /* where in the message, for names in it */
};

struct dns_reader {
	struct slice message;
	size_t at;
};

MUST_CHECK enum err dns_read_header(struct dns_reader *r, struct dns_header *ret);
MUST_CHECK enum err dns_read_name(struct dns_reader *r, struct dns_name *ret);
MUST_CHECK enum err dns_read_question(struct dns_reader *r, struct dns_question *ret);
MUST_CHECK enum err dns_read_record(struct dns_reader *r, struct dns_record *ret);

/* What was asked.  On ERR_INVALID and ERR_UNSUPPORTED `ret` has id and flags if `message` has a
 * header at all (has_header), and dns_answer_begin() can refuse with them. */
struct dns_query {
	struct dns_header header;
	struct dns_question question;
	size_t question_bytes; /* of the header and it; 0: no question was understood */
	bool has_header;
	bool has_edns;
	bool wants_dnssec;
	uint8_t edns_version;
	uint16_t udp_bytes; /* the asker takes; at least DNS_UDP_BYTES_MIN */
};

/* ERR_UNSUPPORTED: an opcode that is not QUERY. */
MUST_CHECK enum err dns_read_query(struct slice message, struct dns_query *ret);

/* True where `response` is a whole answer to `query` by its id and question. */
bool dns_is_response_to(struct slice response, const struct dns_query *query);

/* --- writing ---------------------------------------------------------------------------------- */

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

/* Adds one message at the end of `out`.  Records are added in the order of the sections. */
struct dns_writer {
	struct buf *out;
	size_t begin;
	size_t size_max;
	const struct dns_query *query;
	uint16_t counts[3];
	bool is_truncated;
};

/* `question` is where the query stands: its bytes are repeated as they came.  `size_max` is what
 * the way back carries. */
void dns_answer_begin(struct dns_writer *w, struct buf *out, const struct dns_query *query,
		      struct slice question, size_t size_max);

/* What does not fit is left out, and the answer says that it is truncated. */
void dns_answer_add(struct dns_writer *w, enum dns_section section, const struct dns_name *name,
		    uint16_t type, uint32_t ttl_s, struct slice data);
void dns_answer_end(struct dns_writer *w, enum dns_rcode rcode, uint16_t flags);

/* A query of one question, with EDNS. */
void dns_query_write(struct buf *out, uint16_t id, const struct dns_name *name, uint16_t type);

#endif
