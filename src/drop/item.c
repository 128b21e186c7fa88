#include "drop/item.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/scope.h"
#include "base/text.h"

#define HEAD "hanse-drop 1"
#define META_NEW "meta.new"

void item_init(struct item *i)
{
	*i = (struct item) { .name = memory_copy_text(""),
			     .sender = memory_copy_text(""),
			     .from = memory_copy_text(""),
			     .user = memory_copy_text(""),
			     .token = memory_copy_text("") };
}

void item_done(struct item *i)
{
	memory_free(i->name);
	memory_free(i->sender);
	memory_free(i->from);
	memory_free(i->user);
	memory_free(i->token);
}

void item_set(char **text, struct slice s)
{
	char *copy = memory_take(s.size + 1);

	if (s.size)
		memcpy(copy, s.data, s.size);
	memory_free(*text);
	*text = copy;
}

void item_draw_id(int64_t now_ms, char ret[ITEM_ID_BYTES])
{
	snprintf(ret, ITEM_ID_BYTES, "%016llx%08x", (unsigned long long)now_ms,
		 (unsigned)random_u64());
}

bool item_is_id(const char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size; i++)
		if (!isxdigit((unsigned char)text[i]) || isupper((unsigned char)text[i]))
			return false;
	return size == ITEM_ID_BYTES - 1;
}

/* --- text ------------------------------------------------------------------------------------- */

/* What would end a line cannot come in, and is not let out either. */
static void add_line(struct buf *b, const char *key, const char *value)
{
	if (value[0] && !strchr(value, '\n'))
		buf_add_format(b, "%s %s\n", key, value);
}

void item_encode(const struct item *i, struct buf *ret)
{
	buf_add_text(ret, HEAD "\n");
	add_line(ret, "name", i->name);
	add_line(ret, "sender", i->sender);
	add_line(ret, "from", i->from);
	add_line(ret, "user", i->user);
	add_line(ret, "token", i->token);
	buf_add_format(ret, "size %llu\ntime %lld\nend\n", (unsigned long long)i->size,
		       (long long)i->time_ms);
}

static bool set_number(struct slice value, uint64_t *ret)
{
	return text_to_u64(value, INT64_MAX, ret) == OK;
}

static bool set_value(struct item *i, struct slice key, struct slice value)
{
	const struct {
		const char *key;
		char **text;
	} texts[] = { { "name", &i->name },
		      { "sender", &i->sender },
		      { "from", &i->from },
		      { "user", &i->user },
		      { "token", &i->token } };
	uint64_t time;

	if (value.size > ITEM_VALUE_BYTES_MAX || memchr(value.data, '\0', value.size))
		return false;
	for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
		if (!slice_equal(key, slice_from(texts[j].key)))
			continue;
		item_set(texts[j].text, value);
		return true;
	}
	if (slice_equal(key, SLICE("size")))
		return set_number(value, &i->size);
	if (!slice_equal(key, SLICE("time")) || !set_number(value, &time))
		return false;
	i->time_ms = (int64_t)time;
	return true;
}

enum err item_parse(struct slice text, struct item *ret)
{
	struct item found;
	bool is_good = true, is_whole = false;
	struct slice head = slice_cut(&text, '\n');

	if (!slice_equal(head, SLICE(HEAD)))
		return slice_starts_with(head, SLICE("hanse-drop ")) ? ERR_UNSUPPORTED
								     : ERR_INVALID;
	item_init(&found);
	while (text.size > 0 && is_good && !is_whole) {
		struct slice line = slice_cut(&text, '\n');
		is_whole = slice_equal(line, SLICE("end"));
		struct slice key = slice_cut(&line, ' ');
		is_good = is_whole || set_value(&found, key, line);
	}
	if (!is_good || !is_whole || text.size > 0 || !found.name[0]) {
		item_done(&found);
		return ERR_INVALID;
	}
	memcpy(found.id, ret->id, sizeof(found.id));
	item_done(ret);
	*ret = found;
	return OK;
}

/* --- files ------------------------------------------------------------------------------------ */

enum err item_read_meta(int dir, struct item *ret)
{
	uint8_t bytes[ITEM_META_BYTES_MAX];
	AUTO_FD fd = openat(dir, ITEM_META, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_from_errno(errno);
	ssize_t size = read(fd, bytes, sizeof(bytes));
	if (size < 0)
		return ERR_IO;
	return item_parse((struct slice) { bytes, (size_t)size }, ret);
}

enum err item_write_meta(int dir, const struct item *i)
{
	struct buf text;
	enum err err = OK;
	AUTO_FD fd =
		openat(dir, META_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_from_errno(errno);
	buf_init(&text);
	item_encode(i, &text);
	ssize_t size = write(fd, text.data, text.size);
	if (size != (ssize_t)text.size)
		err = size < 0 ? err_from_errno(errno) : ERR_FULL;
	else if (fsync(fd) < 0 || renameat(dir, META_NEW, dir, ITEM_META) < 0 || fsync(dir) < 0)
		err = err_from_errno(errno);
	buf_done(&text);
	return err;
}

enum err item_remove(int parent, const char *name)
{
	static const char *const files[] = { ITEM_META, META_NEW, ITEM_DATA };
	AUTO_FD dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir < 0)
		return err_from_errno(errno);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (unlinkat(dir, files[i], 0) < 0 && errno != ENOENT)
			return err_from_errno(errno);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? err_from_errno(errno) : OK;
}
