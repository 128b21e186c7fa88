#include "buckets/directory_model.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/random.h"

enum { NAME_BYTES = 64, NODES_MAX = 4096, HANDLES_MAX = 1024, CHANGES_MAX = 256, PAGE_BYTES = 512 };

struct node;

struct entry {
	char name[NAME_BYTES];
	struct node *node; /* NULL in a change: removed */
};

struct entries {
	struct entry *list;
	size_t count, capacity;
};

struct node {
	bool is_directory;
	bool is_direct;
	bool is_dirty; /* a file with bytes that an fsync would write */
	struct buf now, disk;
	struct entries entries, changes, synced;
};

struct directory_model {
	struct node *nodes[NODES_MAX]; /* 0: the root */
	size_t node_count;
	struct node *handles[HANDLES_MAX]; /* NULL: free */
	uint64_t open_handles;
	uint64_t calls;
	struct directory_model_plan plan;
};

static struct entry *entries_find(const struct entries *e, const char *name)
{
	for (size_t i = 0; i < e->count; i++)
		if (strcmp(e->list[i].name, name) == 0)
			return &e->list[i];
	return NULL;
}

static void entries_add(struct entries *e, const char *name, struct node *node)
{
	size_t size = strlen(name);

	assert(size < NAME_BYTES);
	if (e->count == e->capacity) {
		e->capacity = e->capacity ? 2 * e->capacity : 8;
		e->list = memory_grow(e->list, e->capacity * sizeof(*e->list));
	}
	e->list[e->count].node = node;
	memcpy(e->list[e->count++].name, name, size + 1);
}

static void entries_apply(struct entries *e, const struct entry *change)
{
	struct entry *found = entries_find(e, change->name);

	if (change->node && !found)
		entries_add(e, change->name, change->node);
	else if (change->node)
		found->node = change->node;
	else if (found)
		*found = e->list[--e->count];
}

static void entries_copy(struct entries *e, const struct entries *from)
{
	e->count = 0;
	for (size_t i = 0; i < from->count; i++)
		entries_add(e, from->list[i].name, from->list[i].node);
}

static struct node *node_new(struct directory_model *m, bool is_directory)
{
	struct node *node = NEW(struct node);

	assert(m->node_count < NODES_MAX);
	node->is_directory = is_directory;
	m->nodes[m->node_count++] = node;
	return node;
}

static void node_free(struct node *node)
{
	buf_done(&node->now);
	buf_done(&node->disk);
	memory_free(node->entries.list);
	memory_free(node->changes.list);
	memory_free(node->synced.list);
	memory_free(node);
}

struct directory_model *directory_model_new(void)
{
	struct directory_model *m = NEW(struct directory_model);

	m->handles[DIRECTORY_MODEL_ROOT] = node_new(m, true);
	return m;
}

void directory_model_free(struct directory_model *m)
{
	for (size_t i = 0; i < m->node_count; i++)
		node_free(m->nodes[i]);
	memory_free(m);
}

void directory_model_set_plan(struct directory_model *m, const struct directory_model_plan *plan)
{
	m->plan = *plan;
	m->calls = 0;
}

uint64_t directory_model_calls(const struct directory_model *m)
{
	return m->calls;
}

uint64_t directory_model_open_handles(const struct directory_model *m)
{
	return m->open_handles;
}

uint64_t directory_model_pending(const struct directory_model *m)
{
	uint64_t count = 0;

	for (size_t i = 0; i < m->node_count; i++)
		count += m->nodes[i]->changes.count;
	return count;
}

/* --- the calls ------------------------------------------------------------------------------ */
static bool is_failing(const struct directory_model *m)
{
	return m->plan.fail_at && m->calls >= m->plan.fail_at &&
	       m->calls - m->plan.fail_at < m->plan.fail_count;
}

/* Count a call; what it has to fail with before it has any effect. */
static int begin(struct directory_model *m)
{
	m->calls++;
	if (m->plan.power_off_at && m->calls > m->plan.power_off_at)
		return -EIO;
	return is_failing(m) && !m->plan.fail_late && !m->plan.short_write ? -m->plan.fail_with : 0;
}

/* What a call that can fail after its effect answers. */
static int end(const struct directory_model *m)
{
	return is_failing(m) && m->plan.fail_late ? -m->plan.fail_with : 0;
}

static int handle_new(struct directory_model *m, struct node *node)
{
	for (int fd = 1; fd < HANDLES_MAX; fd++)
		if (!m->handles[fd]) {
			m->handles[fd] = node;
			m->open_handles++;
			return fd;
		}
	return -EMFILE;
}

static struct node *handle_node(const struct directory_model *m, int fd)
{
	assert(fd >= 0 && fd < HANDLES_MAX && m->handles[fd]);
	return m->handles[fd];
}

static struct node *directory_node(const struct directory_model *m, int dir)
{
	struct node *node = handle_node(m, dir);

	assert(node->is_directory);
	return node;
}

static void change(struct node *dir, const char *name, struct node *node)
{
	assert(dir->changes.count < CHANGES_MAX);
	entries_add(&dir->changes, name, node);
	entries_apply(&dir->entries, &dir->changes.list[dir->changes.count - 1]);
}

static int model_open_directory(void *context, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);
	struct entry *found = entries_find(&directory_node(m, dir)->entries, name);

	if (err)
		return err;
	if (!found)
		return -ENOENT;
	return found->node->is_directory ? handle_new(m, found->node) : -ENOTDIR;
}

static int model_make_directory(void *context, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);

	if (err)
		return err;
	if (entries_find(&directory_node(m, dir)->entries, name))
		return -EEXIST;
	change(directory_node(m, dir), name, node_new(m, true));
	return end(m);
}

static int model_open_object(void *context, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);
	struct entry *found = entries_find(&directory_node(m, dir)->entries, name);

	if (err)
		return err;
	return found ? handle_new(m, found->node) : -ENOENT;
}

static int model_create_unnamed(void *context, int dir)
{
	struct directory_model *m = context;
	int err = begin(m);

	(void)directory_node(m, dir);
	if (err)
		return err;
	return m->plan.no_unnamed ? -EOPNOTSUPP : handle_new(m, node_new(m, false));
}

static int model_create_named(void *context, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);
	struct node *node;

	if (err)
		return err;
	if (entries_find(&directory_node(m, dir)->entries, name))
		return -EEXIST;
	node = node_new(m, false);
	change(directory_node(m, dir), name, node);
	return handle_new(m, node);
}

static int link_node(struct directory_model *m, struct node *node, int dir, const char *name)
{
	if (entries_find(&directory_node(m, dir)->entries, name))
		return -EEXIST;
	change(directory_node(m, dir), name, node);
	return end(m);
}

static int model_link_unnamed(void *context, int fd, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);

	return err ? err : link_node(m, handle_node(m, fd), dir, name);
}

static int model_link_named(void *context, int dir, const char *name, int to, const char *to_name)
{
	struct directory_model *m = context;
	int err = begin(m);
	struct entry *found = entries_find(&directory_node(m, dir)->entries, name);

	if (err)
		return err;
	return found ? link_node(m, found->node, to, to_name) : -ENOENT;
}

static int model_unlink(void *context, int dir, const char *name)
{
	struct directory_model *m = context;
	int err = begin(m);
	struct entry *found = entries_find(&directory_node(m, dir)->entries, name);

	if (err)
		return err;
	if (!found)
		return -ENOENT;
	if (found->node->is_directory)
		return -EISDIR;
	change(directory_node(m, dir), name, NULL);
	return end(m);
}

static int model_sync(void *context, int fd)
{
	struct directory_model *m = context;
	struct node *node = handle_node(m, fd);
	int err = begin(m);

	if (err) {
		if (err != -EINTR)
			node->is_dirty = false; /* the kernel forgets what it could not write */
		return err;
	}
	if (node->is_directory) {
		entries_copy(&node->synced, &node->entries);
		node->changes.count = 0;
	} else if (node->is_dirty) {
		buf_clear(&node->disk);
		buf_add_slice(&node->disk, buf_slice(&node->now));
		node->is_dirty = false;
	}
	return end(m);
}

static int model_status(void *context, int fd, struct directory_status *ret)
{
	struct directory_model *m = context;
	struct node *node = handle_node(m, fd);
	int err = begin(m);

	if (err)
		return err;
	*ret = (struct directory_status) {
		.entry = node->is_directory ? DIRECTORY_DIRECTORY : DIRECTORY_OBJECT,
		.size = node->now.size,
		.number = (uint64_t)(uintptr_t)node,
	};
	return 0;
}

static int model_visit(void *context, int dir, directory_visit *visit, void *visit_context)
{
	struct directory_model *m = context;
	struct entries *entries = &directory_node(m, dir)->entries;
	int err = begin(m);

	for (size_t i = entries->count; i > 0 && !err; i--)
		err = visit(visit_context, entries->list[i - 1].name,
			    entries->list[i - 1].node->is_directory ? DIRECTORY_DIRECTORY
								    : DIRECTORY_OBJECT);
	return err;
}

static int model_set_direct(void *context, int fd, bool is_direct)
{
	struct directory_model *m = context;
	struct node *node = handle_node(m, fd);
	int err = begin(m);

	if (err)
		return err;
	if (m->plan.no_direct)
		return -EINVAL;
	node->is_direct = is_direct;
	return end(m);
}

static bool is_aligned(const struct node *node, const struct iovec *parts, int count)
{
	size_t bits = node->now.size;

	for (int i = 0; i < count; i++)
		bits |= (uintptr_t)parts[i].iov_base | parts[i].iov_len;
	return bits % DIRECTORY_DIRECT_ALIGN == 0;
}

static ssize_t model_write(void *context, int fd, const struct iovec *parts, int count)
{
	struct directory_model *m = context;
	struct node *node = handle_node(m, fd);
	int err = begin(m);
	size_t total = 0, left;

	if (err)
		return err;
	if (node->is_direct && !is_aligned(node, parts, count))
		return -EINVAL;
	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (is_failing(m) && m->plan.short_write)
		total = (total + 1) / 2;
	left = total;
	for (int i = 0; i < count && left > 0; i++) {
		size_t size = parts[i].iov_len < left ? parts[i].iov_len : left;

		buf_add(&node->now, parts[i].iov_base, size);
		left -= size;
	}
	node->is_dirty = true;
	return (ssize_t)total;
}

static ssize_t model_read(void *context, int fd, void *ret, size_t size, uint64_t offset)
{
	struct directory_model *m = context;
	struct node *node = handle_node(m, fd);
	int err = begin(m);
	struct slice part = slice_part(buf_slice(&node->now), offset, size);

	if (err)
		return err;
	if (node->is_directory)
		return -EISDIR;
	if (is_failing(m) && m->plan.short_write)
		part.size = (part.size + 1) / 2;
	if (part.size)
		memcpy(ret, part.data, part.size);
	return (ssize_t)part.size;
}

static void model_close(void *context, int fd)
{
	struct directory_model *m = context;

	(void)handle_node(m, fd);
	if (fd == DIRECTORY_MODEL_ROOT)
		return;
	m->handles[fd] = NULL;
	m->open_handles--;
}

/* --- power loss ------------------------------------------------------------------------------ */
struct loss {
	struct directory_model *after;
	const struct directory_model *before;
	uint64_t survivors;
	enum directory_model_bytes bytes;
	struct prng random;
};

static bool is_synced(const struct node *file)
{
	return slice_equal(buf_slice(&file->now), buf_slice(&file->disk));
}

static void lose_bytes(struct loss *l, struct node *to, const struct node *from)
{
	const struct buf *source =
		is_synced(from) || l->bytes == MODEL_BYTES_LOST ? &from->disk : &from->now;

	buf_add_slice(&to->now, buf_slice(source));
	if (source == &from->now && l->bytes == MODEL_BYTES_ZERO && to->now.size)
		memset(to->now.data, 0, to->now.size);
	for (size_t at = 0;
	     source == &from->now && l->bytes == MODEL_BYTES_TORN && at < to->now.size;
	     at += PAGE_BYTES) {
		size_t size = slice_part(buf_slice(&to->now), at, PAGE_BYTES).size;

		switch (prng_below(&l->random, 3)) {
		case 0:
			memset(to->now.data + at, 0, size);
			break;
		case 1:
			memset(to->now.data + at, (int)prng_below(&l->random, 256), size);
			break;
		default:
			break;
		}
	}
	if (source == &from->now && l->bytes == MODEL_BYTES_TORN)
		to->now.size = prng_below(&l->random, to->now.size + 1);
	buf_add_slice(&to->disk, buf_slice(&to->now));
}

/* The number of the first pending change of a directory, in the order of directory_model_pending().
 */
static uint64_t first_change(const struct directory_model *m, const struct node *dir)
{
	uint64_t number = 0;

	for (size_t i = 0; m->nodes[i] != dir; i++)
		number += m->nodes[i]->changes.count;
	return number;
}

static void lose_directory(struct loss *l, struct node *to, const struct node *from)
{
	struct entries survived = { 0 };
	uint64_t number = first_change(l->before, from);

	entries_copy(&survived, &from->synced);
	for (size_t i = 0; i < from->changes.count; i++, number++)
		if (l->survivors >> number % 64 & 1)
			entries_apply(&survived, &from->changes.list[i]);
	for (size_t i = 0; i < survived.count; i++) {
		const struct entry *entry = &survived.list[i];
		struct node *node = node_new(l->after, entry->node->is_directory);

		if (node->is_directory)
			lose_directory(l, node, entry->node);
		else
			lose_bytes(l, node, entry->node);
		entries_add(&to->entries, entry->name, node);
	}
	entries_copy(&to->synced, &to->entries);
	memory_free(survived.list);
}

struct directory_model *directory_model_lose_power(const struct directory_model *m,
						   uint64_t survivors,
						   enum directory_model_bytes bytes, uint64_t seed)
{
	struct loss l = {
		.after = directory_model_new(),
		.before = m,
		.survivors = survivors,
		.bytes = bytes,
		.random = { seed },
	};

	lose_directory(&l, l.after->nodes[0], m->nodes[0]);
	return l.after;
}

const struct directory_system directory_system_model = {
	.open_directory = model_open_directory,
	.make_directory = model_make_directory,
	.open_object = model_open_object,
	.create_unnamed = model_create_unnamed,
	.create_named = model_create_named,
	.link_unnamed = model_link_unnamed,
	.link_named = model_link_named,
	.unlink = model_unlink,
	.sync = model_sync,
	.status = model_status,
	.visit = model_visit,
	.set_direct = model_set_direct,
	.write = model_write,
	.read = model_read,
	.close = model_close,
};
