#include "buckets/directory.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"

enum {
	NAME_BYTES_MAX = 255,
	COMPARE_BYTES = 64 * 1024,
	PARTS_MAX = 256, /* of one writev; IOV_MAX is 1024 */
	DRAFT_NAME_BYTES = 40,
	DIRECT_BYTES = 1 << 20, /* of one write past the page cache */
};

_Static_assert(DIRECT_BYTES % DIRECTORY_DIRECT_ALIGN == 0, "what is not the last is aligned");

_Static_assert(PARTS_MAX <= IOV_MAX, "one writev takes that many");

/* A file that is being written and has no name a reader could see. */
struct draft {
	int fd;
	int dir;		     /* where `name` is; -1: has no name at all */
	char name[DRAFT_NAME_BYTES]; /* in DIRECTORY_DRAFTS */
};

struct put {
	const struct directory *d;
	const char *key;
	const struct slice *pieces;
	size_t piece_count;
	size_t known_size;
	bool must_be_new;
	int parent;
	const char *name; /* in the parent */
	struct draft draft;
	struct directory_result *result;
};

enum err directory_fail(struct directory_result *result, int negative_errno, const char *doing,
			const char *key)
{
	char text[64];

	snprintf(result->why, sizeof(result->why), "%s %s: %s", doing, key,
		 strerror_r(-negative_errno, text, sizeof(text)));
	return negative_errno == -ELOOP ? ERR_NOT_FOUND : err_from_errno(-negative_errno);
}

void directory_close(const struct directory *d, int fd)
{
	if (fd >= 0 && fd != d->root)
		d->system->close(d->context, fd);
}

/* The next component of a path before its last one; NULL after that. */
static const char *next_component(const char *path, char ret_name[NAME_BYTES_MAX + 1])
{
	const char *slash = strchr(path, '/');

	if (!slash)
		return NULL;
	assert(slash - path <= NAME_BYTES_MAX);
	memcpy(ret_name, path, (size_t)(slash - path));
	ret_name[slash - path] = '\0';
	return slash + 1;
}

int directory_open_parent(const struct directory *d, const char *key, const char **ret_name)
{
	char name[NAME_BYTES_MAX + 1];
	const char *rest;
	int dir = d->root;

	while ((rest = next_component(key, name))) {
		int child = DIRECTORY_RETRY(d->system->open_directory(d->context, dir, name));

		directory_close(d, dir);
		if (child < 0)
			return child;
		dir = child;
		key = rest;
	}
	*ret_name = key;
	return dir;
}

/* An fsync that failed may have dropped what it could not write, and the next one would not say so:
 * whoever asked must stop trusting the directory. */
static enum err sync_or_lose(const struct directory *d, int fd, const char *key,
			     struct directory_result *result)
{
	int err = DIRECTORY_RETRY(d->system->sync(d->context, fd));

	if (err == 0)
		return OK;
	(void)directory_fail(result, err, "fsync of the directory of", key);
	result->lost_writes = true;
	return ERR_IO;
}

/* Errors of a change: no word that a caller could take for an answer about the object. */
static enum err fail_change(struct directory_result *result, int negative_errno, const char *doing,
			    const char *key)
{
	enum err err = directory_fail(result, negative_errno, doing, key);

	if (negative_errno == -ENOTDIR || negative_errno == -ELOOP)
		return ERR_CONFLICT; /* a file or a link is where a directory has to be */
	return err == ERR_NOT_FOUND || err == ERR_EXISTS ? ERR_UNAVAILABLE : err;
}

static enum err open_or_make(struct put *p, int dir, const char *name, int *ret, bool *ret_made)
{
	const struct directory_system *s = p->d->system;
	int child = DIRECTORY_RETRY(s->open_directory(p->d->context, dir, name));

	*ret_made = child == -ENOENT;
	if (child == -ENOENT) {
		int err = DIRECTORY_RETRY(s->make_directory(p->d->context, dir, name));

		if (err < 0 && err != -EEXIST)
			return fail_change(p->result, err, "mkdir for", p->key);
		child = DIRECTORY_RETRY(s->open_directory(p->d->context, dir, name));
	}
	if (child < 0)
		return fail_change(p->result, child, "open the directory of", p->key);
	*ret = child;
	return OK;
}

/* Open the parent, creating what is missing.  An entry found may have been made by a process that
 * was killed before its fsync: whatever is not known to be durable is made so. */
static enum err make_parent(struct put *p)
{
	char name[NAME_BYTES_MAX + 1];
	const char *path = p->key;
	const char *rest;
	int dir = p->d->root;
	size_t known_size = p->known_size;

	while ((rest = next_component(path, name))) {
		bool made;
		int child = -1;
		enum err err = open_or_make(p, dir, name, &child, &made);

		if (made)
			known_size = 0;
		if (!err && (size_t)(rest - p->key - 1) > known_size)
			err = sync_or_lose(p->d, dir, p->key, p->result);
		directory_close(p->d, dir);
		if (err) {
			directory_close(p->d, child);
			return err;
		}
		dir = child;
		path = rest;
	}
	p->parent = dir;
	p->name = path;
	return OK;
}

/* Without unnamed files: a file in DIRECTORY_DRAFTS, which need not survive a crash. */
static enum err draft_open_named(struct put *p)
{
	uint8_t random[8];
	bool made;
	enum err err = open_or_make(p, p->d->root, DIRECTORY_DRAFTS, &p->draft.dir, &made);

	if (err)
		return err;
	random_bytes(random, sizeof(random));
	hex_encode(p->draft.name, (struct slice) { random, sizeof(random) });
	p->draft.fd = DIRECTORY_RETRY(
		p->d->system->create_named(p->d->context, p->draft.dir, p->draft.name));
	if (p->draft.fd < 0) {
		directory_close(p->d, p->draft.dir);
		return fail_change(p->result, p->draft.fd, "create a file for", p->key);
	}
	return OK;
}

static enum err draft_open(struct put *p)
{
	p->draft.dir = -1;
	p->draft.fd = DIRECTORY_RETRY(p->d->system->create_unnamed(p->d->context, p->parent));
	if (p->draft.fd == -EOPNOTSUPP)
		return draft_open_named(p);
	if (p->draft.fd < 0)
		return fail_change(p->result, p->draft.fd, "create", p->key);
	return OK;
}

static void draft_close(struct put *p)
{
	const struct directory_system *s = p->d->system;

	s->close(p->d->context, p->draft.fd);
	if (p->draft.dir < 0)
		return;
	/* What cannot be removed now is swept when the bucket is opened some day. */
	(void)DIRECTORY_RETRY(s->unlink(p->d->context, p->draft.dir, p->draft.name));
	directory_close(p->d, p->draft.dir);
}

static int draft_link(struct put *p)
{
	const struct directory_system *s = p->d->system;

	if (p->draft.dir < 0)
		return DIRECTORY_RETRY(
			s->link_unnamed(p->d->context, p->draft.fd, p->parent, p->name));
	return DIRECTORY_RETRY(
		s->link_named(p->d->context, p->draft.dir, p->draft.name, p->parent, p->name));
}

/* Write everything from piece `*piece`, byte `*offset` on as one call; advances both. */
static ssize_t write_some(struct put *p, size_t *piece, size_t *offset)
{
	struct iovec parts[PARTS_MAX];
	int count = 0;
	size_t from = *offset;
	ssize_t written;
	size_t left;

	for (size_t i = *piece; i < p->piece_count && count < PARTS_MAX; i++, from = 0)
		if (p->pieces[i].size > from)
			parts[count++] = (struct iovec) {
				.iov_base = (void *)(uintptr_t)(p->pieces[i].data + from),
				.iov_len = p->pieces[i].size - from,
			};
	if (count == 0) {
		*piece = p->piece_count;
		return 0;
	}
	written = DIRECTORY_RETRY(p->d->system->write(p->d->context, p->draft.fd, parts, count));
	if (written <= 0)
		return written < 0 ? written : -EIO;
	for (left = (size_t)written; left > 0;) {
		size_t part = p->pieces[*piece].size - *offset;

		if (left < part) {
			*offset += left;
			break;
		}
		left -= part;
		*piece += 1;
		*offset = 0;
	}
	return written;
}

/* Copy `size` bytes from piece `*piece`, byte `*offset` on; advances both. */
static void copy_some(const struct put *p, size_t *piece, size_t *offset, uint8_t *to, size_t size)
{
	while (size > 0) {
		struct slice part = slice_part(p->pieces[*piece], *offset, size);

		memcpy(to, part.data, part.size);
		to += part.size;
		size -= part.size;
		*offset += part.size;
		if (*offset < p->pieces[*piece].size)
			continue;
		*piece += 1;
		*offset = 0;
	}
}

static int set_direct(struct put *p, bool is_direct)
{
	return DIRECTORY_RETRY(p->d->system->set_direct(p->d->context, p->draft.fd, is_direct));
}

/* Where the device wants more than is known here, or a write was cut short, the rest of the draft
 * goes through the page cache. */
static enum err write_direct(struct put *p, const uint8_t *bytes, size_t size, bool *is_direct)
{
	const struct directory_system *s = p->d->system;

	while (size > 0) {
		struct iovec part = { (void *)(uintptr_t)bytes, size };
		ssize_t written = DIRECTORY_RETRY(s->write(p->d->context, p->draft.fd, &part, 1));

		if (written == -EINVAL && *is_direct) {
			int err = set_direct(p, false);
			if (err < 0)
				return fail_change(p->result, err, "write", p->key);
			*is_direct = false;
			continue;
		}
		if (written <= 0)
			return fail_change(p->result, written < 0 ? (int)written : -EIO, "write",
					   p->key);
		bytes += written;
		size -= (size_t)written;
	}
	return OK;
}

static uint64_t body_size(const struct put *p)
{
	uint64_t size = 0;

	for (size_t i = 0; i < p->piece_count; i++)
		size += p->pieces[i].size;
	return size;
}

/* All but the last part of a page, by way of memory that is aligned; copying it once more costs
 * less than pages that are filled only to be written.  Nothing is written where that cannot be. */
static enum err draft_write_direct(struct put *p, size_t *piece, size_t *offset)
{
	uint64_t left = body_size(p) / DIRECTORY_DIRECT_ALIGN * DIRECTORY_DIRECT_ALIGN;
	bool is_direct = set_direct(p, true) >= 0;
	enum err err = OK;

	if (!is_direct) {
		(void)set_direct(p, false); /* whatever that failure left */
		return OK;
	}
	uint8_t *memory = memory_grow(NULL, DIRECT_BYTES + DIRECTORY_DIRECT_ALIGN);
	uint8_t *chunk =
		memory + DIRECTORY_DIRECT_ALIGN - (uintptr_t)memory % DIRECTORY_DIRECT_ALIGN;
	while (!err && is_direct && left > 0) {
		size_t size = left < DIRECT_BYTES ? (size_t)left : (size_t)DIRECT_BYTES;
		copy_some(p, piece, offset, chunk, size);
		err = write_direct(p, chunk, size, &is_direct);
		left -= size;
	}
	memory_free(memory);
	int unset = is_direct ? set_direct(p, false) : 0;
	return err || unset >= 0 ? err : fail_change(p->result, unset, "write", p->key);
}

static enum err draft_write(struct put *p)
{
	size_t piece = 0, offset = 0;
	enum err err = OK;

	if (p->d->direct_bytes_min && body_size(p) >= p->d->direct_bytes_min)
		err = draft_write_direct(p, &piece, &offset);
	if (err)
		return err;
	while (piece < p->piece_count) {
		ssize_t written = write_some(p, &piece, &offset);

		if (written < 0)
			return fail_change(p->result, (int)written, "write", p->key);
	}
	return OK;
}

static enum err draft_sync(struct put *p)
{
	int err = DIRECTORY_RETRY(p->d->system->sync(p->d->context, p->draft.fd));

	if (err == 0)
		return OK;
	(void)directory_fail(p->result, err, "fsync of", p->key);
	/* Space is found missing late where blocks are allocated late; only this file is hurt. */
	if (err == -ENOSPC || err == -EDQUOT)
		return ERR_FULL;
	p->result->lost_writes = true;
	return ERR_IO;
}

static enum err read_exactly(const struct directory *d, int fd, uint8_t *ret, size_t size,
			     uint64_t offset, const char *key, struct directory_result *result)
{
	while (size > 0) {
		ssize_t got = DIRECTORY_RETRY(d->system->read(d->context, fd, ret, size, offset));

		if (got < 0)
			return directory_fail(result, (int)got, "read", key);
		if (got == 0)
			return directory_fail(result, -EIO, "shorter than its size:", key);
		ret += got;
		size -= (size_t)got;
		offset += (uint64_t)got;
	}
	return OK;
}

/* Are the bytes of the open object `fd` those of the put? */
static enum err compare(struct put *p, int fd, bool *ret)
{
	uint8_t *chunk = memory_take(COMPARE_BYTES);
	uint64_t offset = 0;
	enum err err = OK;
	bool equal = true;

	for (size_t i = 0; i < p->piece_count && !err && equal; i++) {
		struct slice piece = p->pieces[i];

		while (piece.size > 0 && !err && equal) {
			size_t size = piece.size < COMPARE_BYTES ? piece.size : COMPARE_BYTES;

			err = read_exactly(p->d, fd, chunk, size, offset, p->key, p->result);
			equal = err || memcmp(chunk, piece.data, size) == 0;
			offset += size;
			piece = slice_part(piece, size, piece.size);
		}
	}
	memory_free(chunk);
	*ret = equal;
	return err;
}

static enum err settle_with(struct put *p, int fd)
{
	struct directory_status ours, theirs;
	const struct directory_system *s = p->d->system;
	bool equal = false;
	int err = DIRECTORY_RETRY(s->status(p->d->context, fd, &theirs));
	enum err failed;

	if (err == 0)
		err = DIRECTORY_RETRY(s->status(p->d->context, p->draft.fd, &ours));
	if (err < 0)
		return fail_change(p->result, err, "stat", p->key);
	if (ours.device == theirs.device && ours.number == theirs.number)
		return OK; /* an interrupted link that had worked */
	/* The other writer's object is trusted once it is seen here: it must stay. */
	failed = theirs.entry == DIRECTORY_OBJECT ? sync_or_lose(p->d, fd, p->key, p->result) : OK;
	if (!failed && p->must_be_new)
		failed = sync_or_lose(p->d, p->parent, p->key, p->result);
	if (failed || p->must_be_new)
		return failed ? failed : ERR_EXISTS;
	if (theirs.entry == DIRECTORY_OBJECT && theirs.size == body_size(p))
		failed = compare(p, fd, &equal);
	if (failed || equal)
		return failed;
	snprintf(p->result->why, sizeof(p->result->why), "other contents are stored under %s",
		 p->key);
	return ERR_CONFLICT;
}

/* The name is taken: by an earlier attempt of this put, or by something else. */
static enum err settle(struct put *p)
{
	int fd = DIRECTORY_RETRY(p->d->system->open_object(p->d->context, p->parent, p->name));
	enum err err;

	if (fd < 0)
		return fail_change(p->result, fd, "open what exists as", p->key);
	err = settle_with(p, fd);
	p->d->system->close(p->d->context, fd);
	return err;
}

static enum err put_draft(struct put *p)
{
	int linked;
	enum err err = draft_write(p);

	if (!err)
		err = draft_sync(p);
	if (err)
		return err;
	linked = draft_link(p);
	if (linked == -EEXIST)
		err = settle(p);
	else if (linked < 0)
		err = fail_change(p->result, linked, "link", p->key);
	return err ? err : sync_or_lose(p->d, p->parent, p->key, p->result);
}

static enum err put_run(struct put *p)
{
	enum err err = make_parent(p);

	if (err)
		return err;
	err = draft_open(p);
	if (!err) {
		err = put_draft(p);
		draft_close(p);
	}
	directory_close(p->d, p->parent);
	return err;
}

enum err directory_put(const struct directory *d, const char *key, const struct slice *pieces,
		       size_t piece_count, size_t known_size, struct directory_result *result)
{
	struct put p = {
		.d = d,
		.key = key,
		.pieces = pieces,
		.piece_count = piece_count,
		.known_size = known_size,
		.result = result,
	};

	return put_run(&p);
}

enum err directory_put_new(const struct directory *d, const char *key, const struct slice *pieces,
			   size_t piece_count, size_t known_size, struct directory_result *result)
{
	struct put p = {
		.d = d,
		.key = key,
		.pieces = pieces,
		.piece_count = piece_count,
		.known_size = known_size,
		.must_be_new = true,
		.result = result,
	};

	return put_run(&p);
}

/* An absent name may be the work of a delete that was not durable yet: the fsync is due as well. */
enum err directory_delete(const struct directory *d, const char *key,
			  struct directory_result *result)
{
	const char *name;
	int parent = directory_open_parent(d, key, &name);
	enum err err = OK;
	int removed;

	if (parent == -ENOENT || parent == -ENOTDIR || parent == -ELOOP)
		return OK;
	if (parent < 0)
		return directory_fail(result, parent, "open the directory of", key);
	removed = DIRECTORY_RETRY(d->system->unlink(d->context, parent, name));
	if (removed < 0 && removed != -ENOENT && removed != -EISDIR)
		err = fail_change(result, removed, "unlink", key);
	if (!err)
		err = sync_or_lose(d, parent, key, result);
	directory_close(d, parent);
	return err;
}

static enum err open_for_reading(const struct directory *d, const char *key, int *ret_fd,
				 uint64_t *ret_size, struct directory_result *result)
{
	const char *name;
	struct directory_status status;
	int parent = directory_open_parent(d, key, &name);
	int fd, err;

	if (parent < 0)
		return directory_fail(result, parent, "open the directory of", key);
	fd = DIRECTORY_RETRY(d->system->open_object(d->context, parent, name));
	directory_close(d, parent);
	if (fd < 0)
		return directory_fail(result, fd, "open", key);
	err = DIRECTORY_RETRY(d->system->status(d->context, fd, &status));
	if (err == 0 && status.entry == DIRECTORY_OBJECT) {
		*ret_fd = fd;
		*ret_size = status.size;
		return OK;
	}
	d->system->close(d->context, fd);
	return directory_fail(result, err < 0 ? err : -ENOENT, "stat", key);
}

enum err directory_head(const struct directory *d, const char *key, uint64_t *ret_size,
			struct directory_result *result)
{
	int fd = -1;
	enum err err = open_for_reading(d, key, &fd, ret_size, result);

	if (!err)
		d->system->close(d->context, fd);
	return err;
}

enum err directory_get(const struct directory *d, const char *key, uint64_t offset,
		       uint64_t size_max, struct blob **ret, uint64_t *ret_size,
		       struct directory_result *result)
{
	int fd = -1;
	uint64_t size = 0, part;
	struct blob *body;
	enum err err = open_for_reading(d, key, &fd, &size, result);

	if (err)
		return err;
	part = offset < size ? size - offset : 0;
	if (part > size_max)
		part = size_max;
	if (part > BUCKET_OBJECT_BYTES_MAX) {
		d->system->close(d->context, fd);
		return directory_fail(result, -EFBIG, "get", key);
	}
	body = blob_new((size_t)part);
	err = read_exactly(d, fd, body->data, (size_t)part, offset, key, result);
	d->system->close(d->context, fd);
	if (err) {
		blob_unref(&body);
		return err;
	}
	body->size = (size_t)part;
	*ret = body;
	*ret_size = size;
	return OK;
}
