#include "server/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/scope.h"
#include "server/supervisor.h"

enum { PATH_SHOWN = 150, KEY_PATH_BYTES = 4096 };

void secret_buf_done(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->capacity);
	buf_done(b);
}

void keys_protect(void)
{
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warn("core dumps cannot be turned off: %s", strerror(errno));
#endif
}

void key_draw(struct keyring *ret)
{
	uint8_t root[KEY_BYTES];

	random_bytes(root, sizeof(root));
	keyring_from_root(ret, root);
	explicit_bzero(root, sizeof(root));
}

/* --- reading --------------------------------------------------------------------------------- */
/* A pipe belongs to who made it; a file to whoever its mode says. */
static enum err check_mode(int fd, const char *path, char why[KEY_FILE_WHY_BYTES])
{
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		snprintf(why, KEY_FILE_WHY_BYTES, "%.*s is no key file", PATH_SHOWN, path);
		return ERR_INVALID;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) == 0)
		return OK;
	snprintf(why, KEY_FILE_WHY_BYTES,
		 "%.*s can be read by others (mode %03o): `chmod 600` it, and think about who may "
		 "have read it",
		 PATH_SHOWN, path, (unsigned)(st.st_mode & 0777));
	return ERR_DENIED;
}

/* One byte more than the limit is enough to see that it is broken. */
static enum err read_all(int fd, struct buf *ret)
{
	uint8_t *to = buf_reserve(ret, KEY_FILE_BYTES_MAX + 1);

	while (ret->size <= KEY_FILE_BYTES_MAX) {
		ssize_t got = read(fd, to + ret->size, KEY_FILE_BYTES_MAX + 1 - ret->size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_from_errno(errno);
		if (got == 0)
			break;
		ret->size += (size_t)got;
	}
	return OK;
}

enum err key_file_read(const char *path, struct keyring *ret, char why[KEY_FILE_WHY_BYTES])
{
	char reason[KEYRING_WHY_BYTES];
	struct buf text;

	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		snprintf(why, KEY_FILE_WHY_BYTES, "the key file %.*s cannot be read: %s",
			 PATH_SHOWN, path, strerror(errno));
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
	}
	enum err err = check_mode(fd, path, why);
	if (err)
		return err;
	buf_init(&text);
	err = read_all(fd, &text);
	if (err) {
		snprintf(why, KEY_FILE_WHY_BYTES, "the key file %.*s cannot be read: %s",
			 PATH_SHOWN, path, err_name(err));
	} else {
		err = keyring_parse(buf_slice(&text), ret, reason);
		if (err)
			snprintf(why, KEY_FILE_WHY_BYTES, "the key file %.*s: %s", PATH_SHOWN, path,
				 reason);
	}
	secret_buf_done(&text);
	return err;
}

/* --- is it a cluster's? ---------------------------------------------------------------------- */
static const char unused_line[] = "# No cluster has it yet: an empty bucket becomes a new one.\n";
static const char used_line[] = "# It is a cluster's: an empty bucket is not the right one. \n";
_Static_assert(sizeof(unused_line) == sizeof(used_line), "one is written over the other");

/* Where the line stands in the file; negative: nowhere. */
static off_t find_unused(int fd)
{
	struct buf text;
	off_t ret = -1;

	buf_init(&text);
	if (read_all(fd, &text) == OK) {
		const uint8_t *at =
			memmem(text.data, text.size, unused_line, sizeof(unused_line) - 1);
		if (at)
			ret = at - text.data;
	}
	secret_buf_done(&text);
	return ret;
}

bool key_file_is_unused(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd >= 0 && find_unused(fd) >= 0;
}

void key_file_set_used(const char *path)
{
	AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	off_t at = fd < 0 ? -1 : find_unused(fd);

	if (at >= 0 && pwrite(fd, used_line, sizeof(used_line) - 1, at) > 0)
		(void)fsync(fd);
}

/* --- writing --------------------------------------------------------------------------------- */
void key_file_text(const struct keyring *k, bool is_unused, struct buf *ret)
{
	char id[KEY_ID_TEXT_BYTES];

	keyring_id_text(k, id);
	(void)buf_reserve(ret, KEY_FILE_BYTES_MAX); /* it never moves, so it can be wiped */
	if (keyring_has(k, KEY_ROOT))
		buf_add_format(ret,
			       "# The recovery key of a Hanse cluster, key id %s.\n"
			       "# Whoever has it can read everything; without it nobody can read "
			       "anything.\n"
			       "# Keep a copy on paper, away from this machine.\n",
			       id);
	else
		buf_add_format(ret,
			       "# Keys for one role of a Hanse cluster, key id %s.\n"
			       "# Derived from the recovery key, which is kept elsewhere.\n",
			       id);
	if (is_unused)
		buf_add_text(ret, unused_line);
	keyring_encode(k, ret);
}

static bool write_all(int fd, struct slice text)
{
	while (text.size > 0) {
		ssize_t written = write(fd, text.data, text.size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		text = slice_part(text, (size_t)written, text.size);
	}
	return fsync(fd) == 0;
}

static void directory_of(const char *path, char ret[KEY_PATH_BYTES])
{
	char copy[KEY_PATH_BYTES];

	snprintf(copy, sizeof(copy), "%s", path);
	snprintf(ret, KEY_PATH_BYTES, "%s", dirname(copy));
}

/* The name of a new file is durable once its directory is. */
static bool sync_directory(const char *path)
{
	char directory[KEY_PATH_BYTES];

	directory_of(path, directory);
	AUTO_FD fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0;
}

/* The file gets its name when it is whole and durable; false: see errno. */
static bool create_whole(const char *path, struct slice text)
{
	char directory[KEY_PATH_BYTES], itself[32];

	directory_of(path, directory);
	AUTO_FD fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	snprintf(itself, sizeof(itself), "/proc/self/fd/%d", fd);
	return fd >= 0 && write_all(fd, text) &&
	       linkat(AT_FDCWD, itself, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}

/* Where there are no files without a name: a crash may leave one that is not whole. */
static bool create_in_place(const char *path, struct slice text)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd < 0)
		return false;
	if (write_all(fd, text))
		return true;
	int code = errno;
	unlink(path);
	errno = code;
	return false;
}

enum err key_file_create(const char *path, const struct keyring *k, char why[KEY_FILE_WHY_BYTES])
{
	struct buf text;

	if (strlen(path) >= KEY_PATH_BYTES) {
		snprintf(why, KEY_FILE_WHY_BYTES, "the name of the key file is too long");
		return ERR_TOO_BIG;
	}
	buf_init(&text);
	key_file_text(k, true, &text);
	bool is_written = create_whole(path, buf_slice(&text)) ||
			  (errno != EEXIST && create_in_place(path, buf_slice(&text)));
	int code = errno;
	secret_buf_done(&text);
	if (is_written && sync_directory(path))
		return OK;
	if (is_written) {
		code = errno;
		unlink(path);
	}
	snprintf(why, KEY_FILE_WHY_BYTES, "the key file %.*s cannot be made: %s", PATH_SHOWN, path,
		 strerror(code));
	return code == EEXIST ? ERR_EXISTS : ERR_DENIED;
}

/* --- the role's side ------------------------------------------------------------------------- */
enum err role_take_keys(struct keyring *ret, char why[KEY_FILE_WHY_BYTES])
{
	char reason[KEYRING_WHY_BYTES];
	struct buf text;

	buf_init(&text);
	if (!supervisor_take_secret(&text)) {
		secret_buf_done(&text);
		snprintf(why, KEY_FILE_WHY_BYTES, "the supervisor gave this process no keys");
		return ERR_NOT_FOUND;
	}
	keys_protect();
	enum err err = keyring_parse(buf_slice(&text), ret, reason);
	secret_buf_done(&text);
	if (err)
		snprintf(why, KEY_FILE_WHY_BYTES, "the supervisor's keys: %s", reason);
	return err;
}
