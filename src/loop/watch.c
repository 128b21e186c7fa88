#include "loop/watch.h"

#include <assert.h>

#include "base/memory.h"
#include "loop/private.h"

struct watch {
	uv_poll_t poll; /* data: the watch */
	struct loop *loop;
	int fd;
	void (*on_ready)(void *context, int fd, bool is_readable, bool is_writable);
	void *context;
};

/* A failed socket is both: the library finds the error when it reads or writes. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;

	w->on_ready(w->context, w->fd, status < 0 || events & UV_READABLE,
		    status < 0 || events & UV_WRITABLE);
}

struct watch *watch_open(struct loop *loop, int fd,
			 void (*on_ready)(void *context, int fd, bool is_readable,
					  bool is_writable),
			 void *context)
{
	struct watch *w = NEW(struct watch);

	assert(loop->magic == LOOP_MAGIC && on_ready);
	if (uv_poll_init(&loop->uv, &w->poll, fd) != 0) {
		memory_free(w);
		return NULL;
	}
	w->poll.data = w;
	w->loop = loop;
	w->fd = fd;
	w->on_ready = on_ready;
	w->context = context;
	loop->open_count++;
	return w;
}

void watch_set(struct watch *w, bool read, bool write)
{
	int events = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
	int code = events ? uv_poll_start(&w->poll, events, on_poll) : uv_poll_stop(&w->poll);

	assert(code == 0);
}

static void on_closed(uv_handle_t *handle)
{
	memory_free(handle->data);
}

void watch_close(struct watch *w)
{
	w->loop->open_count--;
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
