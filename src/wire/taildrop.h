/* Files between machines over HTTP: what stands in paths and headers, and the protocol of the
 * official client's file copy (Taildrop).
 *
 *	PUT /v0/put/NAME	the file; "Range: bytes=N-" goes on with a part that is there
 *	GET /v0/put/NAME	the blocks of the part that is there, one JSON object each:
 *				{"checksum":"HEX","algo":"sha256","size":65536}
 *	GET /v0/put/		the names of parts that are there
 *
 * Names are percent-encoded UTF-8.  A name of ours may have directories in it: "photos/a.jpg" is
 * photos%2Fa.jpg there. */
#ifndef WIRE_TAILDROP_H
#define WIRE_TAILDROP_H

#include "base/arena.h"
#include "base/buf.h"

/* Of a PUT between machines of ours: 24 hexadecimal digits that name the file for its sender. */
#define DROP_TOKEN_HEADER "Hanse-File"

enum {
	DROP_NAME_BYTES_MAX = 1024,
	DROP_PART_BYTES_MAX = 255, /* between two slashes */
	DROP_DEPTH_MAX = 32,
	DROP_BLOCK_BYTES = 64 * 1024,
	SHA256_BYTES = 32,
};

/* --- names ------------------------------------------------------------------------------------ */

/* The name a path stands for, without slashes at its ends.  ERR_INVALID with half a sentence in
 * `ret_why` where no file can be called so: it is not UTF-8, has control characters, a part that is
 * empty, "." or "..", or ends like a file that is not complete; ERR_TOO_BIG. */
MUST_CHECK enum err drop_name_decode(struct arena *a, struct slice path, struct slice *ret,
				     const char **ret_why);
MUST_CHECK enum err drop_name_check(struct slice name, const char **ret_why);

/* For a URL: everything but letters, digits and -._~ is %XX; slashes too unless `keeps_slashes`. */
void drop_name_encode(struct slice name, bool keeps_slashes, struct buf *ret);

/* What a file is called on disk: no part begins with a full stop unless `keeps_dots`, since what
 * others send is no configuration. */
void drop_name_for_disk(struct slice name, bool keeps_dots, struct buf *ret);

/* "report (2).pdf" for the second other one. */
void drop_name_numbered(struct slice name, unsigned number, struct buf *ret);

/* --- ranges ----------------------------------------------------------------------------------- */

struct drop_range {
	uint64_t offset;
	uint64_t end;	/* of this part, exclusive; 0: not said */
	uint64_t total; /* of the file; 0: not said */
};

/* "bytes=N-", of a PUT of the official client. */
MUST_CHECK enum err drop_range_parse(struct slice header, struct drop_range *ret);
/* "bytes FIRST-LAST/TOTAL" or with "*", as curl -C sends it. */
MUST_CHECK enum err drop_content_range_parse(struct slice header, struct drop_range *ret);

/* --- blocks ----------------------------------------------------------------------------------- */

struct drop_block {
	uint8_t sha256[SHA256_BYTES];
	uint64_t size;
};

void sha256(struct slice bytes, uint8_t ret[SHA256_BYTES]);

void drop_block_encode(const struct drop_block *block, struct buf *ret);

/* Takes the first whole object from the front of `text`; false: there is none, or not yet.
 * ERR_INVALID in `ret_err`: there never will be. */
bool drop_block_take(struct slice *text, struct drop_block *ret, enum err *ret_err);

/* A JSON text with its quotes; bytes that are not UTF-8 become U+FFFD. */
void drop_json_text(struct slice s, struct buf *ret);

#endif
