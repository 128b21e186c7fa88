/* Failures of the world, in one vocabulary.
 *
 * Bugs are assertions, outcomes a protocol knows are that protocol's own enum; everything else that
 * can go wrong between two layers is one of these words.  OK is zero. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

enum err {
	OK = 0,
	ERR_NOT_FOUND,	 /* the thing named does not exist */
	ERR_EXISTS,	 /* create-if-absent found something there */
	ERR_CONFLICT,	 /* lost a race; nothing was changed */
	ERR_DENIED,	 /* the caller may not do this */
	ERR_INVALID,	 /* the input breaks the format or the contract */
	ERR_TOO_BIG,	 /* the input exceeds a named limit */
	ERR_FULL,	 /* no space left; retry when there is */
	ERR_BUSY,	 /* over a queue limit; retry */
	ERR_TIMEOUT,	 /* a deadline passed; for a write the outcome is known to be "not done" */
	ERR_UNKNOWN,	 /* a write was sent and its outcome is not known */
	ERR_CANCELED,	 /* the caller gave up */
	ERR_UNAVAILABLE, /* the other side cannot serve now; retry */
	ERR_CORRUPT,	 /* a checksum or an invariant of stored bytes does not hold */
	ERR_IO,		 /* the device or the network failed */
	ERR_UNSUPPORTED, /* a newer format version or a feature that is not there */
	ERR_COUNT
};

/* The word for log lines: "not found", "too big", ... */
const char *err_name(enum err err);

/* Translate errno; the only place that does. */
enum err err_from_errno(int code);

#endif
