#include "access/grants.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Literal grants are sorted by resource and name, so that those of one name stand together; the
 * others are few and are all looked at. */
struct grants {
	struct arena arena;
	struct grant *literal;
	size_t literal_count;
	struct grant *prefixed;
	size_t prefixed_count;
};

static int compare_names(const struct grant *a, enum grant_resource resource, struct slice name)
{
	if (a->resource != resource)
		return a->resource < resource ? -1 : 1;
	return slice_compare(a->name, name);
}

static int compare(const void *a, const void *b)
{
	const struct grant *right = b;

	return compare_names(a, right->resource, right->name);
}

struct grants *grants_new(const struct grant *all, size_t count)
{
	struct grants *g = NEW(struct grants);

	arena_init(&g->arena);
	g->literal = arena_take_array(&g->arena, count + 1, sizeof(*g->literal));
	g->prefixed = arena_take_array(&g->arena, count + 1, sizeof(*g->prefixed));
	for (size_t i = 0; i < count; i++) {
		struct grant copy = all[i];
		copy.name = arena_copy(&g->arena, all[i].name);
		copy.principal = arena_copy(&g->arena, all[i].principal);
		copy.host = arena_copy(&g->arena, all[i].host);
		if (copy.pattern == GRANT_PREFIXED)
			g->prefixed[g->prefixed_count++] = copy;
		else
			g->literal[g->literal_count++] = copy;
	}
	qsort(g->literal, g->literal_count, sizeof(*g->literal), compare);
	return g;
}

void grants_free(struct grants *g)
{
	if (!g)
		return;
	arena_done(&g->arena);
	memory_free(g);
}

size_t grants_count(const struct grants *g)
{
	return g->literal_count + g->prefixed_count;
}

/* --- deciding ---------------------------------------------------------------------------------
 */

static bool implies(enum grant_operation given, enum grant_operation asked)
{
	if (asked == GRANT_DESCRIBE)
		return given == GRANT_READ || given == GRANT_WRITE || given == GRANT_DELETE ||
		       given == GRANT_ALTER;
	return asked == GRANT_DESCRIBE_CONFIGS && given == GRANT_ALTER_CONFIGS;
}

static bool means_operation(const struct grant *it, enum grant_operation asked)
{
	if (it->operation == GRANT_ALL || it->operation == asked)
		return true;
	return it->permission == GRANT_ALLOW && implies(it->operation, asked);
}

static bool means_client(const struct grant *it, const struct grant_question *q)
{
	return (slice_equal(it->principal, GRANT_EVERYBODY) ||
		slice_equal(it->principal, q->principal)) &&
	       (slice_equal(it->host, GRANT_ANY_NAME) || slice_equal(it->host, q->host));
}

/* True when nothing can change it any more. */
static bool consider(const struct grant *it, const struct grant_question *q,
		     struct grant_decision *d)
{
	if (!means_operation(it, q->operation) || !means_client(it, q))
		return false;
	if (it->permission == GRANT_FORBID) {
		*d = (struct grant_decision) { false, it };
		return true;
	}
	if (!d->grant)
		*d = (struct grant_decision) { true, it };
	return false;
}

/* The first of this name, or where it would stand. */
static size_t find_literal(const struct grants *g, enum grant_resource resource, struct slice name)
{
	size_t low = 0, high = g->literal_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_names(&g->literal[middle], resource, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool consider_literal(const struct grants *g, const struct grant_question *q,
			     struct slice name, struct grant_decision *d)
{
	for (size_t i = find_literal(g, q->resource, name);
	     i < g->literal_count && compare_names(&g->literal[i], q->resource, name) == 0; i++)
		if (consider(&g->literal[i], q, d))
			return true;
	return false;
}

struct grant_decision grants_decide(const struct grants *g, const struct grant_question *q)
{
	struct grant_decision d = { 0 };

	if (consider_literal(g, q, q->name, &d))
		return d;
	if (!slice_equal(q->name, GRANT_ANY_NAME) && consider_literal(g, q, GRANT_ANY_NAME, &d))
		return d;
	for (size_t i = 0; i < g->prefixed_count; i++) {
		const struct grant *it = &g->prefixed[i];
		if (it->resource == q->resource && slice_starts_with(q->name, it->name) &&
		    consider(it, q, &d))
			return d;
	}
	return d;
}

static bool has_literal(const struct grants *g, enum grant_resource resource, struct slice name)
{
	size_t i = find_literal(g, resource, name);

	return i < g->literal_count && compare_names(&g->literal[i], resource, name) == 0;
}

bool grants_speak_of(const struct grants *g, enum grant_resource resource, struct slice name)
{
	for (size_t i = 0; i < g->prefixed_count; i++)
		if (g->prefixed[i].resource == resource &&
		    slice_starts_with(name, g->prefixed[i].name))
			return true;
	return has_literal(g, resource, name) || has_literal(g, resource, GRANT_ANY_NAME);
}

/* --- some name --------------------------------------------------------------------------------
 */

/* Is everything that `it` allows forbidden by one grant that means more names? */
static bool is_covered(const struct grant *it, const struct grant *by)
{
	if (by->pattern == GRANT_PREFIXED)
		return it->name.size && !slice_equal(it->name, GRANT_ANY_NAME) &&
		       slice_starts_with(it->name, by->name);
	return slice_equal(by->name, GRANT_ANY_NAME) ||
	       (it->pattern == GRANT_LITERAL && slice_equal(it->name, by->name));
}

static bool is_forbidden(const struct grant *all, size_t count, const struct grant *it,
			 const struct grant_question *q)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].permission == GRANT_FORBID && all[i].resource == q->resource &&
		    means_operation(&all[i], q->operation) && means_client(&all[i], q) &&
		    is_covered(it, &all[i]))
			return true;
	return false;
}

static bool allows_any(const struct grants *g, const struct grant *all, size_t count,
		       const struct grant_question *q)
{
	for (size_t i = 0; i < count; i++) {
		const struct grant *it = &all[i];
		if (it->permission == GRANT_ALLOW && it->resource == q->resource &&
		    means_operation(it, q->operation) && means_client(it, q) &&
		    !is_forbidden(g->literal, g->literal_count, it, q) &&
		    !is_forbidden(g->prefixed, g->prefixed_count, it, q))
			return true;
	}
	return false;
}

bool grants_allow_any(const struct grants *g, const struct grant_question *q)
{
	return allows_any(g, g->literal, g->literal_count, q) ||
	       allows_any(g, g->prefixed, g->prefixed_count, q);
}

/* --- filters ----------------------------------------------------------------------------------
 */

static bool fits_name(const struct grant *it, const struct grant *filter)
{
	if (filter->pattern == GRANT_LITERAL || filter->pattern == GRANT_PREFIXED)
		if (it->pattern != filter->pattern)
			return false;
	if (!filter->name.data || slice_equal(it->name, filter->name))
		return true;
	if (filter->pattern != GRANT_PATTERN_MATCH)
		return false;
	if (it->pattern == GRANT_PREFIXED)
		return slice_starts_with(filter->name, it->name);
	return slice_equal(it->name, GRANT_ANY_NAME);
}

bool grant_fits(const struct grant *it, const struct grant *filter)
{
	return (filter->resource == GRANT_RESOURCE_ANY || filter->resource == it->resource) &&
	       (filter->operation == GRANT_OPERATION_ANY || filter->operation == it->operation) &&
	       (filter->permission == GRANT_PERMISSION_ANY ||
		filter->permission == it->permission) &&
	       (!filter->principal.data || slice_equal(filter->principal, it->principal)) &&
	       (!filter->host.data || slice_equal(filter->host, it->host)) && fits_name(it, filter);
}

/* --- words ------------------------------------------------------------------------------------
 */

#define BIT(operation) (1u << (operation))

uint32_t grant_operations_of(enum grant_resource resource)
{
	switch (resource) {
	case GRANT_TOPIC:
		return BIT(GRANT_READ) | BIT(GRANT_WRITE) | BIT(GRANT_CREATE) | BIT(GRANT_DELETE) |
		       BIT(GRANT_ALTER) | BIT(GRANT_DESCRIBE) | BIT(GRANT_DESCRIBE_CONFIGS) |
		       BIT(GRANT_ALTER_CONFIGS);
	case GRANT_GROUP:
		return BIT(GRANT_READ) | BIT(GRANT_DELETE) | BIT(GRANT_DESCRIBE) |
		       BIT(GRANT_DESCRIBE_CONFIGS) | BIT(GRANT_ALTER_CONFIGS);
	case GRANT_CLUSTER:
		return BIT(GRANT_CREATE) | BIT(GRANT_ALTER) | BIT(GRANT_DESCRIBE) |
		       BIT(GRANT_CLUSTER_ACTION) | BIT(GRANT_DESCRIBE_CONFIGS) |
		       BIT(GRANT_ALTER_CONFIGS) | BIT(GRANT_IDEMPOTENT_WRITE);
	case GRANT_TRANSACTIONAL_ID:
		return BIT(GRANT_WRITE) | BIT(GRANT_DESCRIBE) | BIT(GRANT_TWO_PHASE_COMMIT);
	case GRANT_DELEGATION_TOKEN:
		return BIT(GRANT_DESCRIBE);
	case GRANT_USER:
		return BIT(GRANT_CREATE_TOKENS) | BIT(GRANT_DESCRIBE_TOKENS);
	case GRANT_RESOURCE_ANY:
		break;
	}
	return 0;
}

enum err grant_check(const struct grant *it)
{
	if (it->name.size > GRANT_NAME_BYTES_MAX ||
	    it->principal.size > GRANT_PRINCIPAL_BYTES_MAX || it->host.size > GRANT_HOST_BYTES_MAX)
		return ERR_TOO_BIG;
	if (it->name.size == 0 || it->host.size == 0 ||
	    !slice_starts_with(it->principal, SLICE("User:")) || it->principal.size <= 5)
		return ERR_INVALID;
	if (it->pattern != GRANT_LITERAL && it->pattern != GRANT_PREFIXED)
		return ERR_INVALID;
	if (it->permission != GRANT_FORBID && it->permission != GRANT_ALLOW)
		return ERR_INVALID;
	if (it->resource == GRANT_CLUSTER && !slice_equal(it->name, GRANT_CLUSTER_NAME))
		return ERR_INVALID;
	uint32_t known = grant_operations_of(it->resource);
	if (known == 0 || it->operation < GRANT_ALL || it->operation > GRANT_TWO_PHASE_COMMIT)
		return ERR_INVALID;
	return it->operation == GRANT_ALL || (known & BIT(it->operation)) ? OK : ERR_INVALID;
}

const char *grant_resource_name(enum grant_resource resource)
{
	static const char *const names[] = {
		"?",	"ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN",
		"USER",
	};

	return (size_t)resource < sizeof(names) / sizeof(names[0]) ? names[resource] : "?";
}

const char *grant_operation_name(enum grant_operation operation)
{
	static const char *const names[] = {
		"?",
		"ANY",
		"ALL",
		"READ",
		"WRITE",
		"CREATE",
		"DELETE",
		"ALTER",
		"DESCRIBE",
		"CLUSTER_ACTION",
		"DESCRIBE_CONFIGS",
		"ALTER_CONFIGS",
		"IDEMPOTENT_WRITE",
		"CREATE_TOKENS",
		"DESCRIBE_TOKENS",
		"TWO_PHASE_COMMIT",
	};

	return (size_t)operation < sizeof(names) / sizeof(names[0]) ? names[operation] : "?";
}

static bool is_word(struct slice word, const char *name)
{
	if (word.size != strlen(name))
		return false;
	for (size_t i = 0; i < word.size; i++) {
		uint8_t c = word.data[i];
		if (c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		if ((c == '-' ? '_' : c) != (uint8_t)name[i])
			return false;
	}
	return true;
}

enum err grant_resource_find(struct slice word, enum grant_resource *ret)
{
	for (int i = GRANT_TOPIC; i <= GRANT_USER; i++)
		if (is_word(word, grant_resource_name((enum grant_resource)i))) {
			*ret = (enum grant_resource)i;
			return OK;
		}
	return ERR_NOT_FOUND;
}

enum err grant_operation_find(struct slice word, enum grant_operation *ret)
{
	for (int i = GRANT_ALL; i <= GRANT_TWO_PHASE_COMMIT; i++)
		if (is_word(word, grant_operation_name((enum grant_operation)i))) {
			*ret = (enum grant_operation)i;
			return OK;
		}
	return ERR_NOT_FOUND;
}

static char *plain_text(struct arena *a, struct slice s)
{
	char *text = arena_text(a, s);

	for (size_t i = 0; i < s.size; i++)
		if (text[i] < 0x20 || text[i] >= 0x7f)
			text[i] = '?';
	return text;
}

char *grant_text(struct arena *a, const struct grant *it)
{
	return arena_format(a, "%s %s of %s \"%s\" (%s) to %s from %s",
			    it->permission == GRANT_FORBID ? "DENY" : "ALLOW",
			    grant_operation_name(it->operation), grant_resource_name(it->resource),
			    plain_text(a, it->name),
			    it->pattern == GRANT_PREFIXED ? "PREFIXED" : "LITERAL",
			    plain_text(a, it->principal), plain_text(a, it->host));
}
