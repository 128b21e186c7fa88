#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"

/* --- the directory ---------------------------------------------------------------------------- */
static bool make_all(const char *path)
{
	char part[sizeof(((struct state *)NULL)->path)];
	size_t size = strlen(path);

	for (size_t i = 1; i <= size; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return false;
	}
	return true;
}

static enum err lock(struct state *s, char why[STATE_WHY_BYTES])
{
	s->lock = openat(s->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return OK;
	bool is_held = s->lock >= 0 && errno == EWOULDBLOCK;
	snprintf(why, STATE_WHY_BYTES,
		 is_held ? "`hanse up` runs already with --state %.200s: "
			   "`hanse down` stops it"
			 : "--state %.200s cannot be written to",
		 s->path);
	return is_held ? ERR_BUSY : ERR_DENIED;
}

enum err state_open(struct state *s, const char *path, bool locks, char why[STATE_WHY_BYTES])
{
	struct stat st;

	*s = (struct state) { .directory = -1, .lock = -1 };
	if (strlen(path) >= sizeof(s->path)) {
		snprintf(why, STATE_WHY_BYTES, "--state is too long");
		return ERR_TOO_BIG;
	}
	memcpy(s->path, path, strlen(path) + 1);
	if (make_all(path))
		s->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->directory < 0) {
		snprintf(why, STATE_WHY_BYTES, "--state %.150s cannot be used: %s", path,
			 strerror(errno));
		return err_from_errno(errno);
	}
	if (fstat(s->directory, &st) < 0 || st.st_uid != getuid() || (st.st_mode & 0022)) {
		snprintf(why, STATE_WHY_BYTES,
			 "--state %.150s must be a directory only you can write to", path);
		state_close(s);
		return ERR_DENIED;
	}
	enum err err = locks ? lock(s, why) : OK;
	if (err)
		state_close(s);
	return err;
}

void state_close(struct state *s)
{
	scope_close_fd(&s->lock);
	scope_close_fd(&s->directory);
	s->lock = s->directory = -1;
}

/* --- files ------------------------------------------------------------------------------------ */
static enum err read_all(int fd, size_t size, struct buf *ret)
{
	uint8_t *to = buf_reserve(ret, size);
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, to + used, size - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_from_errno(errno);
		if (got == 0)
			break;
		used += (size_t)got;
	}
	ret->size += used;
	return OK;
}

enum err state_read(const struct state *s, const char *name, size_t size_max, struct buf *ret)
{
	struct stat st;
	AUTO_FD fd = openat(s->directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);

	if (fd < 0)
		return err_from_errno(errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ERR_INVALID;
	if (st.st_mode & 077)
		return ERR_DENIED;
	if (st.st_size > (off_t)size_max)
		return ERR_TOO_BIG;
	return read_all(fd, (size_t)st.st_size, ret);
}

static bool write_all(int fd, struct slice bytes)
{
	while (bytes.size > 0) {
		ssize_t written = write(fd, bytes.data, bytes.size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes = slice_part(bytes, (size_t)written, bytes.size);
	}
	return fsync(fd) == 0;
}

enum err state_write(const struct state *s, const char *name, struct slice bytes)
{
	char fresh[STATE_NAME_BYTES_MAX + 8];

	snprintf(fresh, sizeof(fresh), "%.*s.new", STATE_NAME_BYTES_MAX, name);
	AUTO_FD fd = openat(s->directory, fresh,
			    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	if (fchmod(fd, 0600) == 0 && write_all(fd, bytes) &&
	    renameat(s->directory, fresh, s->directory, name) == 0 && fsync(s->directory) == 0)
		return OK;
	int code = errno;
	unlinkat(s->directory, fresh, 0);
	return err_from_errno(code);
}

void state_remove(const struct state *s, const char *name)
{
	if (unlinkat(s->directory, name, 0) == 0)
		(void)fsync(s->directory);
}

bool state_has(const struct state *s, const char *name)
{
	return faccessat(s->directory, name, F_OK, 0) == 0;
}
