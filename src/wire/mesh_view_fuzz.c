/* Any bytes as a netmap: what is read can be written and read again. */
#include "wire/mesh_view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mesh_view view, again;
	struct mesh_view_machine m;
	struct arena a;
	struct buf text;

	arena_init(&a);
	buf_init(&text);
	if (mesh_view_parse(&a, (struct slice) { data, size }, &view) == OK) {
		if (!mesh_view_encode(&view, &text) ||
		    mesh_view_parse(&a, buf_slice(&text), &again) ||
		    again.machine_count > view.machine_count)
			abort();
	}
	if (mesh_view_parse_whois(&a, (struct slice) { data, size }, &m) == OK &&
	    m.address_count == 0)
		abort();
	buf_done(&text);
	arena_done(&a);
	return 0;
}
