#include "buckets/s3_xml.h"

#include <assert.h>
#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"

enum element {
	OTHER,
	LIST,
	CONTENTS,
	KEY,
	SIZE,
	TRUNCATED,
	TOKEN,
	ENCODING,
	ERROR,
	CODE,
	MESSAGE,
	REGION,
	BEGUN,
	UPLOAD_ID,
	ENDED,
	CHECKSUM,
	UPLOADS,
	UPLOAD,
	UPLOAD_KEY,
	UPLOAD_LEFT,
	INITIATED,
	NEXT_KEY,
	NEXT_ID
};

/* What is understood, and only where it belongs. */
static const struct row {
	const char *name;
	enum element parent, element;
} rows[] = {
	{ "ListBucketResult", OTHER, LIST },
	{ "Contents", LIST, CONTENTS },
	{ "Key", CONTENTS, KEY },
	{ "Size", CONTENTS, SIZE },
	{ "IsTruncated", LIST, TRUNCATED },
	{ "NextContinuationToken", LIST, TOKEN },
	{ "EncodingType", LIST, ENCODING },
	{ "Error", OTHER, ERROR },
	{ "Code", ERROR, CODE },
	{ "Message", ERROR, MESSAGE },
	{ "Region", ERROR, REGION },
	{ "InitiateMultipartUploadResult", OTHER, BEGUN },
	{ "InitiateMultipartUpload", OTHER, BEGUN }, /* as rclone's has it */
	{ "UploadId", BEGUN, UPLOAD_ID },
	{ "CompleteMultipartUploadResult", OTHER, ENDED },
	{ "CompleteMultipartUploadResponse", OTHER, ENDED }, /* as moto has it */
	{ "ChecksumCRC32C", ENDED, CHECKSUM },
	{ "ListMultipartUploadsResult", OTHER, UPLOADS },
	{ "Upload", UPLOADS, UPLOAD },
	{ "Key", UPLOAD, UPLOAD_KEY },
	{ "UploadId", UPLOAD, UPLOAD_LEFT },
	{ "Initiated", UPLOAD, INITIATED },
	{ "IsTruncated", UPLOADS, TRUNCATED },
	{ "NextKeyMarker", UPLOADS, NEXT_KEY },
	{ "NextUploadIdMarker", UPLOADS, NEXT_ID },
	{ "EncodingType", UPLOADS, ENCODING },
};

struct reader {
	XML_Parser parser;
	struct arena *arena;
	enum err err;
	int depth; /* 0: outside of everything */
	enum element path[S3_XML_DEPTH_MAX];
	enum element root;
	char text[S3_XML_TEXT_BYTES_MAX];
	size_t text_size;
	bool is_encoded;	/* keys are written with %XX */
	bool has_key, has_size; /* of the object that is being read */
	uint64_t size;
	struct s3_list list;
	struct s3_begun begun; /* that is being read */
	struct s3_begun_list uploads;
	struct s3_error error;
	struct s3_upload upload;
};

static void give_up(struct reader *r, enum err err)
{
	if (!r->err)
		r->err = err;
	XML_StopParser(r->parser, XML_FALSE);
}

static enum element element_of(const struct reader *r, const char *name)
{
	enum element parent = r->depth ? r->path[r->depth - 1] : OTHER;

	if (r->depth && parent == OTHER)
		return OTHER;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].parent == parent && strcmp(rows[i].name, name) == 0)
			return rows[i].element;
	return OTHER;
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = context;

	(void)attributes;
	if (r->depth == S3_XML_DEPTH_MAX) {
		give_up(r, ERR_TOO_BIG);
		return;
	}
	r->path[r->depth] = element_of(r, name);
	if (r->depth == 0)
		r->root = r->path[0];
	r->depth++;
	r->text_size = 0;
}

static void on_text(void *context, const XML_Char *text, int size)
{
	struct reader *r = context;

	if (r->path[r->depth - 1] == OTHER)
		return;
	if ((size_t)size > sizeof(r->text) - r->text_size) {
		give_up(r, ERR_TOO_BIG);
		return;
	}
	memcpy(r->text + r->text_size, text, (size_t)size);
	r->text_size += (size_t)size;
}

static void keep(char *ret, size_t size, struct slice text)
{
	size_t used = 0;

	for (size_t i = 0; i < text.size && used + 1 < size; i++)
		ret[used++] = text.data[i] >= ' ' && text.data[i] <= '~' ? (char)text.data[i] : '?';
	ret[used] = '\0';
}

static void add_key(struct reader *r, struct slice text)
{
	if (r->list.key_count == S3_LIST_KEYS_MAX) {
		give_up(r, ERR_TOO_BIG);
		return;
	}
	if (!r->list.keys) {
		r->list.keys = arena_take_array(r->arena, S3_LIST_KEYS_MAX, sizeof(struct slice));
		r->list.sizes = arena_take_array(r->arena, S3_LIST_KEYS_MAX, sizeof(uint64_t));
	}
	r->list.sizes[r->list.key_count] = UINT64_MAX;
	r->list.keys[r->list.key_count++] = arena_copy(r->arena, text);
	r->has_key = true;
}

/* Of the key in the same element, whichever comes first. */
static void end_contents(struct reader *r)
{
	if (r->has_key && r->has_size)
		r->list.sizes[r->list.key_count - 1] = r->size;
	r->has_key = r->has_size = false;
}

static void end_upload(struct reader *r)
{
	if (!r->arena || !r->begun.key.size || !r->begun.id.size)
		return;
	if (r->uploads.count == S3_LIST_KEYS_MAX) {
		give_up(r, ERR_TOO_BIG);
		return;
	}
	if (!r->uploads.begun)
		r->uploads.begun =
			arena_take_array(r->arena, S3_LIST_KEYS_MAX, sizeof(struct s3_begun));
	r->uploads.begun[r->uploads.count++] = r->begun;
}

bool s3_parse_time(const char *text, int64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0)
		return false;
	*ret_ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

static void take_time(struct reader *r, struct slice text)
{
	char time[S3_CODE_BYTES];

	keep(time, sizeof(time), text);
	if (!s3_parse_time(time, &r->begun.begun_ms))
		r->begun.begun_ms = S3_TIME_UNKNOWN;
}

/* Of the list of uploads. */
static void end_of_uploads(struct reader *r, enum element element, struct slice text)
{
	struct slice *to = element == UPLOAD_KEY    ? &r->begun.key
			   : element == UPLOAD_LEFT ? &r->begun.id
			   : element == NEXT_KEY    ? &r->uploads.next_key
						    : &r->uploads.next_id;

	if (r->arena)
		*to = arena_copy(r->arena, text);
}

static void on_end(void *context, const XML_Char *name)
{
	struct reader *r = context;
	struct slice text = { (const uint8_t *)r->text, r->text_size };

	(void)name;
	switch (r->path[--r->depth]) {
	case KEY:
		if (r->arena)
			add_key(r, text);
		break;
	case SIZE:
		r->has_size = text_to_u64(text, UINT64_MAX - 1, &r->size) == OK;
		break;
	case CONTENTS:
		end_contents(r);
		break;
	case TRUNCATED:
		r->list.is_truncated = slice_equal(text, SLICE("true"));
		break;
	case TOKEN:
		if (r->arena)
			r->list.next_token = arena_copy(r->arena, text);
		break;
	case ENCODING:
		r->is_encoded = slice_equal(text, SLICE("url"));
		break;
	case CODE:
		keep(r->error.code, sizeof(r->error.code), text);
		break;
	case MESSAGE:
		keep(r->error.message, sizeof(r->error.message), text);
		break;
	case REGION:
		keep(r->error.region, sizeof(r->error.region), text);
		break;
	case UPLOAD_ID:
		if (text.size >= sizeof(r->upload.id))
			give_up(r, ERR_TOO_BIG);
		else
			keep(r->upload.id, sizeof(r->upload.id), text);
		break;
	case CHECKSUM:
		keep(r->upload.checksum, sizeof(r->upload.checksum), text);
		break;
	case UPLOAD:
		end_upload(r);
		r->begun = (struct s3_begun) { .begun_ms = S3_TIME_UNKNOWN };
		break;
	case INITIATED:
		take_time(r, text);
		break;
	case UPLOAD_KEY:
	case UPLOAD_LEFT:
	case NEXT_KEY:
	case NEXT_ID:
		end_of_uploads(r, r->path[r->depth], text);
		break;
	case UPLOADS:
	case BEGUN:
	case ENDED:
	case OTHER:
	case LIST:
	case ERROR:
		break;
	}
	r->text_size = 0;
}

static void on_document_type(void *context, const XML_Char *name, const XML_Char *system_id,
			     const XML_Char *public_id, int has_internal_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_internal_subset;
	give_up(context, ERR_INVALID);
}

static void *take(size_t size)
{
	return memory_take(size);
}

static void parse(struct reader *r, struct slice text)
{
	static const XML_Memory_Handling_Suite memory = { take, memory_grow, memory_free };

	if (text.size > S3_XML_BYTES_MAX) {
		r->err = ERR_TOO_BIG;
		return;
	}
	r->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	assert(r->parser);
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_document_type);
	if (XML_Parse(r->parser, (const char *)text.data, (int)text.size, XML_TRUE) !=
		    XML_STATUS_OK &&
	    !r->err)
		r->err = ERR_INVALID;
	XML_ParserFree(r->parser);
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20; /* stores write either case */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "a%2Fb+c" in place: encoding-type=url is what forms have.  Nothing grows. */
static enum err decode(struct slice *key)
{
	uint8_t *out = (uint8_t *)(uintptr_t)key->data; /* our own copy, in the arena */
	size_t used = 0;

	for (size_t i = 0; i < key->size; i++) {
		if (key->data[i] == '%') {
			int high = key->size - i > 2 ? hex_value(key->data[i + 1]) : -1;
			int low = key->size - i > 2 ? hex_value(key->data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_INVALID;
			out[used++] = (uint8_t)(high * 16 + low);
			i += 2;
		} else {
			out[used++] = key->data[i] == '+' ? ' ' : key->data[i];
		}
	}
	key->size = used;
	return OK;
}

enum err s3_xml_list(struct arena *a, struct slice text, struct s3_list *ret)
{
	struct reader r = { .arena = a };

	parse(&r, text);
	if (!r.err && r.root != LIST)
		r.err = ERR_INVALID;
	for (size_t i = 0; i < r.list.key_count && r.is_encoded && !r.err; i++)
		r.err = decode(&r.list.keys[i]);
	if (!r.err)
		*ret = r.list;
	return r.err;
}

enum err s3_xml_begun(struct arena *a, struct slice text, struct s3_begun_list *ret)
{
	struct reader r = { .arena = a, .begun = { .begun_ms = S3_TIME_UNKNOWN } };

	parse(&r, text);
	if (!r.err && r.root != UPLOADS)
		r.err = ERR_INVALID;
	for (size_t i = 0; i < r.uploads.count && r.is_encoded && !r.err; i++)
		r.err = decode(&r.uploads.begun[i].key);
	if (!r.err && r.is_encoded)
		r.err = decode(&r.uploads.next_key);
	r.uploads.is_truncated = r.list.is_truncated;
	if (!r.err)
		*ret = r.uploads;
	return r.err;
}

void s3_xml_error(struct slice text, struct s3_error *ret)
{
	struct reader r = { 0 };

	parse(&r, text);
	*ret = r.err ? (struct s3_error) { 0 } : r.error;
}

enum err s3_xml_upload(struct slice text, struct s3_upload *ret)
{
	struct reader r = { 0 };

	/* Stores that take long send spaces first, which no document begins with. */
	while (text.size > 0 && memchr(" \r\n\t", text.data[0], 4))
		text = slice_part(text, 1, text.size);
	parse(&r, text);
	if (!r.err && (r.root == BEGUN ? !r.upload.id[0] : r.root != ENDED))
		r.err = ERR_INVALID;
	if (!r.err)
		*ret = r.upload;
	return r.err;
}
