#include "names/hosts_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/scope.h"

#define OURS "\t# kept by hanse"
/* The line before our first one had no newline. */
#define OURS_AFTER_HALF_A_LINE "\t# after a line without its end\t# kept by hanse"
#define TITLE "# names of the mesh, here while it is up"

static bool ends_with(struct slice s, struct slice end)
{
	return s.size >= end.size && slice_equal(slice_part(s, s.size - end.size, end.size), end);
}

/* --- text ------------------------------------------------------------------------------------- */

void hosts_block_begin(struct buf *block)
{
	buf_add_text(block, TITLE OURS "\n");
}

void hosts_block_add(struct buf *block, struct ip ip, const char *names)
{
	char text[IP_TEXT_BYTES];

	ip_text(ip, text);
	buf_add_format(block, "%s\t%s" OURS "\n", text, names);
}

/* With its newline, if it has one. */
static struct slice take_line(struct slice *rest)
{
	struct slice before = *rest;
	struct slice line = slice_cut(rest, '\n');

	return slice_part(before, 0,
			  before.size - rest->size > line.size ? line.size + 1 : line.size);
}

static struct slice without_newline(struct slice line)
{
	return line.size && line.data[line.size - 1] == '\n' ? slice_part(line, 0, line.size - 1)
							     : line;
}

static bool is_ours(struct slice line)
{
	return ends_with(without_newline(line), SLICE(OURS));
}

static bool are_all_ours(struct slice lines)
{
	while (lines.size > 0)
		if (!is_ours(take_line(&lines)))
			return false;
	return true;
}

void hosts_file_replace(struct slice file, struct slice block, struct buf *ret)
{
	size_t begin = ret->size;

	while (file.size > 0) {
		struct slice line = take_line(&file);
		/* The newline before it was ours too, unless somebody has written behind it. */
		if (ends_with(without_newline(line), SLICE(OURS_AFTER_HALF_A_LINE)) &&
		    ret->size > begin && are_all_ours(file))
			ret->size--;
		else if (!is_ours(line))
			buf_add_slice(ret, line);
	}
	if (block.size == 0)
		return;
	if (ret->size > begin && ret->data[ret->size - 1] != '\n') {
		buf_add_text(ret, "\n" TITLE OURS_AFTER_HALF_A_LINE "\n");
		take_line(&block);
	}
	buf_add_slice(ret, block);
}

/* --- files ------------------------------------------------------------------------------------ */

static enum err complain(char why[HOSTS_FILE_WHY_BYTES], const char *what, const char *path)
{
	enum err err = err_from_errno(errno);

	snprintf(why, HOSTS_FILE_WHY_BYTES, "%.100s cannot be %s: %s", path, what, strerror(errno));
	return err;
}

static enum err read_file(int fd, size_t size, struct buf *ret)
{
	uint8_t *p = buf_reserve(ret, size + 1);
	size_t done = 0;

	while (done <= size) {
		ssize_t got = pread(fd, p + done, size + 1 - done, (off_t)done);
		if (got < 0 && errno != EINTR)
			return ERR_IO;
		if (got == 0)
			break;
		if (got > 0)
			done += (size_t)got;
	}
	ret->size += done;
	return done > size ? ERR_BUSY : OK; /* it grows */
}

static bool write_all(int fd, struct slice s, off_t at)
{
	while (s.size > 0) {
		ssize_t got = pwrite(fd, s.data, s.size, at);
		if (got < 0 && errno != EINTR)
			return false;
		if (got > 0) {
			s = slice_part(s, (size_t)got, s.size);
			at += got;
		}
	}
	return true;
}

static enum err write_in_place(const char *path, struct slice old, struct slice new,
			       char why[HOSTS_FILE_WHY_BYTES])
{
	size_t same = 0;
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return complain(why, "written", path);
	while (same < old.size && same < new.size &&old.data[same] == new.data[same])
		same++;
	if (!write_all(fd, slice_part(new, same, new.size), (off_t)same) ||
	    (new.size < old.size &&ftruncate(fd, (off_t) new.size) < 0) || fsync(fd) < 0)
		return complain(why, "written", path);
	return OK;
}

/* ERR_UNSUPPORTED: this file cannot be replaced, and nothing was changed. */
static enum err replace(const char *path, const struct stat *st, struct slice new)
{
	char temporary[PATH_MAX + 32];
	mode_t mode = st->st_mode & 07777;

	if (st->st_nlink != 1)
		return ERR_UNSUPPORTED;
	snprintf(temporary, sizeof(temporary), "%s.hanse", path);
	unlink(temporary); /* of one that was killed */
	AUTO_FD fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ERR_UNSUPPORTED;
	if (write_all(fd, new, 0) && fchown(fd, st->st_uid, st->st_gid) == 0 &&
	    fchmod(fd, mode) == 0 && fsync(fd) == 0 && rename(temporary, path) == 0)
		return OK;
	unlink(temporary);
	return ERR_UNSUPPORTED;
}

static enum err set_file(const char *path, int fd, const struct stat *st, struct slice block,
			 struct buf *old, struct buf *new, char why[HOSTS_FILE_WHY_BYTES])
{
	enum err err = read_file(fd, (size_t)st->st_size, old);
	if (err) {
		snprintf(why, HOSTS_FILE_WHY_BYTES, "%.100s cannot be read: %s", path,
			 err_name(err));
		return err;
	}
	hosts_file_replace(buf_slice(old), block, new);
	if (slice_equal(buf_slice(old), buf_slice(new)))
		return OK;
	err = replace(path, st, buf_slice(new));
	return err == ERR_UNSUPPORTED ? write_in_place(path, buf_slice(old), buf_slice(new), why)
				      : err;
}

enum err hosts_file_set(const char *path, struct slice block, char why[HOSTS_FILE_WHY_BYTES])
{
	char real[PATH_MAX];
	struct stat st;
	struct buf old, new;

	if (!realpath(path, real))
		return errno == ENOENT && block.size == 0 ? OK : complain(why, "found", path);
	AUTO_FD fd = open(real, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return complain(why, "read", path);
	if (!S_ISREG(st.st_mode) || st.st_size > HOSTS_FILE_BYTES_MAX) {
		snprintf(why, HOSTS_FILE_WHY_BYTES, "%.100s is no file of a size to keep names in",
			 path);
		return ERR_TOO_BIG;
	}
	buf_init(&old);
	buf_init(&new);
	enum err err = set_file(real, fd, &st, block, &old, &new, why);
	buf_done(&old);
	buf_done(&new);
	return err;
}

/* --- whose it is -----------------------------------------------------------------------------
 */

static bool is_same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* Is something mounted there, as `ip netns exec` and containers do? */
static bool is_mount(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, 0, 0, &st) == 0 &&
	       st.stx_attributes_mask & st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* Where process 1 does not let us look, only the first network of a system has the numbers of its
 * queues. */
bool hosts_file_is_ours(const char *path)
{
	struct stat st;

	if (strcmp(path, HOSTS_FILE_DEFAULT) != 0 || is_mount(path))
		return true;
	if (stat("/proc/1/ns/net", &st) < 0)
		return access("/proc/sys/net/core/netdev_budget", F_OK) == 0 ||
		       access("/proc/sys/net/core", F_OK) < 0;
	return is_same_file("/proc/self/ns/net", "/proc/1/ns/net") ||
	       !is_same_file(path, "/proc/1/root" HOSTS_FILE_DEFAULT);
}
