/* The kind of bucket "file:DIR": tasks around the blocking functions of directory.h. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/scope.h"
#include "buckets/directory_bucket.h"
#include "buckets/directory_known.h"
#include "buckets/kinds.h"

enum { ROOT_MODE = 0750, DRAFT_AGE_MAX_SECONDS = 24 * 3600 };

struct directory_bucket {
	struct bucket bucket;
	struct directory directory;
	struct directory_known known;
	bool is_lost; /* an fsync failed: no change is acknowledged any more */
	char lost_why[TASK_WHY_BYTES];
};

/* What one operation's worker has to itself. */
struct directory_job {
	struct directory_result result;
	struct directory_names names;
	size_t known_size;
	char key[BUCKET_KEY_BYTES_MAX + 1];
};

/* On a worker: touches the operation, which waits, and of the bucket only what never changes. */
static enum err directory_work(struct worker_job *worker)
{
	struct bucket_op *op = CONTAINER(worker, struct bucket_op, job);
	const struct directory *d =
		&CONTAINER(op->bucket, struct directory_bucket, bucket)->directory;
	struct directory_job *job = op->private;

	switch (op->verb) {
	case BUCKET_PUT:
		return directory_put(d, job->key, op->pieces, op->piece_count, job->known_size,
				     &job->result);
	case BUCKET_PUT_NEW:
		return directory_put_new(d, job->key, op->pieces, op->piece_count, job->known_size,
					 &job->result);
	case BUCKET_GET:
		return directory_get(d, job->key, op->offset, op->size_max, &op->ret_body,
				     &op->ret_size, &job->result);
	case BUCKET_HEAD:
		return directory_head(d, job->key, &op->ret_size, &job->result);
	case BUCKET_LIST:
		return directory_list(d, op->key, op->after, &job->names, &job->result);
	case BUCKET_DELETE:
		return directory_delete(d, job->key, &job->result);
	case BUCKET_ABORT_UPLOADS:
		break;
	}
	abort();
}

static bool is_change(const struct bucket_op *op)
{
	return op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW || op->verb == BUCKET_DELETE;
}

static void give_names(struct bucket_op *op, const struct directory_names *names)
{
	const char *name = (const char *)names->text.data;

	op->ret_names = arena_take_array(op->arena, names->count, sizeof(*op->ret_names));
	for (size_t i = 0; i < names->count; i++) {
		op->ret_names[i] = arena_copy(op->arena, slice_from(name));
		name += op->ret_names[i].size + 1;
	}
	op->ret_count = names->count;
	op->ret_more = names->more;
}

/* The worker is done: what it learned becomes known to the bucket. */
static void learn(struct directory_bucket *b, struct bucket_op *op, enum err err)
{
	struct directory_job *job = op->private;

	if (job->result.lost_writes && !b->is_lost) {
		b->is_lost = true;
		memcpy(b->lost_why, job->result.why, sizeof(b->lost_why));
		log_error("bucket %s takes no more changes: %s", b->bucket.url, b->lost_why);
	}
	if (err == ERR_CONFLICT)
		log_error("bucket %s: %s", b->bucket.url, job->result.why);
	if (!err && (op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW))
		directory_known_add(&b->known, op->key);
	if (!err && op->verb == BUCKET_LIST)
		give_names(op, &job->names);
}

static struct directory_job *job_new(struct directory_bucket *b, const struct bucket_op *op)
{
	struct directory_job *job = NEW(struct directory_job);

	if (op->key.size)
		memcpy(job->key, op->key.data, op->key.size);
	job->known_size = directory_known_size(&b->known, op->key);
	buf_init(&job->names.text);
	return job;
}

static enum step finish(struct directory_bucket *b, struct bucket_op *op)
{
	struct task *t = &op->task;
	struct directory_job *job = op->private;
	enum err err = op->job.task.err;

	learn(b, op, err);
	if (b->is_lost && is_change(op) && !err) {
		/* Its own fsync worked, but beside one that did not. */
		memcpy(job->result.why, b->lost_why, sizeof(b->lost_why));
		err = ERR_IO;
	}
	meter_add_op(&b->bucket.meter, op, err);
	meter_times_add_op(&b->bucket.times, op, op->since_us, err);
	if (task_is_canceled(t) && !is_change(op)) {
		blob_unref(&op->ret_body); /* nobody waits for it */
		err = ERR_CANCELED;
	}
	memcpy(t->why, job->result.why, sizeof(t->why));
	buf_done(&job->names.text);
	memory_free(job);
	op->private = NULL;
	return task_done(t, err);
}

enum { DIRECTORY_START, DIRECTORY_WORKED };
static const char *const directory_places[] = { "start", "worked" };

static enum step directory_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);
	struct directory_bucket *b = CONTAINER(op->bucket, struct directory_bucket, bucket);

	switch (t->at) {
	case DIRECTORY_START:
		if (task_is_canceled(t))
			return task_done(t, ERR_CANCELED);
		if (b->is_lost && is_change(op))
			return task_fail(t, ERR_IO, "%s", b->lost_why);
		op->private = job_new(b, op);
		worker_start(&op->job, t, directory_work);
		return task_wait(t, DIRECTORY_WORKED);

	case DIRECTORY_WORKED:
		if (t->children > 0)
			return task_wait(t, DIRECTORY_WORKED);
		return finish(b, op);
	}
	abort();
}

static const struct task_kind directory_op = {
	.name = "directory bucket operation",
	.places = directory_places,
	.place_count = 2,
	.step = directory_step,
};

static void close_bucket(struct bucket *base)
{
	struct directory_bucket *b = CONTAINER(base, struct directory_bucket, bucket);

	b->directory.system->close(b->directory.context, b->directory.root);
	directory_known_done(&b->known);
	memory_free(b);
}

static const struct bucket_kind directory_kind = {
	.name = "directory",
	.op = &directory_op,
	.close = close_bucket,
};

struct bucket *directory_bucket_new(const struct directory *d, enum bucket_class class)
{
	struct directory_bucket *b = NEW(struct directory_bucket);

	b->bucket.kind = &directory_kind;
	b->bucket.class = class;
	b->directory = *d;
	directory_known_init(&b->known);
	return &b->bucket;
}

/* --- opening --------------------------------------------------------------------------------- */
static enum err refuse(char why[TASK_WHY_BYTES], int code, const char *doing, const char *path)
{
	char text[64];

	snprintf(why, TASK_WHY_BYTES, "%s %.60s: %s", doing, path,
		 strerror_r(code, text, sizeof(text)));
	return err_from_errno(code);
}

/* fsync of the directory that holds `path`: also when it existed, because whoever made it may have
 * been killed before.  A parent we may not read is somebody else's to keep. */
static enum err keep(const char *path, char why[TASK_WHY_BYTES])
{
	char parent[BUCKET_KEY_BYTES_MAX + 4];

	snprintf(parent, sizeof(parent), "%s/..", path);
	AUTO_FD fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		return refuse(why, errno, "fsync of", parent);
	return OK;
}

static enum err make(const char *path, char why[TASK_WHY_BYTES])
{
	if (mkdir(path, ROOT_MODE) == 0 || errno == EEXIST)
		return OK;
	if (errno == ENOENT) {
		snprintf(why, TASK_WHY_BYTES,
			 "the parent directory of %.50s does not exist: create it first", path);
		return ERR_NOT_FOUND;
	}
	return refuse(why, errno, "create", path);
}

/* The directory itself, created if need be; of the default place "./var/..." its parent too. */
static enum err open_or_create(const char *path, int *ret, char why[TASK_WHY_BYTES])
{
	enum err err = OK;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (strncmp(path, "./var/", 6) == 0 || strncmp(path, "var/", 4) == 0) {
			err = make("./var", why);
			if (!err)
				err = keep("./var", why);
		}
		if (!err)
			err = make(path, why);
		if (err)
			return err;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0 && errno == ENOTDIR) {
		snprintf(why, TASK_WHY_BYTES,
			 "%.50s is not a directory; a file: bucket is a directory", path);
		return ERR_INVALID;
	}
	if (fd < 0)
		return refuse(why, errno, "open", path);
	*ret = fd;
	return OK;
}

static enum err open_root(const char *path, int *ret, char why[TASK_WHY_BYTES])
{
	int fd = -1;
	enum err err = open_or_create(path, &fd, why);

	if (err)
		return err;
	err = keep(path, why);
	if (!err && fsync(fd) < 0) /* learn it now rather than at the first put */
		err = refuse(why, errno, "this file system cannot make a directory durable:", path);
	if (err) {
		close(fd);
		return err;
	}
	*ret = fd;
	return OK;
}

/* What killed processes left where files must have a name (directory.h).  Another process may be
 * writing a younger one. */
static void sweep_drafts(int root)
{
	int fd = openat(root, DIRECTORY_DRAFTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	struct stat st;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(stream)))
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_mtime < clock_wall_ms() / 1000 - DRAFT_AGE_MAX_SECONDS)
			(void)unlinkat(fd, d->d_name, 0);
	closedir(stream);
}

/* Between link() and the fsync of its directory, others see a file that a loss of power takes away.
 * Whoever reads a local file system loses power with it; over a network a create may be repeated
 * after the server came back, and succeed in a place that was seen taken.  So create-if-absent is
 * only trusted on file systems that are known to be local. */
enum bucket_class directory_class_of(unsigned long file_system)
{
	static const unsigned long local[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,	  F2FS_SUPER_MAGIC,
		TMPFS_MAGIC,	  RAMFS_MAGIC,	   OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1, /* ZFS */
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		if (file_system == local[i])
			return BUCKET_CAS;
	return BUCKET_RAW;
}

static enum bucket_class class_of_root(int root)
{
	struct statfs status;

	return fstatfs(root, &status) < 0 ? BUCKET_RAW
					  : directory_class_of((unsigned long)status.f_type);
}

enum err directory_bucket_open(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	static const char *const parameters[] = { "class", NULL };
	enum bucket_class class = BUCKET_RAW;
	struct bucket_url look = *u;
	struct slice given;
	bool is_given = bucket_url_take(&look, "class", &given);
	char path[BUCKET_KEY_BYTES_MAX];
	int root = -1;
	enum err err = bucket_url_take_class(u, &class, why);

	assert(u->path.size < sizeof(path));
	if (!err)
		err = bucket_url_finish(u, parameters, why);
	if (!err && u->path.size == 0) {
		snprintf(why, TASK_WHY_BYTES, "file: needs a directory: file:./var/bucket");
		err = ERR_INVALID;
	}
	memcpy(path, u->path.data, u->path.size); /* the URL fits, so does this */
	path[u->path.size] = '\0';
	if (!err)
		err = open_root(path, &root, why);
	if (err)
		return err;
	sweep_drafts(root);
	*ret = directory_bucket_new(
		&(struct directory) {
			.system = &directory_system_real,
			.root = root,
			.direct_bytes_min = DIRECTORY_DIRECT_BYTES_MIN,
		},
		is_given ? class : class_of_root(root));
	return OK;
}
