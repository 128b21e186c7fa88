#include "drop/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/scope.h"
#include "wire/taildrop.h"

enum { KEY_BYTES = 2 * SHA256_BYTES + 1, OLD_KEY_BYTES = 33, DAY_MS = 86400 * 1000 };

/* What is there of a file that is not whole. */
struct part {
	struct list link;
	char key[KEY_BYTES];
	char *sender, *name;
	uint64_t size, promised; /* bytes that are here, and that are still to come now */
	int64_t time_ms;
	bool is_active; /* somebody is sending it */
	bool is_sure;	/* written since the machine was started */
};

struct upload {
	struct store *store;
	struct part *part;
	struct item item;
	int dir, data;
	uint64_t promised; /* of the file, still to come; counted in store->promised */
	uint64_t unchecked;
	bool has_total;
	uint64_t total;
	char id[ITEM_ID_BYTES];
};

struct store {
	struct store_limits limits;
	int inbox, partial; /* directories */
	struct list items, parts;
	size_t item_count, part_count;
	uint64_t item_bytes, part_bytes, promised;
};

/* --- opening ---------------------------------------------------------------------------------- */

static int open_directory(int parent, const char *name)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static uint64_t data_bytes(int dir)
{
	struct stat st;

	return fstatat(dir, ITEM_DATA, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)
		       ? 0
		       : (uint64_t)st.st_size;
}

static void add_item(struct store *s, struct store_item *i)
{
	struct list *before = s->items.prev;

	while (before != &s->items &&
	       strcmp(CONTAINER(before, struct store_item, link)->item.id, i->item.id) > 0)
		before = before->prev;
	list_add(before->next, &i->link);
	s->item_count++;
	s->item_bytes += i->item.size;
}

/* What cannot be read is left where it is: it may be somebody's only copy. */
static void load_item(struct store *s, const char *name)
{
	AUTO_FD dir = openat(s->inbox, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct store_item *i;

	if (dir < 0 || !item_is_id(name))
		return;
	i = NEW(struct store_item);
	item_init(&i->item);
	memcpy(i->item.id, name, ITEM_ID_BYTES);
	enum err err = item_read_meta(dir, &i->item);
	if (!err && data_bytes(dir) == i->item.size) {
		add_item(s, i);
		return;
	}
	log_warn("inbox/%s is damaged and left alone: %s", name,
		 err ? err_name(err) : "its size is another");
	item_done(&i->item);
	memory_free(i);
}

static struct part *add_part(struct store *s, const char *key, struct slice sender,
			     struct slice name)
{
	struct part *p = NEW(struct part);

	snprintf(p->key, KEY_BYTES, "%s", key);
	item_set(&p->sender, sender);
	item_set(&p->name, name);
	list_add(&s->parts, &p->link);
	s->part_count++;
	return p;
}

static void forget_part(struct store *s, struct part *p)
{
	list_remove(&p->link);
	s->part_count--;
	s->part_bytes -= p->size;
	memory_free(p->sender);
	memory_free(p->name);
	memory_free(p);
}

static struct part *find_part(struct store *s, struct slice sender, struct slice name)
{
	LIST_EACH (&s->parts, struct part, link, p)
		if (slice_equal(slice_from(p->name), name) &&
		    slice_equal(slice_from(p->sender), sender))
			return p;
	return NULL;
}

/* Senders choose both: nobody can find two that are the same here. */
static void part_key(struct slice sender, struct slice name, char ret[KEY_BYTES])
{
	uint8_t hash[SHA256_BYTES];
	struct buf both;

	buf_init(&both);
	buf_add_slice(&both, sender);
	buf_add(&both, "", 1);
	buf_add_slice(&both, name);
	sha256(buf_slice(&both), hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
	buf_done(&both);
}

/* As it was before: of parts that are still there. */
static bool is_old_key(const char *key, const struct item *item)
{
	char expected[OLD_KEY_BYTES];
	struct buf both;

	buf_init(&both);
	buf_add_slice(&both, slice_from(item->sender));
	buf_add(&both, "", 1);
	buf_add_slice(&both, slice_from(item->name));
	struct hash128 hash = hash_content(buf_slice(&both));
	snprintf(expected, sizeof(expected), "%016llx%016llx", (unsigned long long)hash.high,
		 (unsigned long long)hash.low);
	buf_done(&both);
	return strcmp(expected, key) == 0;
}

/* When the machine was started, by its own clock: what was written before may be lost. */
static int64_t boot_wall_ms(void)
{
	struct timespec wall, boot;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (wall.tv_sec - boot.tv_sec) * 1000;
}

static void load_part(struct store *s, const char *key)
{
	char expected[KEY_BYTES];
	struct item item;
	struct stat st;
	AUTO_FD dir = openat(s->partial, key, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir < 0)
		return;
	item_init(&item);
	enum err err = item_read_meta(dir, &item);
	part_key(slice_from(item.sender), slice_from(item.name), expected);
	if (!err && is_old_key(key, &item) && renameat(s->partial, key, s->partial, expected) == 0)
		key = expected;
	if (err || strcmp(expected, key) != 0 || fstatat(dir, ITEM_DATA, &st, 0) < 0) {
		(void)!item_remove(s->partial, key); /* of one that had hardly begun */
	} else if (!find_part(s, slice_from(item.sender), slice_from(item.name))) {
		/* a directory may be read twice when it is renamed meanwhile */
		struct part *p = add_part(s, key, slice_from(item.sender), slice_from(item.name));
		p->size = data_bytes(dir);
		p->time_ms = st.st_mtim.tv_sec * 1000;
		p->is_sure = p->time_ms > boot_wall_ms() + 1000;
		s->part_bytes += p->size;
	}
	item_done(&item);
}

static enum err each_entry(struct store *s, int dir,
			   void (*on_entry)(struct store *s, const char *name))
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!list)
		return ERR_IO;
	while ((entry = readdir(list)))
		if (entry->d_name[0] != '.')
			on_entry(s, entry->d_name);
	closedir(list);
	return OK;
}

enum err store_open(const char *dir, const struct store_limits *limits, struct store **ret,
		    char why[STORE_WHY_BYTES])
{
	AUTO_FD top = open_directory(AT_FDCWD, dir);
	struct store *s;

	int inbox = top < 0 ? -1 : open_directory(top, "inbox");
	int partial = inbox < 0 ? -1 : open_directory(top, "partial");
	if (partial < 0) {
		enum err err = err_from_errno(errno);
		snprintf(why, STORE_WHY_BYTES, "the inbox %.80s cannot be opened: %s", dir,
			 strerror(errno));
		if (inbox >= 0)
			close(inbox);
		return err;
	}
	s = NEW(struct store);
	s->limits = *limits;
	s->inbox = inbox;
	s->partial = partial;
	list_init(&s->items);
	list_init(&s->parts);
	if (each_entry(s, inbox, load_item) || each_entry(s, partial, load_part)) {
		snprintf(why, STORE_WHY_BYTES, "the inbox %.80s cannot be read", dir);
		store_close(s);
		return ERR_IO;
	}
	*ret = s;
	return OK;
}

static void forget_item(struct store *s, struct store_item *i)
{
	list_remove(&i->link);
	s->item_count--;
	s->item_bytes -= i->item.size;
	item_done(&i->item);
	memory_free(i);
}

void store_close(struct store *s)
{
	LIST_EACH (&s->items, struct store_item, link, i)
		forget_item(s, i);
	LIST_EACH (&s->parts, struct part, link, p) {
		assert(!p->is_active);
		forget_part(s, p);
	}
	close(s->inbox);
	close(s->partial);
	memory_free(s);
}

/* --- files ------------------------------------------------------------------------------------ */

struct list *store_items(struct store *s)
{
	return &s->items;
}

struct store_item *store_find(struct store *s, const char *id)
{
	LIST_EACH (&s->items, struct store_item, link, i)
		if (strcmp(i->item.id, id) == 0)
			return i;
	return NULL;
}

struct store_item *store_find_token(struct store *s, struct slice sender, struct slice token)
{
	if (token.size == 0)
		return NULL;
	LIST_EACH (&s->items, struct store_item, link, i)
		if (slice_equal(slice_from(i->item.token), token) &&
		    slice_equal(slice_from(i->item.sender), sender))
			return i;
	return NULL;
}

enum err store_open_data(struct store *s, const struct store_item *i, int *ret_fd)
{
	char path[ITEM_ID_BYTES + 8];

	snprintf(path, sizeof(path), "%s/" ITEM_DATA, i->item.id);
	int fd = openat(s->inbox, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_from_errno(errno);
	*ret_fd = fd;
	return OK;
}

enum err store_remove(struct store *s, struct store_item *i)
{
	enum err err = item_remove(s->inbox, i->item.id);

	if (!err)
		forget_item(s, i);
	return err;
}

size_t store_expire(struct store *s, int64_t now_ms)
{
	size_t count = 0;

	LIST_EACH (&s->items, struct store_item, link, i) {
		if (i->item.time_ms + s->limits.keep_ms > now_ms || i->readers > 0)
			continue;
		log_info("%s from %s was in the inbox for its time and is removed", i->item.name,
			 i->item.from);
		count += store_remove(s, i) == OK;
	}
	LIST_EACH (&s->parts, struct part, link, p) {
		if (p->is_active || p->time_ms + (int64_t)STORE_PART_KEEP_DAYS * DAY_MS > now_ms)
			continue;
		if (item_remove(s->partial, p->key) == OK)
			forget_part(s, p);
	}
	return count;
}

static uint64_t free_bytes(const struct store *s)
{
	struct statvfs st;

	return fstatvfs(s->inbox, &st) < 0 ? 0 : (uint64_t)st.f_bavail * st.f_frsize;
}

struct store_usage store_usage(const struct store *s)
{
	return (struct store_usage) {
		.files = s->item_count,
		.bytes = s->item_bytes,
		.parts = s->part_count,
		.part_bytes = s->part_bytes,
		.free_bytes = free_bytes(s),
		.limits = s->limits,
	};
}

/* --- room ------------------------------------------------------------------------------------- */

/* What one sender has here; bytes that are promised too. */
struct share {
	uint64_t bytes;
	size_t items, parts;
};

static struct share sender_share(const struct store *s, const char *sender)
{
	struct share share = { 0 };

	LIST_EACH (&s->items, struct store_item, link, i) {
		if (strcmp(i->item.sender, sender) != 0)
			continue;
		share.bytes += i->item.size;
		share.items++;
	}
	LIST_EACH (&s->parts, struct part, link, p) {
		if (strcmp(p->sender, sender) != 0)
			continue;
		share.bytes += p->size + p->promised;
		share.parts++;
	}
	return share;
}

/* `more` bytes on top of all that is there or was promised. */
static enum err check_room(const struct store *s, const char *sender, uint64_t more,
			   char why[STORE_WHY_BYTES])
{
	const struct store_limits *l = &s->limits;
	uint64_t used = s->item_bytes + s->part_bytes + s->promised;

	if (s->item_count >= STORE_ITEMS_MAX || used > l->inbox_bytes ||
	    more > l->inbox_bytes - used) {
		snprintf(why, STORE_WHY_BYTES, "the inbox is full: %llu of %llu bytes",
			 (unsigned long long)used, (unsigned long long)l->inbox_bytes);
		return ERR_FULL;
	}
	struct share share = sender_share(s, sender);
	uint64_t own = share.bytes;
	if (share.items + share.parts >= l->sender_items) {
		snprintf(why, STORE_WHY_BYTES, "one sender may not have more files in this inbox");
		return ERR_FULL;
	}
	if (own > l->sender_bytes || more > l->sender_bytes - own) {
		snprintf(why, STORE_WHY_BYTES,
			 "what this inbox holds for one sender is full: %llu of %llu bytes",
			 (unsigned long long)own, (unsigned long long)l->sender_bytes);
		return ERR_FULL;
	}
	uint64_t available = free_bytes(s), kept = l->reserve_bytes + s->promised;
	if (available < kept || more > available - kept) {
		snprintf(why, STORE_WHY_BYTES, "the disk of this machine is nearly full");
		return ERR_FULL;
	}
	return OK;
}

/* --- uploads ---------------------------------------------------------------------------------- */

static void set_promised(struct upload *u, uint64_t bytes)
{
	u->store->promised += bytes - u->promised;
	u->promised = u->part->promised = bytes;
}

static void upload_free(struct upload *u)
{
	set_promised(u, 0);
	u->part->is_active = false;
	if (u->data >= 0)
		close(u->data);
	if (u->dir >= 0)
		close(u->dir);
	item_done(&u->item);
	memory_free(u);
}

void upload_discard(struct upload *u)
{
	struct store *s = u->store;
	struct part *p = u->part;

	upload_free(u);
	if (item_remove(s->partial, p->key) == OK)
		forget_part(s, p);
}

void upload_suspend(struct upload *u)
{
	if (u->part->size == 0)
		upload_discard(u);
	else
		upload_free(u);
}

static enum err open_files(struct upload *u, uint64_t offset, char why[STORE_WHY_BYTES])
{
	struct store *s = u->store;

	u->dir = open_directory(s->partial, u->part->key);
	u->data = u->dir < 0 ? -1
			     : openat(u->dir, ITEM_DATA,
				      O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	enum err err = u->data < 0 ? err_from_errno(errno) : OK;
	if (!err && u->part->size == 0)
		err = item_write_meta(u->dir, &u->item);
	if (!err &&
	    (ftruncate(u->data, (off_t)offset) < 0 || lseek(u->data, (off_t)offset, SEEK_SET) < 0))
		err = err_from_errno(errno);
	if (err) {
		snprintf(why, STORE_WHY_BYTES, "the file cannot be kept: %s", err_name(err));
		return err;
	}
	s->part_bytes -= u->part->size - offset;
	u->part->size = offset;
	return OK;
}

static enum err check_begin(struct store *s, const struct store_sender *who, const struct part *p,
			    uint64_t offset, uint64_t total, char why[STORE_WHY_BYTES])
{
	char *sender = NULL;
	uint64_t have = p ? p->size : 0;

	snprintf(why, STORE_WHY_BYTES, "this file is being sent already");
	if (p && p->is_active)
		return ERR_BUSY;
	snprintf(why, STORE_WHY_BYTES, "there are %llu bytes of this file here",
		 (unsigned long long)have);
	if (offset > have)
		return ERR_CONFLICT;
	snprintf(why, STORE_WHY_BYTES, "a file is not shorter than what there is of it");
	if (total != STORE_SIZE_UNKNOWN && total < offset)
		return ERR_INVALID;
	item_set(&sender, who->id);
	size_t parts = sender_share(s, sender).parts;
	uint64_t more = total == STORE_SIZE_UNKNOWN ? 0 : total - offset;
	more = more > have - offset ? more - (have - offset) : 0; /* that part is counted */
	enum err err = check_room(s, sender, more, why);
	memory_free(sender);
	if (!err && !p && (s->part_count >= STORE_PARTS_MAX || parts >= STORE_SENDER_PARTS_MAX)) {
		snprintf(why, STORE_WHY_BYTES, "too many files are not complete yet");
		return ERR_BUSY;
	}
	return err;
}

enum err store_begin(struct store *s, const struct store_sender *who, struct slice name,
		     uint64_t offset, uint64_t total, int64_t now_ms, struct upload **ret,
		     char why[STORE_WHY_BYTES])
{
	struct part *p = find_part(s, who->id, name);
	char key[KEY_BYTES];

	enum err err = check_begin(s, who, p, offset, total, why);
	if (err)
		return err;
	if (!p) {
		part_key(who->id, name, key);
		p = add_part(s, key, who->id, name);
		p->is_sure = true;
	}
	struct upload *u = NEW(struct upload);
	u->store = s;
	u->part = p;
	u->dir = u->data = -1;
	p->is_active = true;
	p->time_ms = now_ms;
	p->is_sure |= offset == 0;
	item_init(&u->item);
	item_set(&u->item.name, name);
	item_set(&u->item.sender, who->id);
	item_set(&u->item.from, who->name);
	item_set(&u->item.user, who->user);
	item_set(&u->item.token, who->token);
	u->has_total = total != STORE_SIZE_UNKNOWN;
	u->total = total;
	err = open_files(u, offset, why);
	if (err) {
		upload_suspend(u);
		return err;
	}
	set_promised(u, u->has_total ? total - offset : 0);
	*ret = u;
	return OK;
}

uint64_t upload_bytes(const struct upload *u)
{
	return u->part->size;
}

static enum err write_all(int fd, struct slice bytes, uint64_t *ret_written)
{
	*ret_written = 0;
	while (bytes.size > 0) {
		ssize_t got = write(fd, bytes.data, bytes.size);
		if (got < 0 && errno != EINTR)
			return err_from_errno(errno);
		if (got > 0) {
			bytes = slice_part(bytes, (size_t)got, bytes.size);
			*ret_written += (uint64_t)got;
		}
	}
	return OK;
}

enum err upload_write(struct upload *u, struct slice bytes, char why[STORE_WHY_BYTES])
{
	struct store *s = u->store;
	uint64_t written;

	if (u->has_total && bytes.size > u->total - u->part->size) {
		snprintf(why, STORE_WHY_BYTES, "the file is longer than was said");
		return ERR_INVALID;
	}
	u->unchecked += bytes.size;
	if (!u->has_total && u->unchecked > STORE_CHECK_BYTES) {
		enum err err = check_room(s, u->item.sender, u->unchecked, why);
		if (err)
			return err;
		u->unchecked = 0;
	}
	enum err err = write_all(u->data, bytes, &written);
	u->part->size += written;
	s->part_bytes += written;
	if (u->has_total)
		set_promised(u, u->total - u->part->size);
	if (err)
		snprintf(why, STORE_WHY_BYTES, "%s",
			 err == ERR_FULL ? "the disk of this machine is full" : err_name(err));
	return err;
}

/* --- the end of an upload --------------------------------------------------------------------- */

static enum err finish_work(struct worker_job *job)
{
	struct upload_finish *f = CONTAINER(job, struct upload_finish, job);
	struct upload *u = f->upload;
	struct store *s = u->store;

	if (fsync(u->data) < 0)
		return err_from_errno(errno);
	enum err err = item_write_meta(u->dir, &u->item);
	if (err)
		return err;
	if (renameat(s->partial, u->part->key, s->inbox, u->id) < 0 || fsync(s->inbox) < 0 ||
	    fsync(s->partial) < 0)
		return err_from_errno(errno);
	return OK;
}

void upload_finish(struct upload_finish *f, struct task *parent, struct upload *u, int64_t now_ms)
{
	f->upload = u;
	f->ret = NULL;
	u->item.size = u->part->size;
	u->item.time_ms = now_ms;
	item_draw_id(now_ms, u->id);
	worker_start(&f->job, parent, finish_work);
}

enum err upload_finished(struct upload_finish *f)
{
	struct upload *u = f->upload;
	struct store *s = u->store;
	struct part *p = u->part;
	enum err err = f->job.task.err;

	if (!err) {
		struct store_item *i = NEW(struct store_item);
		i->item = u->item;
		item_init(&u->item);
		memcpy(i->item.id, u->id, ITEM_ID_BYTES);
		add_item(s, i);
		f->ret = i;
	}
	upload_free(u);
	f->upload = NULL;
	if (!err)
		forget_part(s, p);
	return err;
}

/* --- parts ------------------------------------------------------------------------------------ */

uint64_t store_part_bytes(struct store *s, struct slice sender, struct slice name,
			  bool *ret_is_sure)
{
	struct part *p = find_part(s, sender, name);

	*ret_is_sure = p && p->is_sure;
	return p ? p->size : 0;
}

enum err store_part_open(struct store *s, struct slice sender, struct slice name, int *ret_fd)
{
	struct part *p = find_part(s, sender, name);
	char path[KEY_BYTES + 8];

	if (!p)
		return ERR_NOT_FOUND;
	snprintf(path, sizeof(path), "%s/" ITEM_DATA, p->key);
	int fd = openat(s->partial, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_from_errno(errno);
	*ret_fd = fd;
	return OK;
}

void store_each_part(struct store *s, struct slice sender,
		     void (*on_part)(void *context, struct slice name), void *context)
{
	LIST_EACH (&s->parts, struct part, link, p)
		if (slice_equal(slice_from(p->sender), sender))
			on_part(context, slice_from(p->name));
}
