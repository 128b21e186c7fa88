#include "buckets/curl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBRARY "libcurl.so.4"

struct curl_library curl;

static const struct {
	const char *name;
	void *place;
} functions[] = {
#define ROW(name) { "curl_" #name, &curl.name },
	CURL_FUNCTIONS(ROW)
#undef ROW
};

enum err curl_load(char why[CURL_WHY_BYTES])
{
	static bool is_loaded;

	if (is_loaded)
		return OK;
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(why, CURL_WHY_BYTES, "S3 stores need %s: %.80s", LIBRARY, dlerror());
		return ERR_UNSUPPORTED;
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function) {
			snprintf(why, CURL_WHY_BYTES, "%s is too old: it has no %s", LIBRARY,
				 functions[i].name);
			return ERR_UNSUPPORTED;
		}
		*(void **)functions[i].place = function;
	}
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort(); /* it is out of memory */
	is_loaded = true;
	return OK;
}
