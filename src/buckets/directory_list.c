/* Names in byte order from a tree that gives its entries in any order.
 *
 * In the order of whole keys a directory stands where its name and a slash stand among the names of
 * its siblings ("a.b" < "a/b" < "ab"), so entries are sorted in that form and visited depth first.
 * Of a large directory only the first ENTRIES_MAX entries after a cursor are kept at a time. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "buckets/directory.h"

enum { ENTRIES_MAX = BUCKET_LIST_NAMES_MAX + 1 };

struct listing {
	const struct directory *d;
	struct slice prefix;
	struct slice after;
	struct directory_names *names;
	struct directory_result *result;
	char path[BUCKET_KEY_BYTES_MAX + 1]; /* of the directory being listed, with its slash */
	size_t path_size;
};

/* Some entries of one directory; directories' names end in a slash. */
struct batch {
	struct listing *listing;
	struct slice *entries;
	size_t count;
	struct slice cursor; /* only entries after it are wanted */
	bool is_cut;	     /* entries after the last one were dropped */
};

static int compare_entries(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void entry_free(struct slice *entry)
{
	memory_free((void *)(uintptr_t)entry->data);
	*entry = (struct slice) { NULL, 0 };
}

static void batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		entry_free(&b->entries[i]);
	b->count = 0;
}

static void batch_sort(struct batch *b)
{
	if (b->count > 1)
		qsort(b->entries, b->count, sizeof(*b->entries), compare_entries);
	while (b->count > ENTRIES_MAX) {
		entry_free(&b->entries[--b->count]);
		b->is_cut = true;
	}
}

static bool is_key_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

/* Could a key we are looking for be this entry or under it?  `full` is the entry's whole path. */
static bool is_wanted(const struct listing *l, struct slice full, bool is_directory)
{
	if (!slice_starts_with(full, l->prefix))
		return false;
	if (slice_compare(full, l->after) > 0)
		return true;
	return is_directory && slice_starts_with(l->after, full);
}

static int batch_visit(void *context, const char *name, enum directory_entry entry)
{
	struct batch *b = context;
	struct listing *l = b->listing;
	size_t size = strlen(name);
	bool is_directory = entry == DIRECTORY_DIRECTORY;
	struct slice full = { (const uint8_t *)l->path, l->path_size + size + is_directory };
	struct slice own = slice_part(full, l->path_size, full.size);

	if (entry == DIRECTORY_OTHER || full.size > BUCKET_KEY_BYTES_MAX)
		return 0;
	for (size_t i = 0; i < size; i++)
		if (!is_key_byte((uint8_t)name[i]))
			return 0;
	memcpy(l->path + l->path_size, name, size);
	if (is_directory)
		l->path[l->path_size + size] = '/';
	if (!is_wanted(l, full, is_directory) || slice_compare(own, b->cursor) <= 0)
		return 0;
	if (b->count == 2 * ENTRIES_MAX)
		batch_sort(b);
	if (b->is_cut && slice_compare(own, b->entries[ENTRIES_MAX - 1]) > 0)
		return 0;
	uint8_t *copy = memory_take(own.size);
	memcpy(copy, own.data, own.size);
	b->entries[b->count++] = (struct slice) { copy, own.size };
	return 0;
}

static enum err batch_read(struct batch *b, int dir)
{
	struct listing *l = b->listing;
	int err;

	do {
		batch_clear(b);
		b->is_cut = false;
		err = l->d->system->visit(l->d->context, dir, batch_visit, b);
	} while (err == -EINTR);
	l->path[l->path_size] = '\0';
	if (err < 0)
		return directory_fail(l->result, err, "list", l->path_size ? l->path : ".");
	batch_sort(b);
	return OK;
}

static enum err list_directory(struct listing *l, int dir);

static enum err list_inside(struct listing *l, int dir, struct slice entry)
{
	char name[BUCKET_KEY_BYTES_MAX + 1];
	size_t outside = l->path_size;
	enum err err;
	int child;

	memcpy(name, entry.data, entry.size - 1);
	name[entry.size - 1] = '\0';
	child = DIRECTORY_RETRY(l->d->system->open_directory(l->d->context, dir, name));
	if (child == -ENOENT || child == -ENOTDIR)
		return OK; /* gone meanwhile */
	memcpy(l->path + l->path_size, entry.data, entry.size);
	l->path_size += entry.size;
	l->path[l->path_size] = '\0';
	if (child < 0) {
		err = directory_fail(l->result, child, "list", l->path);
	} else {
		err = list_directory(l, child);
		directory_close(l->d, child);
	}
	l->path_size = outside;
	l->path[l->path_size] = '\0';
	return err;
}

static enum err list_entry(struct listing *l, int dir, struct slice entry)
{
	struct directory_names *names = l->names;

	if (entry.data[entry.size - 1] == '/')
		return list_inside(l, dir, entry);
	if (names->count == BUCKET_LIST_NAMES_MAX) {
		names->more = true;
		return OK;
	}
	buf_add(&names->text, l->path, l->path_size);
	buf_add_slice(&names->text, entry);
	buf_add_u8(&names->text, 0);
	names->count++;
	return OK;
}

/* Depth is bounded by the length of a key: BUCKET_KEY_BYTES_MAX / 2. */
static enum err list_directory(struct listing *l, int dir)
{
	struct batch b = { .listing = l };
	struct slice last = { NULL, 0 };
	enum err err = OK;

	b.entries = memory_take_array(2 * ENTRIES_MAX, sizeof(*b.entries));
	do {
		err = batch_read(&b, dir);
		for (size_t i = 0; i < b.count && !err && !l->names->more; i++)
			err = list_entry(l, dir, b.entries[i]);
		if (b.is_cut) { /* it is the cursor of the next batch: keep it */
			entry_free(&last);
			last = b.entries[--b.count];
			b.cursor = last;
		}
		batch_clear(&b);
	} while (!err && b.is_cut && !l->names->more);
	entry_free(&last);
	memory_free(b.entries);
	return err;
}

enum err directory_list(const struct directory *d, struct slice prefix, struct slice after,
			struct directory_names *ret, struct directory_result *result)
{
	struct listing l = {
		.d = d, .prefix = prefix, .after = after, .names = ret, .result = result
	};
	const char *rest;
	enum err err;
	int dir;

	assert(prefix.size <= BUCKET_KEY_BYTES_MAX);
	if (prefix.size)
		memcpy(l.path, prefix.data, prefix.size);
	dir = directory_open_parent(d, l.path, &rest);
	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP)
		return OK;
	l.path_size = (size_t)(rest - l.path);
	l.path[l.path_size] = '\0';
	if (dir < 0)
		return directory_fail(result, dir, "list", l.path);
	err = list_directory(&l, dir);
	directory_close(d, dir);
	return err;
}
