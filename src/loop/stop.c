#include "loop/stop.h"

#include <assert.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/private.h"

static void on_signal(void *context, int number)
{
	struct loop *loop = context;

	if (loop->is_stopping)
		_exit(STOP_EXIT_STATUS);
	loop->is_stopping = true;
	log_debug("stopping on %s", strsignal(number));
	loop->on_stop(loop->stop_context);
}

void stop_install(struct loop *loop, void (*on_stop)(void *context), void *context)
{
	assert(!loop->on_stop && on_stop);
	loop->on_stop = on_stop;
	loop->stop_context = context;
	loop_on_signal(loop, SIGTERM, on_signal, loop);
	loop_on_signal(loop, SIGINT, on_signal, loop);
}
