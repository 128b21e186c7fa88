#include "wire/dns/message.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "base/endian.h"

enum {
	POINTER = 0xc0,
	RECORD_FIXED_BYTES = 10,
	QUESTION_FIXED_BYTES = 4,
	OPT_BYTES = 11,
	EDNS_DO = 0x8000,
};

/* --- names ------------------------------------------------------------------------------------ */

static bool name_add_label(struct dns_name *name, const uint8_t *label, size_t size)
{
	if (size > DNS_LABEL_BYTES_MAX || name->size + size + 1 > DNS_NAME_BYTES_MAX)
		return false;
	name->bytes[name->size++] = (uint8_t)size;
	memcpy(name->bytes + name->size, label, size);
	name->size = (uint8_t)(name->size + size);
	return true;
}

enum err dns_name_from_text(struct slice text, struct dns_name *ret)
{
	struct dns_name name = { .size = 0 };

	while (text.size > 0) {
		struct slice label = slice_cut(&text, '.');
		if (label.size == 0)
			return ERR_INVALID;
		if (name.size + label.size + 2 > DNS_NAME_BYTES_MAX ||
		    !name_add_label(&name, label.data, label.size))
			return ERR_TOO_BIG;
	}
	name.bytes[name.size++] = 0;
	*ret = name;
	return OK;
}

void dns_name_text(const struct dns_name *name, char ret[DNS_NAME_TEXT_BYTES])
{
	size_t used = 0;

	for (size_t i = 0; i < name->size && name->bytes[i] > 0; i += name->bytes[i] + 1u) {
		if (i > 0)
			ret[used++] = '.';
		for (size_t j = 1; j <= name->bytes[i]; j++) {
			int c = name->bytes[i + j];
			if (isgraph(c) && c != '.' && c != '\\')
				ret[used++] = (char)tolower(c);
			else
				used += (size_t)snprintf(ret + used, 5, "\\%03d", c);
		}
	}
	assert(used < DNS_NAME_TEXT_BYTES);
	ret[used] = '\0';
}

/* Lengths of labels are below 'A', so they may be compared as letters are. */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	if (a->size != b->size)
		return false;
	for (size_t i = 0; i < a->size; i++)
		if (tolower(a->bytes[i]) != tolower(b->bytes[i]))
			return false;
	return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool has(const struct dns_reader *r, size_t size)
{
	return size <= r->message.size - r->at;
}

enum err dns_read_header(struct dns_reader *r, struct dns_header *ret)
{
	if (!has(r, DNS_HEADER_BYTES))
		return ERR_INVALID;
	const uint8_t *p = r->message.data + r->at;
	*ret = (struct dns_header) {
		.id = get_u16(p),
		.flags = get_u16(p + 2),
		.questions = get_u16(p + 4),
		.answers = get_u16(p + 6),
		.authorities = get_u16(p + 8),
		.additionals = get_u16(p + 10),
	};
	r->at += DNS_HEADER_BYTES;
	return OK;
}

enum err dns_read_name(struct dns_reader *r, struct dns_name *ret)
{
	struct dns_name name = { .size = 0 };
	size_t at = r->at, begin = r->at, after = 0;

	for (;;) {
		if (at >= r->message.size)
			return ERR_INVALID;
		size_t size = r->message.data[at];
		if ((size & POINTER) == POINTER) {
			if (r->message.size - at < 2)
				return ERR_INVALID;
			size_t target = get_u16(r->message.data + at) & 0x3fffu;
			if (target >= begin)
				return ERR_INVALID;
			after = after ? after : at + 2;
			at = begin = target;
			continue;
		}
		if (size > DNS_LABEL_BYTES_MAX || size > r->message.size - at - 1 ||
		    !name_add_label(&name, r->message.data + at + 1, size))
			return ERR_INVALID;
		at += size + 1;
		if (size == 0)
			break;
	}
	r->at = after ? after : at;
	*ret = name;
	return OK;
}

enum err dns_read_question(struct dns_reader *r, struct dns_question *ret)
{
	struct dns_question q;
	struct dns_reader next = *r;

	if (dns_read_name(&next, &q.name) || !has(&next, QUESTION_FIXED_BYTES))
		return ERR_INVALID;
	q.type = get_u16(next.message.data + next.at);
	q.class = get_u16(next.message.data + next.at + 2);
	r->at = next.at + QUESTION_FIXED_BYTES;
	*ret = q;
	return OK;
}

enum err dns_read_record(struct dns_reader *r, struct dns_record *ret)
{
	struct dns_record record;
	struct dns_reader next = *r;

	if (dns_read_name(&next, &record.name) || !has(&next, RECORD_FIXED_BYTES))
		return ERR_INVALID;
	const uint8_t *p = next.message.data + next.at;
	record.type = get_u16(p);
	record.class = get_u16(p + 2);
	record.ttl_s = get_u32(p + 4);
	size_t size = get_u16(p + 8);
	next.at += RECORD_FIXED_BYTES;
	if (!has(&next, size))
		return ERR_INVALID;
	record.data_at = next.at;
	record.data = slice_part(next.message, next.at, size);
	r->at = next.at + size;
	*ret = record;
	return OK;
}

/* EDNS hides its numbers in the fields of a record: class is a size, the time to live is flags. */
static enum err take_edns(struct dns_query *q, const struct dns_record *record)
{
	if (q->has_edns || record->name.size != 1)
		return ERR_INVALID;
	q->has_edns = true;
	q->edns_version = (uint8_t)(record->ttl_s >> 16);
	q->wants_dnssec = record->ttl_s & EDNS_DO;
	if (record->class > q->udp_bytes)
		q->udp_bytes = record->class;
	return OK;
}

enum err dns_read_query(struct slice message, struct dns_query *ret)
{
	struct dns_reader r = { .message = message };
	struct dns_record record;

	*ret = (struct dns_query) { .udp_bytes = DNS_UDP_BYTES_MIN };
	if (message.size > DNS_MESSAGE_BYTES_MAX || dns_read_header(&r, &ret->header))
		return ERR_INVALID;
	ret->has_header = !(ret->header.flags & DNS_RESPONSE);
	if (!ret->has_header)
		return ERR_INVALID;
	if (ret->header.flags & DNS_OPCODE)
		return ERR_UNSUPPORTED;
	if (ret->header.questions != 1 || dns_read_question(&r, &ret->question))
		return ERR_INVALID;
	/* It is repeated as it stands, so it must not point into what is not repeated. */
	if (r.at != (size_t)DNS_HEADER_BYTES + ret->question.name.size + QUESTION_FIXED_BYTES)
		return ERR_INVALID;
	ret->question_bytes = r.at;
	uint32_t others = (uint32_t)ret->header.answers + ret->header.authorities;
	for (uint32_t i = 0; i < others + ret->header.additionals; i++) {
		if (dns_read_record(&r, &record))
			return ERR_INVALID;
		if (record.type == DNS_OPT && (i < others || take_edns(ret, &record)))
			return ERR_INVALID;
	}
	return OK;
}

bool dns_is_response_to(struct slice response, const struct dns_query *query)
{
	struct dns_reader r = { .message = response };
	struct dns_header header;
	struct dns_question question;
	struct dns_record record;

	if (response.size > DNS_MESSAGE_BYTES_MAX || dns_read_header(&r, &header) ||
	    !(header.flags & DNS_RESPONSE) || (header.flags & DNS_OPCODE) ||
	    header.id != query->header.id || header.questions != 1 ||
	    dns_read_question(&r, &question))
		return false;
	uint32_t count = (uint32_t)header.answers + header.authorities + header.additionals;
	for (uint32_t i = 0; i < count; i++)
		if (dns_read_record(&r, &record))
			return header.flags & DNS_TRUNCATED; /* some servers just cut it off */
	return question.type == query->question.type && question.class == query->question.class &&
	       dns_name_equal(&question.name, &query->question.name);
}

/* --- writing ---------------------------------------------------------------------------------- */

void dns_answer_begin(struct dns_writer *w, struct buf *out, const struct dns_query *query,
		      struct slice question, size_t size_max)
{
	assert(query->has_header && size_max >= DNS_UDP_BYTES_MIN);
	assert(query->question_bytes <= question.size);
	*w = (struct dns_writer) { .out = out,
				   .begin = out->size,
				   .size_max = size_max < DNS_MESSAGE_BYTES_MAX
						       ? size_max
						       : DNS_MESSAGE_BYTES_MAX,
				   .query = query };
	buf_add_zero(out, DNS_HEADER_BYTES);
	if (query->question_bytes)
		buf_add_slice(out, slice_part(question, DNS_HEADER_BYTES,
					      query->question_bytes - DNS_HEADER_BYTES));
}

static void add_name(struct dns_writer *w, const struct dns_name *name)
{
	if (w->query->question_bytes && dns_name_equal(name, &w->query->question.name))
		buf_add_u16(w->out, POINTER << 8 | DNS_HEADER_BYTES);
	else
		buf_add(w->out, name->bytes, name->size);
}

void dns_answer_add(struct dns_writer *w, enum dns_section section, const struct dns_name *name,
		    uint16_t type, uint32_t ttl_s, struct slice data)
{
	size_t before = w->out->size, room = w->size_max - (w->query->has_edns ? OPT_BYTES : 0);

	if (w->is_truncated || data.size > UINT16_MAX) {
		w->is_truncated = true;
		return;
	}
	add_name(w, name);
	buf_add_u16(w->out, type);
	buf_add_u16(w->out, DNS_CLASS_IN);
	buf_add_u32(w->out, ttl_s);
	buf_add_u16(w->out, (uint16_t)data.size);
	buf_add_slice(w->out, data);
	if (w->out->size - w->begin <= room) {
		w->counts[section]++;
		return;
	}
	w->out->size = before;
	w->is_truncated = section == DNS_ANSWER;
}

static void add_edns(struct dns_writer *w, enum dns_rcode rcode)
{
	buf_add_u8(w->out, 0);
	buf_add_u16(w->out, DNS_OPT);
	buf_add_u16(w->out, DNS_UDP_BYTES_MAX);
	buf_add_u32(w->out, (uint32_t)(rcode >> 4) << 24 | (w->query->wants_dnssec ? EDNS_DO : 0));
	buf_add_u16(w->out, 0);
	w->counts[DNS_ADDITIONAL]++;
}

void dns_answer_end(struct dns_writer *w, enum dns_rcode rcode, uint16_t flags)
{
	uint16_t kept = w->query->header.flags &
			(DNS_OPCODE | DNS_RECURSION_DESIRED | DNS_CHECKING_DISABLED);

	if (w->query->has_edns)
		add_edns(w, rcode);
	uint8_t *p = w->out->data + w->begin;
	put_u16(p, w->query->header.id);
	put_u16(p + 2, (uint16_t)(DNS_RESPONSE | kept | flags | (rcode & DNS_RCODE) |
				  (w->is_truncated ? DNS_TRUNCATED : 0)));
	put_u16(p + 4, w->query->question_bytes ? 1 : 0);
	for (size_t i = 0; i < 3; i++)
		put_u16(p + 6 + 2 * i, w->counts[i]);
}

void dns_query_write(struct buf *out, uint16_t id, const struct dns_name *name, uint16_t type)
{
	buf_add_u16(out, id);
	buf_add_u16(out, DNS_RECURSION_DESIRED);
	buf_add_u16(out, 1);
	buf_add_u32(out, 0);
	buf_add_u16(out, 1);
	buf_add(out, name->bytes, name->size);
	buf_add_u16(out, type);
	buf_add_u16(out, DNS_CLASS_IN);
	buf_add_u8(out, 0);
	buf_add_u16(out, DNS_OPT);
	buf_add_u16(out, DNS_UDP_BYTES_MAX);
	buf_add_u32(out, 0);
	buf_add_u16(out, 0);
}
