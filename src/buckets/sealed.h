/* A bucket around another that encrypts and authenticates what is put there, so that whoever keeps
 * the inner bucket learns names and sizes, and can withhold but not read, forge, swap, cut or mix.
 *
 * The contract of bucket.h holds: sizes and ranges are those of the plaintext, the class is that of
 * the inner bucket, equal bodies under one name become equal bytes.  A get is OK only when every
 * chunk it needed is authentic; otherwise ERR_CORRUPT, and `why` names the object and says what
 * became of it.  A head believes the store's size.
 *
 * Costs a copy of the body while an operation runs; what is larger than SEALED_INLINE_BYTES_MAX is
 * sealed and opened on a worker.  doc/formats/sealed.md has the bytes. */
#ifndef BUCKETS_SEALED_H
#define BUCKETS_SEALED_H

#include "buckets/bucket.h"
#include "buckets/sealed_object.h"

enum { SEALED_INLINE_BYTES_MAX = 64 << 10 };

/* Takes `inner` over: it is closed with the bucket returned.  The key is copied. */
struct bucket *sealed_bucket_new(struct bucket *inner, const uint8_t key[SEALED_KEY_BYTES]);

/* For what must be read without the key (v1/cluster): the bucket inside, or `b` itself when it is
 * not sealed. */
struct bucket *sealed_inner(struct bucket *b);
bool bucket_is_sealed(const struct bucket *b);

#endif
