#include "buckets/s3_config.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_BYTES = 40 };

static bool consists_of(struct slice s, const char *also)
{
	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
		    (c == '\0' || !strchr(also, c)))
			return false;
	}
	return true;
}

/* False when it does not fit. */
static bool copy(char *ret, size_t size, struct slice s)
{
	if (s.size >= size)
		return false;
	if (s.size)
		memcpy(ret, s.data, s.size);
	ret[s.size] = '\0';
	return true;
}

static enum err refuse(char why[TASK_WHY_BYTES], const char *format, struct slice what)
	__attribute__((format(printf, 2, 0)));

/* `format` shows the first bytes of `what`. */
static enum err refuse(char why[TASK_WHY_BYTES], const char *format, struct slice what)
{
	what = slice_part(what, 0, SHOWN_BYTES);
	snprintf(why, TASK_WHY_BYTES, format, SLICE_ARG(what));
	return ERR_INVALID;
}

/* --- the URL --------------------------------------------------------------------------------- */
/* "//NAME/PREFIX" */
static enum err parse_path(struct s3_config *c, struct slice path, char why[TASK_WHY_BYTES])
{
	struct slice name, prefix;
	const uint8_t *slash;

	if (!slice_starts_with(path, SLICE("//")))
		return refuse(why, "\"s3:%.*s\": write s3://NAME or s3://NAME/PREFIX", path);
	name = slice_part(path, 2, path.size);
	slash = name.size ? memchr(name.data, '/', name.size) : NULL;
	prefix = slash ? slice_part(name, (size_t)(slash - name.data) + 1, name.size) : SLICE("");
	name = slice_part(name, 0, slash ? (size_t)(slash - name.data) : name.size);
	if (name.size < S3_NAME_BYTES_MIN || !consists_of(name, ".-_") ||
	    !copy(c->name, sizeof(c->name), name))
		return refuse(
			why, "\"%.*s\" is no name of an S3 bucket: 3 to 63 letters, digits, . or -",
			name);
	if (prefix.size && prefix.data[prefix.size - 1] == '/')
		prefix.size--;
	if (prefix.size == 0)
		return OK;
	if (bucket_check_key(prefix))
		return refuse(
			why, "\"%.*s\" cannot be a prefix: parts of [a-zA-Z0-9._-] between slashes",
			prefix);
	snprintf(c->prefix, sizeof(c->prefix), "%.*s/", SLICE_ARG(prefix));
	return OK;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static enum err parse_region(struct s3_config *c, struct bucket_url *u, char why[TASK_WHY_BYTES])
{
	const char *told = environment("AWS_REGION");
	struct slice region;

	if (!told)
		told = environment("AWS_DEFAULT_REGION");
	if (!bucket_url_take(u, "region", &region))
		region = slice_from(told ? told : "us-east-1");
	if (region.size == 0 || !consists_of(region, "-_") ||
	    !copy(c->region, sizeof(c->region), region))
		return refuse(why, "region=%.*s is no region, which is a word like eu-central-1",
			      region);
	return OK;
}

/* The port that a scheme has anyway is not part of the header Host. */
static struct slice without_port(struct slice host, struct slice port)
{
	if (host.size > port.size &&
	    slice_equal(slice_part(host, host.size - port.size, port.size), port))
		host.size -= port.size;
	return host;
}

static bool is_loopback(struct slice host)
{
	static const char *const here[] = { "127.", "localhost:", "[::1]" };

	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++)
		if (slice_starts_with(host, slice_from(here[i])))
			return true;
	return slice_equal(host, SLICE("localhost"));
}

static enum err parse_endpoint(struct s3_config *c, struct bucket_url *u, char why[TASK_WHY_BYTES])
{
	struct slice endpoint, host;
	bool is_given = bucket_url_take(u, "endpoint", &endpoint);
	char own[S3_HOST_BYTES];

	snprintf(c->scheme, sizeof(c->scheme), "https://");
	if (!is_given) {
		snprintf(own, sizeof(own), "https://s3.%s.amazonaws.com", c->region);
		endpoint = slice_from(own);
	} else if (slice_starts_with(endpoint, SLICE("http://"))) {
		snprintf(c->scheme, sizeof(c->scheme), "http://");
	} else if (!slice_starts_with(endpoint, SLICE("https://"))) {
		return refuse(why, "endpoint=%.*s: write http://HOST:PORT or https://HOST",
			      endpoint);
	}
	host = slice_part(endpoint, strlen(c->scheme), endpoint.size);
	if (host.size && host.data[host.size - 1] == '/')
		host.size--;
	host = without_port(host, strcmp(c->scheme, "http://") ? SLICE(":443") : SLICE(":80"));
	if (host.size == 0 || host.size >= S3_HOST_BYTES || !consists_of(host, ".-_:[]"))
		return refuse(why, "endpoint=%.*s: there is no HOST or HOST:PORT in it", endpoint);

	c->is_here = is_loopback(host);
	c->is_in_path = is_given || strchr(c->name, '.'); /* no certificate covers a.b.s3... */
	struct slice addressing;
	if (bucket_url_take(u, "addressing", &addressing)) {
		if (!slice_equal(addressing, SLICE("path")) &&
		    !slice_equal(addressing, SLICE("host")))
			return refuse(why, "addressing=%.*s: there are path and host", addressing);
		c->is_in_path = slice_equal(addressing, SLICE("path"));
	}
	snprintf(c->host, sizeof(c->host), "%s%s%.*s", c->is_in_path ? "" : c->name,
		 c->is_in_path ? "" : ".", SLICE_ARG(host));
	return OK;
}

static enum err parse_rest(struct s3_config *c, struct bucket_url *u, char why[TASK_WHY_BYTES])
{
	const char *authorities = environment("AWS_CA_BUNDLE");
	struct slice checksum, profile;
	enum err err = bucket_url_take_u64(u, "timeout_ms", S3_TIMEOUT_MS_MAX, &c->timeout_ms, why);

	if (!err && c->timeout_ms < S3_TIMEOUT_MS_MIN) {
		snprintf(why, TASK_WHY_BYTES, "timeout_ms is less than %d", S3_TIMEOUT_MS_MIN);
		err = ERR_INVALID;
	}
	if (!err && bucket_url_take(u, "checksum", &checksum)) {
		if (!slice_equal(checksum, SLICE("crc32c")) &&
		    !slice_equal(checksum, SLICE("none")))
			return refuse(why, "checksum=%.*s: there are crc32c and none", checksum);
		c->has_checksums = slice_equal(checksum, SLICE("crc32c"));
	}
	if (!err && bucket_url_take(u, "profile", &profile) &&
	    (profile.size == 0 || !copy(c->profile, sizeof(c->profile), profile)))
		return refuse(why, "profile=%.*s: a name of at most 63 bytes", profile);
	if (!err && authorities &&
	    !copy(c->authorities, sizeof(c->authorities), slice_from(authorities))) {
		snprintf(why, TASK_WHY_BYTES, "AWS_CA_BUNDLE is too long");
		err = ERR_TOO_BIG;
	}
	return err;
}

enum err s3_config_parse(struct s3_config *c, struct bucket_url *u, char why[TASK_WHY_BYTES])
{
	static const char *const known[] = { "endpoint", "region",     "addressing", "class",
					     "checksum", "timeout_ms", "profile",    NULL };
	enum err err;

	*c = (struct s3_config) { .class = BUCKET_RAW,
				  .has_checksums = true,
				  .whole_bytes_max = S3_WHOLE_BYTES_MAX,
				  .part_bytes = S3_PART_BYTES,
				  .timeout_ms = S3_TIMEOUT_MS_DEFAULT };
	err = parse_path(c, u->path, why);
	if (!err)
		err = parse_region(c, u, why);
	if (!err)
		err = parse_endpoint(c, u, why);
	if (!err)
		err = bucket_url_take_class(u, &c->class, why);
	if (!err)
		err = parse_rest(c, u, why);
	return err ? err : bucket_url_finish(u, known, why);
}
