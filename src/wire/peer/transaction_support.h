/* What the producer of a transactional batch knows of transactions: in commit_file_request. */
#ifndef WIRE_PEER_TRANSACTION_SUPPORT_H
#define WIRE_PEER_TRANSACTION_SUPPORT_H

enum transaction_support {
	TRANSACTION_SUPPORT_FIRST = 0,	   /* a partition is added before it is written to */
	TRANSACTION_SUPPORT_ABORTABLE = 1, /* the same, and TRANSACTION_ABORTABLE is understood */
	TRANSACTION_SUPPORT_SECOND = 2,	   /* writing to a partition adds it */
	TRANSACTION_SUPPORTS = 3,
};

#endif
