#include "buckets/directory_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_MODE = 0640, DIRECTORY_MODE = 0750, PROC_PATH_BYTES = 40 };

static int result(int value)
{
	return value < 0 ? -errno : value;
}

static int real_open_directory(void *context, int dir, const char *name)
{
	(void)context;
	return result(openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

static int real_make_directory(void *context, int dir, const char *name)
{
	(void)context;
	return result(mkdirat(dir, name, DIRECTORY_MODE));
}

/* O_NONBLOCK: a FIFO somebody put here must not hold a worker for ever. */
static int real_open_object(void *context, int dir, const char *name)
{
	(void)context;
	return result(openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

/* Without /proc an unnamed file could not get its name later, so it is not created either. */
static int real_create_unnamed(void *context, int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, OBJECT_MODE);

	(void)context;
	if (fd < 0)
		return errno == EISDIR ? -EOPNOTSUPP : -errno;
	if (access("/proc/self/fd", X_OK) < 0) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

static int real_create_named(void *context, int dir, const char *name)
{
	(void)context;
	return result(openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, OBJECT_MODE));
}

static int real_link_unnamed(void *context, int fd, int dir, const char *name)
{
	char path[PROC_PATH_BYTES];

	(void)context;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return result(linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW));
}

static int real_link_named(void *context, int dir, const char *name, int to, const char *to_name)
{
	(void)context;
	return result(linkat(dir, name, to, to_name, 0));
}

static int real_unlink(void *context, int dir, const char *name)
{
	(void)context;
	return result(unlinkat(dir, name, 0));
}

static int real_sync(void *context, int fd)
{
	(void)context;
	return result(fsync(fd));
}

static enum directory_entry entry_of_mode(mode_t mode)
{
	return S_ISREG(mode)   ? DIRECTORY_OBJECT
	       : S_ISDIR(mode) ? DIRECTORY_DIRECTORY
			       : DIRECTORY_OTHER;
}

static int real_status(void *context, int fd, struct directory_status *ret)
{
	struct stat st;

	(void)context;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct directory_status) {
		.entry = entry_of_mode(st.st_mode),
		.size = (uint64_t)st.st_size,
		.device = st.st_dev,
		.number = st.st_ino,
	};
	return 0;
}

/* Some file systems do not say in the directory what an entry is. */
static enum directory_entry entry_of(DIR *stream, const struct dirent *d)
{
	struct stat st;

	if (d->d_type == DT_REG)
		return DIRECTORY_OBJECT;
	if (d->d_type == DT_DIR)
		return DIRECTORY_DIRECTORY;
	if (d->d_type == DT_UNKNOWN &&
	    fstatat(dirfd(stream), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return entry_of_mode(st.st_mode);
	return DIRECTORY_OTHER;
}

static int real_visit(void *context, int dir, directory_visit *visit, void *visit_context)
{
	/* A position of its own: `dir` may be visited again. */
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;
	DIR *stream;
	struct dirent *d;

	(void)context;
	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err) {
		errno = 0;
		d = readdir(stream);
		if (!d) {
			err = -errno;
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			err = visit(visit_context, d->d_name, entry_of(stream, d));
	}
	closedir(stream);
	return err;
}

static int real_set_direct(void *context, int fd, bool is_direct)
{
	(void)context;
	return result(fcntl(fd, F_SETFL, is_direct ? O_DIRECT : 0));
}

static ssize_t real_write(void *context, int fd, const struct iovec *parts, int count)
{
	ssize_t size = writev(fd, parts, count);

	(void)context;
	return size < 0 ? -errno : size;
}

static ssize_t real_read(void *context, int fd, void *ret, size_t size, uint64_t offset)
{
	ssize_t got = pread(fd, ret, size, (off_t)offset);

	(void)context;
	return got < 0 ? -errno : got;
}

static void real_close(void *context, int fd)
{
	(void)context;
	close(fd);
}

const struct directory_system directory_system_real = {
	.open_directory = real_open_directory,
	.make_directory = real_make_directory,
	.open_object = real_open_object,
	.create_unnamed = real_create_unnamed,
	.create_named = real_create_named,
	.link_unnamed = real_link_unnamed,
	.link_named = real_link_named,
	.unlink = real_unlink,
	.sync = real_sync,
	.status = real_status,
	.visit = real_visit,
	.set_direct = real_set_direct,
	.write = real_write,
	.read = real_read,
	.close = real_close,
};
