/* Signature Version 4:
 *
 *	canonical request = method, path, query, headers, names of headers, hash of the body
 *	text to sign      = AWS4-HMAC-SHA256, date, scope, hash of the canonical request
 *	scope             = day/region/service/aws4_request
 *	key               = HMAC(HMAC(HMAC(HMAC("AWS4" secret, day), region), service), last word)
 *	signature         = HMAC(key, text to sign)
 *
 * The lines are separated by newlines; hashes are lower-case hex. */
#include "buckets/s3_sign.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"

#define SCHEME "AWS4-HMAC-SHA256"
#define LAST_WORD "aws4_request"

enum { DAY_BYTES = 8 };

void s3_date(char ret[S3_DATE_BYTES], int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(ret, S3_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

void s3_encode(struct buf *b, struct slice text, bool keep_slash)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
				c == '~' || (c == '/' && keep_slash);

		if (is_plain)
			buf_add_u8(b, c);
		else
			buf_add_format(b, "%%%02X", c);
	}
}

void s3_encode_query(struct buf *b, const struct s3_pair *query, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_add_text(b, i ? "&" : "");
		s3_encode(b, slice_from(query[i].name), false);
		buf_add_text(b, "=");
		s3_encode(b, query[i].value, false);
	}
}

void s3_sha256(char ret[S3_SHA256_HEX_BYTES], const struct slice *pieces, size_t count)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t hash[S3_SHA256_BYTES];
	int ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);

	for (size_t i = 0; i < count; i++)
		ok = ok && EVP_DigestUpdate(context, pieces[i].data, pieces[i].size);
	ok = ok && EVP_DigestFinal_ex(context, hash, NULL);
	assert(ok); /* it only fails without memory */
	EVP_MD_CTX_free(context);
	hex_encode(ret, (struct slice) { hash, sizeof(hash) });
}

static void hmac(uint8_t ret[S3_SHA256_BYTES], struct slice key, struct slice text)
{
	unsigned size = S3_SHA256_BYTES;
	uint8_t *done =
		HMAC(EVP_sha256(), key.data, (int)key.size, text.data, text.size, ret, &size);

	assert(done && size == S3_SHA256_BYTES);
}

/* A header's value with its white space as the canonical request has it. */
static void add_trimmed(struct buf *b, struct slice value)
{
	bool is_gap = false, is_begun = false;

	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] == ' ' || value.data[i] == '\t') {
			is_gap = true;
			continue;
		}
		if (is_gap && is_begun)
			buf_add_text(b, " ");
		is_gap = false;
		is_begun = true;
		buf_add_u8(b, value.data[i]);
	}
}

static void add_header_names(struct buf *b, const struct s3_signing *s)
{
	for (size_t i = 0; i < s->header_count; i++)
		buf_add_format(b, "%s%s", i ? ";" : "", s->headers[i].name);
}

static void canonical_hash(char ret[S3_SHA256_HEX_BYTES], const struct s3_signing *s)
{
	struct buf b;

	buf_init(&b);
	buf_add_format(&b, "%s\n", s->method);
	buf_add_slice(&b, s->path);
	buf_add_text(&b, "\n");
	s3_encode_query(&b, s->query, s->query_count);
	buf_add_text(&b, "\n");
	for (size_t i = 0; i < s->header_count; i++) {
		assert(i == 0 || strcmp(s->headers[i - 1].name, s->headers[i].name) < 0);
		buf_add_format(&b, "%s:", s->headers[i].name);
		add_trimmed(&b, s->headers[i].value);
		buf_add_text(&b, "\n");
	}
	buf_add_text(&b, "\n");
	add_header_names(&b, s);
	buf_add_format(&b, "\n%s", s->body_sha256);
	struct slice whole = buf_slice(&b);
	s3_sha256(ret, &whole, 1);
	buf_done(&b);
}

static void signing_key(uint8_t key[S3_SHA256_BYTES], const struct s3_signing *s)
{
	char secret[S3_SECRET_BYTES_MAX + 4];
	int size = snprintf(secret, sizeof(secret), "AWS4%s", s->credentials->secret);
	struct slice last = { key, S3_SHA256_BYTES };

	hmac(key, (struct slice) { (const uint8_t *)secret, (size_t)size },
	     (struct slice) { (const uint8_t *)s->date, DAY_BYTES });
	hmac(key, last, slice_from(s->region));
	hmac(key, last, slice_from(s->service));
	hmac(key, last, SLICE(LAST_WORD));
	OPENSSL_cleanse(secret, sizeof(secret));
}

void s3_sign(struct buf *ret, const struct s3_signing *s)
{
	char hash[S3_SHA256_HEX_BYTES], signature[S3_SHA256_HEX_BYTES];
	uint8_t key[S3_SHA256_BYTES], code[S3_SHA256_BYTES];
	struct buf b;

	assert(strlen(s->date) == S3_DATE_BYTES - 1);
	canonical_hash(hash, s);
	buf_init(&b);
	buf_add_format(&b, SCHEME "\n%s\n%.*s/%s/%s/" LAST_WORD "\n%s", s->date, DAY_BYTES, s->date,
		       s->region, s->service, hash);
	signing_key(key, s);
	hmac(code, (struct slice) { key, sizeof(key) }, buf_slice(&b));
	hex_encode(signature, (struct slice) { code, sizeof(code) });
	OPENSSL_cleanse(key, sizeof(key));
	buf_done(&b);

	buf_add_format(ret, SCHEME " Credential=%s/%.*s/%s/%s/" LAST_WORD ", SignedHeaders=",
		       s->credentials->access_key, DAY_BYTES, s->date, s->region, s->service);
	add_header_names(ret, s);
	buf_add_format(ret, ", Signature=%s", signature);
}
