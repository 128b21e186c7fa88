/* Any bytes as a client.id: a site is a part of them, and alone names itself. */
#include "wire/kafka/client_id.h"

#include <stdlib.h>

#include "base/buf.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice site = client_id_site((struct slice) { data, size });
	struct buf again;

	if (site.size == 0)
		return 0;
	require(site.data >= data && site.data + site.size <= data + size);
	require(site.size <= CLIENT_ID_SITE_BYTES_MAX);
	buf_init(&again);
	buf_add_slice(&again, SLICE("name,az="));
	buf_add_slice(&again, site);
	require(slice_equal(client_id_site(buf_slice(&again)), site));
	buf_done(&again);
	return 0;
}
