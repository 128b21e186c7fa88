/* Any text as the URL of control, and as one a server asks to be called at. */
#include "mesh/member/control_url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { data, size };
	struct slice path = control_url_path(text);
	char authority[CONTROL_URL_AUTHORITY_BYTES];
	struct control_url u;

	if (path.size > 0 && (path.data[0] != '/' || memchr(path.data, '\n', path.size)))
		abort();
	if (control_url_parse(text, &u))
		return 0;
	control_url_authority(&u, authority);
	if (u.port == 0 || strlen(u.host) == 0 || strchr(authority, '\n') ||
	    !slice_equal(slice_from(u.text), text))
		abort();
	return 0;
}
