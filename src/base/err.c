#include "base/err.h"

#include <errno.h>

static const char *const names[ERR_COUNT] = {
	[OK] = "ok",
	[ERR_NOT_FOUND] = "not found",
	[ERR_EXISTS] = "exists",
	[ERR_CONFLICT] = "conflict",
	[ERR_DENIED] = "denied",
	[ERR_INVALID] = "invalid",
	[ERR_TOO_BIG] = "too big",
	[ERR_FULL] = "full",
	[ERR_BUSY] = "busy",
	[ERR_TIMEOUT] = "timeout",
	[ERR_UNKNOWN] = "outcome unknown",
	[ERR_CANCELED] = "canceled",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_CORRUPT] = "corrupt",
	[ERR_IO] = "input/output error",
	[ERR_UNSUPPORTED] = "unsupported",
};

const char *err_name(enum err err)
{
	return (unsigned)err < ERR_COUNT ? names[err] : "unknown error";
}

enum err err_from_errno(int code)
{
	switch (code) {
	case 0:
		return OK;
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case EINVAL:
	case ENAMETOOLONG:
	case EISDIR:
	case ELOOP:
		return ERR_INVALID;
	case EFBIG:
	case EMSGSIZE:
		return ERR_TOO_BIG;
	case ENOSPC:
	case EDQUOT:
		return ERR_FULL;
	case EAGAIN:
	case EADDRINUSE:
	case EBUSY:
	case ENOBUFS:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return ERR_BUSY;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ECANCELED:
		return ERR_CANCELED;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENETDOWN:
	case EPIPE:
	case ENOTCONN:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return ERR_UNAVAILABLE;
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	default:
		return ERR_IO;
	}
}
