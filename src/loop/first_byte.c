#include "loop/first_byte.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/private.h"

static void on_closed(uv_handle_t *handle)
{
	struct first_byte *f = handle->data;

	f->deadline.loop->open_count--;
	f->on_freed(f);
}

static void end(struct first_byte *f)
{
	assert(!f->is_over);
	f->is_over = true;
	timer_clear(&f->deadline);
	uv_poll_stop(&f->poll);
	uv_close((uv_handle_t *)&f->poll, on_closed);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct first_byte *f = handle->data;
	uint8_t byte;

	(void)status;
	(void)events;
	ssize_t size = recv(f->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end(f);
	f->on_seen(f, size == 1 ? byte : -1);
}

static void on_deadline(struct timer *t)
{
	struct first_byte *f = CONTAINER(t, struct first_byte, deadline);

	end(f);
	f->on_seen(f, -1);
}

void first_byte_start(struct first_byte *f, struct loop *loop, int fd, uint64_t timeout_ms,
		      void (*on_seen)(struct first_byte *f, int byte),
		      void (*on_freed)(struct first_byte *f))
{
	*f = (struct first_byte) { .fd = fd, .on_seen = on_seen, .on_freed = on_freed };
	int code = uv_poll_init(&loop->uv, &f->poll, fd);
	assert(code == 0);
	f->poll.data = f;
	loop->open_count++;
	code = uv_poll_start(&f->poll, UV_READABLE, on_poll);
	assert(code == 0);
	timer_set(&f->deadline, loop, loop_now_ms(loop) + timeout_ms, on_deadline);
}

void first_byte_cancel(struct first_byte *f)
{
	end(f);
	close(f->fd);
}
