#include "wire/kafka/client_id.h"

static const char *const site_keys[] = {
	"hanse_site", "ws_az", "warpstream_az", "diskless_az", "automq_az", "zone", "az",
};

static bool names_site(struct slice key)
{
	for (size_t i = 0; i < sizeof(site_keys) / sizeof(site_keys[0]); i++)
		if (slice_equal(key, slice_from(site_keys[i])))
			return true;
	return false;
}

struct slice client_id_site(struct slice client_id)
{
	while (client_id.size > 0) {
		struct slice value = slice_cut(&client_id, ',');
		struct slice key = slice_trim(slice_cut(&value, '='), " ");
		value = slice_trim(value, " ");
		if (value.size > 0 && value.size <= CLIENT_ID_SITE_BYTES_MAX && names_site(key))
			return value;
	}
	return SLICE("");
}
