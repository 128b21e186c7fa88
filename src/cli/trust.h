/* Whom our commands believe to be a server of Kafka, and who they are to it: --ca, --certificate
 * and --key.  One place for all of them. */
#ifndef CLI_TRUST_H
#define CLI_TRUST_H

#include "base/buf.h"
#include "cli/command.h"
#include "loop/tls_certificate.h"

/* Zero: in the clear. */
struct trust {
	bool is_secure;
	bool has_system; /* the authorities of the system, not a file of them */
	struct buf authorities, certificate, key; /* PEM; empty: none */
};

/* What the flags say, from their files.  Says itself what is wrong.  trust_done() in any case. */
MUST_CHECK enum command_status trust_read(struct trust *t, const struct command_line *l);
void trust_done(struct trust *t);

/* To speak with this host; NULL in the clear.  Says itself what is wrong. */
MUST_CHECK enum command_status trust_identity(const struct trust *t, const char *host,
					      struct tls_identity **ret);

#endif
