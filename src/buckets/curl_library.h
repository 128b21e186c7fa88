/* libcurl, loaded when the first S3 store is opened: with what it brings along it costs every
 * process 4 MB and some milliseconds, and most roles speak to no store.  Private to s3_http.c. */
#ifndef BUCKETS_CURL_LIBRARY_H
#define BUCKETS_CURL_LIBRARY_H

#include <curl/curl.h>

#include "base/err.h"

/* Macros that check types; a pointer to a function cannot be called through them. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_FUNCTIONS(each)                                                                       \
	each(easy_init) each(easy_cleanup) each(easy_setopt) each(easy_getinfo) each(easy_pause)   \
		each(easy_strerror) each(global_init) each(multi_init) each(multi_cleanup)         \
			each(multi_setopt) each(multi_add_handle) each(multi_remove_handle)        \
				each(multi_assign) each(multi_info_read) each(multi_socket_action) \
					each(multi_timeout) each(slist_append)                     \
						each(slist_free_all)

/* curl_easy_init() is curl.easy_init(), and so on, once it is loaded. */
struct curl_library {
#define CURL_MEMBER(name) __typeof__(&curl_##name) name;
	CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

extern struct curl_library curl;

enum { CURL_WHY_BYTES = 120 };

/* Harmless when it is loaded already.  ERR_UNSUPPORTED: it is not on this machine, or too old. */
MUST_CHECK enum err curl_load(char why[CURL_WHY_BYTES]);

#endif
