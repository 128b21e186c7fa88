/* Any requests, one after the other: each has an answer that ends as answers end. */
#include "mesh/tunnel/device.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err on_listen(void *context, uint16_t port, uint16_t *ret)
{
	(void)context;
	*ret = port;
	return port % 7 == 3 ? ERR_BUSY : OK;
}

static enum err on_mark(void *context, uint32_t mark)
{
	(void)context;
	return mark % 7 == 3 ? ERR_DENIED : OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct device_host host = { on_listen, on_mark };
	struct tunnel_options o = { .mtu = 1420 };
	struct device d = { .tunnel = tunnel_new(&o), .host = &host };
	struct tunnel_now now = { 1000, 1700000000000 };
	struct slice rest = { data, size };
	struct tunnel_effect e;
	struct buf b;

	buf_init(&b);
	while (device_has_request(rest)) {
		size_t used = device_answer(&d, now, rest, &b);
		assert(used >= 2 && used <= rest.size);
		assert(b.size >= 9 && memcmp(b.data + b.size - 2, "\n\n", 2) == 0);
		rest = slice_part(rest, used, rest.size);
		buf_clear(&b);
		while (tunnel_next(d.tunnel, &e))
			assert(e.size > 0 || e.kind != TUNNEL_SEND);
	}
	buf_done(&b);
	device_done(&d);
	tunnel_free(d.tunnel);
	return 0;
}
