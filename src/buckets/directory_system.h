/* The file-system calls a directory bucket makes, as a table, so that tests can put a model of a
 * file system that loses power underneath (directory_model.h).
 *
 * Every call returns >= 0, or a negative errno.  `dir` and `fd` are handles this system gave out;
 * `name` is one path component, never followed when it is a symbolic link. */
#ifndef BUCKETS_DIRECTORY_SYSTEM_H
#define BUCKETS_DIRECTORY_SYSTEM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { DIRECTORY_DIRECT_ALIGN = 4096 };

enum directory_entry { DIRECTORY_OBJECT, DIRECTORY_DIRECTORY, DIRECTORY_OTHER };

struct directory_status {
	enum directory_entry entry;
	uint64_t size;
	uint64_t device, number; /* the same file has the same two */
};

/* Called for each entry but "." and ".."; a negative answer stops and is returned. */
typedef int directory_visit(void *context, const char *name, enum directory_entry entry);

struct directory_system {
	int (*open_directory)(void *context, int dir, const char *name);
	int (*make_directory)(void *context, int dir, const char *name);
	int (*open_object)(void *context, int dir, const char *name); /* for reading */
	int (*create_unnamed)(void *context, int dir); /* EOPNOTSUPP where that cannot be */
	int (*create_named)(void *context, int dir, const char *name);
	int (*link_unnamed)(void *context, int fd, int dir, const char *name);
	int (*link_named)(void *context, int dir, const char *name, int to, const char *to_name);
	int (*unlink)(void *context, int dir, const char *name);
	int (*sync)(void *context, int fd);
	int (*status)(void *context, int fd, struct directory_status *ret);
	int (*visit)(void *context, int dir, directory_visit *visit, void *visit_context);
	/* From now on writes go past the page cache; EINVAL where that cannot be.  Memory, size and
	 * place of each are multiples of DIRECTORY_DIRECT_ALIGN then, else it fails with EINVAL. */
	int (*set_direct)(void *context, int fd, bool is_direct);
	ssize_t (*write)(void *context, int fd, const struct iovec *parts, int count);
	ssize_t (*read)(void *context, int fd, void *ret, size_t size, uint64_t offset);
	void (*close)(void *context, int fd);
};

/* A call that a signal interrupted had no effect and is made again. */
#define DIRECTORY_RETRY(call)                                                                      \
	__extension__({                                                                            \
		__typeof__(call) result_;                                                          \
		do                                                                                 \
			result_ = (call);                                                          \
		while (result_ == -EINTR);                                                         \
		result_;                                                                           \
	})

/* The operating system's; its context is NULL. */
extern const struct directory_system directory_system_real;

#endif
