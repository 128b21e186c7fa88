#include <stdio.h>

#include "base/text.h"
#include "buckets/kinds.h"

enum { PARAMETER_NAME_BYTES_MAX = 32 };

enum err bucket_url_parse(struct bucket_url *u, const char *url, size_t scheme_size,
			  char why[TASK_WHY_BYTES])
{
	struct slice rest = slice_part(slice_from(url), scheme_size, SIZE_MAX);

	*u = (struct bucket_url) { .text = url };
	u->path = slice_cut(&rest, '?');
	while (rest.size > 0) {
		struct slice value = slice_cut(&rest, '&');
		struct slice name = slice_cut(&value, '=');

		if (u->parameter_count == BUCKET_URL_PARAMETERS_MAX) {
			snprintf(why, TASK_WHY_BYTES, "more than %d parameters in the bucket's URL",
				 BUCKET_URL_PARAMETERS_MAX);
			return ERR_TOO_BIG;
		}
		u->parameters[u->parameter_count++] =
			(struct bucket_parameter) { .name = name, .value = value };
	}
	return OK;
}

bool bucket_url_take(struct bucket_url *u, const char *name, struct slice *ret)
{
	for (size_t i = 0; i < u->parameter_count; i++) {
		struct bucket_parameter *p = &u->parameters[i];

		if (!p->is_used && slice_equal(p->name, slice_from(name))) {
			p->is_used = true;
			*ret = p->value;
			return true;
		}
	}
	return false;
}

enum err bucket_url_take_u64(struct bucket_url *u, const char *name, uint64_t max, uint64_t *ret,
			     char why[TASK_WHY_BYTES])
{
	struct slice value;
	enum err err = OK;

	if (bucket_url_take(u, name, &value))
		err = text_to_u64(value, max, ret);
	if (err)
		snprintf(why, TASK_WHY_BYTES, "%s=%.*s is not a number of at most %llu", name,
			 SLICE_ARG(slice_part(value, 0, PARAMETER_NAME_BYTES_MAX)),
			 (unsigned long long)max);
	return err;
}

enum err bucket_url_take_class(struct bucket_url *u, enum bucket_class *ret,
			       char why[TASK_WHY_BYTES])
{
	struct slice value;

	if (!bucket_url_take(u, "class", &value))
		return OK;
	if (!slice_equal(value, SLICE("raw")) && !slice_equal(value, SLICE("cas"))) {
		snprintf(why, TASK_WHY_BYTES, "class=%.*s: the classes are raw and cas",
			 SLICE_ARG(slice_part(value, 0, PARAMETER_NAME_BYTES_MAX)));
		return ERR_INVALID;
	}
	*ret = slice_equal(value, SLICE("cas")) ? BUCKET_CAS : BUCKET_RAW;
	return OK;
}

enum err bucket_url_finish(const struct bucket_url *u, const char *const *known,
			   char why[TASK_WHY_BYTES])
{
	for (size_t i = 0; i < u->parameter_count; i++) {
		char given[PARAMETER_NAME_BYTES_MAX + 1];
		const char *nearest;

		if (u->parameters[i].is_used)
			continue;
		snprintf(given, sizeof(given), "%.*s", SLICE_ARG(u->parameters[i].name));
		nearest = text_nearest(given, known);
		snprintf(why, TASK_WHY_BYTES, "unknown or repeated parameter \"%s\"%s%s%s", given,
			 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			 nearest ? "\"?" : "");
		return ERR_INVALID;
	}
	return OK;
}
