/* Bytes of a record: writing the header, reading everything with suspicion. */
#include "cells/cell_record.h"

#include <assert.h>

#include "base/endian.h"
#include "cells/cell_envelope.h"
#include "cells/cell_private.h"

static const struct cell_envelope envelope = {
	.what = "a cell record",
	.magic = CELL_RECORD_MAGIC,
	.version = CELL_RECORD_VERSION,
	.bytes_max = CELL_RECORD_BYTES_MAX,
};

size_t cell_record_begin(struct buf *b, const char *name, struct cell_state after)
{
	size_t start = cell_envelope_begin(b, &envelope);
	size_t name_size = strlen(name);

	assert(name_size > 0 && name_size <= CELL_NAME_BYTES_MAX);
	buf_add_u64(b, after.sequence);
	buf_add_u64(b, after.now_ms);
	buf_add_u64(b, after.hash.high);
	buf_add_u64(b, after.hash.low);
	buf_add_u8(b, (uint8_t)name_size);
	assert(b->size - start == CELL_RECORD_HEADER_BYTES);
	buf_add(b, name, name_size);
	return start;
}

void cell_record_finish(struct buf *b, size_t start)
{
	cell_envelope_finish(b, &envelope, start);
}

enum err cell_record_read(struct slice bytes, struct cell_record_header *ret,
			  char why[CELL_WHY_BYTES])
{
	struct cell_record_header header;
	struct slice body;
	enum err err = cell_envelope_read(bytes, &envelope, &body, why);

	if (err)
		return err;
	struct cell_reader r = { body, false };
	header.record_bytes = CELL_ENVELOPE_BYTES + body.size;
	header.after.sequence = cell_read_number(&r, 8);
	header.after.now_ms = cell_read_number(&r, 8);
	header.after.hash.high = cell_read_number(&r, 8);
	header.after.hash.low = cell_read_number(&r, 8);
	header.cell_name = cell_read_bytes(&r, cell_read_number(&r, 1));
	header.changes = r.rest;
	if (r.bad || header.cell_name.size == 0 || header.cell_name.size > CELL_NAME_BYTES_MAX) {
		cell_explain(why, "the cell's name in a cell record has a wrong size");
		return ERR_CORRUPT;
	}
	*ret = header;
	return OK;
}

uint64_t cell_read_number(struct cell_reader *r, size_t size)
{
	uint64_t number = 0;
	struct slice bytes = cell_read_bytes(r, size);

	assert(size <= 8);
	for (size_t i = 0; i < bytes.size; i++)
		number = number << 8 | bytes.data[i];
	return number;
}

struct slice cell_read_bytes(struct cell_reader *r, size_t size)
{
	if (r->bad || size > r->rest.size) {
		r->bad = true;
		return (struct slice) { (const uint8_t *)"", 0 };
	}

	struct slice bytes = slice_part(r->rest, 0, size);
	r->rest = slice_part(r->rest, size, r->rest.size);
	return bytes;
}

static void read_row_change(struct cell_reader *r, struct cell_decoded *d)
{
	d->table = (unsigned)cell_read_number(r, 2);
	if (d->code == CHANGE_MOVE)
		d->old_rowid = (int64_t)cell_read_number(r, 8);
	d->rowid = (int64_t)cell_read_number(r, 8);
	if (d->code != CHANGE_MOVE)
		d->old_rowid = d->rowid;
	if (d->code == CHANGE_UPDATE || d->code == CHANGE_MOVE)
		d->columns = cell_read_number(r, 8);
}

bool cell_read_change(struct cell_reader *r, struct cell_decoded *ret)
{
	if (r->bad || r->rest.size == 0)
		return false;

	struct cell_decoded d = { .code = (enum cell_change_code)cell_read_number(r, 1) };
	switch (d.code) {
	case CHANGE_TABLE:
		d.column_count = (unsigned)cell_read_number(r, 1);
		d.name = cell_read_bytes(r, cell_read_number(r, 1));
		break;
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_MOVE:
	case CHANGE_DELETE:
		read_row_change(r, &d);
		break;
	case CHANGE_SCHEMA:
		d.version = (uint32_t)cell_read_number(r, 4);
		d.name = cell_read_bytes(r, cell_read_number(r, 1));
		d.sql = cell_read_bytes(r, cell_read_number(r, 4));
		break;
	default:
		r->bad = true;
	}
	if (!r->bad)
		*ret = d;
	return !r->bad;
}

static void add_integer(struct buf *b, int64_t number)
{
	uint8_t bytes[8];
	unsigned size = 1;

	while (size < 8 && (number >> (8 * size - 1)) != 0 && (number >> (8 * size - 1)) != -1)
		size++;
	put_u64(bytes, (uint64_t)number);
	buf_add_u8(b, (uint8_t)size);
	buf_add(b, bytes + 8 - size, size);
}

static void add_bytes(struct buf *b, enum cell_value_code code, const void *data, int size)
{
	assert(size >= 0);
	if (size <= UINT8_MAX) {
		buf_add_u8(b, (uint8_t)code);
		buf_add_u8(b, (uint8_t)size);
	} else {
		buf_add_u8(b, (uint8_t)(code + 1));
		buf_add_u32(b, (uint32_t)size);
	}
	buf_add(b, data, (size_t)size);
}

void cell_value_add(struct buf *b, sqlite3_value *value)
{
	switch (sqlite3_value_type(value)) {
	case SQLITE_NULL:
		buf_add_u8(b, VALUE_NULL);
		return;
	case SQLITE_INTEGER:
		add_integer(b, sqlite3_value_int64(value));
		return;
	case SQLITE_FLOAT: {
		double number = sqlite3_value_double(value);
		uint64_t bits;
		memcpy(&bits, &number, sizeof(bits));
		buf_add_u8(b, VALUE_DOUBLE);
		buf_add_u64(b, bits);
		return;
	}
	case SQLITE_TEXT: {
		const void *text = sqlite3_value_text(value);
		add_bytes(b, VALUE_TEXT_SHORT, text, sqlite3_value_bytes(value));
		return;
	}
	case SQLITE_BLOB: {
		const void *blob = sqlite3_value_blob(value);
		add_bytes(b, VALUE_BLOB_SHORT, blob, sqlite3_value_bytes(value));
		return;
	}
	}
	assert(false); /* SQLite has five types */
}

struct value {
	enum cell_value_code code;
	uint64_t bits; /* of numbers, sign-extended */
	struct slice bytes;
};

static struct value read_value(struct cell_reader *r)
{
	uint64_t code = cell_read_number(r, 1);
	struct value v = { .code = (enum cell_value_code)code };

	if (code > VALUE_BLOB) {
		r->bad = true;
	} else if (code > VALUE_NULL && code < VALUE_DOUBLE) {
		unsigned unused_bits = 64 - 8 * (unsigned)code;
		uint64_t number = cell_read_number(r, code);
		v.bits = (uint64_t)((int64_t)(number << unused_bits) >> unused_bits);
	} else if (code == VALUE_DOUBLE) {
		v.bits = cell_read_number(r, 8);
	} else if (code != VALUE_NULL) {
		bool is_short = code == VALUE_TEXT_SHORT || code == VALUE_BLOB_SHORT;
		v.bytes = cell_read_bytes(r, cell_read_number(r, is_short ? 1 : 4));
		if (v.bytes.size > CELL_VALUE_BYTES_MAX)
			r->bad = true;
	}
	return v;
}

void cell_value_skip(struct cell_reader *r)
{
	read_value(r);
}

void cell_value_bind(struct cell_reader *r, sqlite3_stmt *statement, int parameter)
{
	struct value v = read_value(r);
	int code = SQLITE_OK;

	if (r->bad)
		return;
	if (v.code == VALUE_NULL) {
		code = sqlite3_bind_null(statement, parameter);
	} else if (v.code < VALUE_DOUBLE) {
		code = sqlite3_bind_int64(statement, parameter, (int64_t)v.bits);
	} else if (v.code == VALUE_DOUBLE) {
		double number;
		memcpy(&number, &v.bits, sizeof(number));
		code = sqlite3_bind_double(statement, parameter, number);
	} else if (v.code == VALUE_TEXT_SHORT || v.code == VALUE_TEXT) {
		code = sqlite3_bind_text(statement, parameter, (const char *)v.bytes.data,
					 (int)v.bytes.size, SQLITE_STATIC);
	} else {
		code = sqlite3_bind_blob(statement, parameter, v.bytes.data, (int)v.bytes.size,
					 SQLITE_STATIC);
	}
	assert(code == SQLITE_OK);
}
