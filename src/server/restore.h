/* Bringing a cluster back from its buckets: on a new machine, with nothing else.
 *
 *	v1/cluster -> who leads, and does it answer? -> take the journal over, which fences whoever
 *	led before, and give it back -> read the catalog from the buckets as a second reader would
 *	-> compare the bucket of the records with it
 *
 * Nothing is changed but the journal's terms; `hanse serve` needs no more.  A dry run reads only.
 *
 * What was never acknowledged is not promised: data files that the catalog does not name are
 * orphans of the crash.  But one of an agent that the catalog has never heard of proves that the
 * journal is older than the records: an agent writes only after its admission is durable. */
#ifndef SERVER_RESTORE_H
#define SERVER_RESTORE_H

#include "buckets/bucket.h"
#include "cells/journal.h"
#include "streams/catalog/check.h"
#include "streams/catalog/survey.h"
#include "wire/keys/keyring.h"

enum {
	RESTORE_WHY_BYTES = 400,
	RESTORE_ANSWER_MS = 3000,   /* what is waited for a leader to answer */
	RESTORE_LOOKS_MAX = 4,	    /* at who leads, while that changes */
	RESTORE_CAMPAIGNS_MAX = 5,  /* that others may win */
	RESTORE_PAUSE_MS = 300,	    /* between two of those */
	RESTORE_POLL_MS = 20,	    /* how far is the reader? */
	RESTORE_OBJECTS_MAX = 1000, /* told by name */
	RESTORE_ANEW_MAX = 3,	    /* times the journal may be read from the beginning */
};

struct restore_config {
	struct bucket *const *journals; /* all outlive the call */
	int journal_count;
	struct bucket *bucket;	    /* of the records; may be one of `journals` */
	const struct keyring *keys; /* the buckets are sealed with these; NULL: they are not */
	const char *host;	    /* name of this machine, for people */
	bool is_deep;		    /* read every data file */
	bool is_dry;		    /* take nothing over */
	bool is_check;	 /* and look closely: the catalog itself, the index of every data file, and
			* what every object is.  What does not fit is looked at twice, the second
			* time with the catalog as it is then: others may be writing */
	bool takes_over; /* also from a leader that answers */
	void (*on_progress)(void *context, const char *text); /* may be NULL */
	void *context;
};

/* Something a reader will miss. */
struct restore_loss {
	struct slice topic;
	int32_t partition;
	int64_t first_offset, last_offset;
	const char *key;  /* of the data file; NULL: the catalog names none */
	const char *what; /* "is not in the bucket" */
};

/* With is_check: an object that the catalog does not read. */
struct restore_object {
	int64_t incarnation, sequence;
	enum check_object what;
};

struct restore_report {
	struct uuid cluster_id;
	bool is_sealed;
	uint64_t created_ms;	 /* wall clock, Unix milliseconds */
	uint64_t last_change_ms; /* the same: when the last record was made */
	uint64_t index;		 /* of that record */
	struct epoch epoch;	 /* of the term it was found in */
	bool is_led;		 /* dry run: a leader answers, and the cluster is not lost */
	struct survey survey;
	struct restore_loss *losses; /* by topic, partition and offset */
	size_t loss_count;
	int64_t lost_records;
	size_t stray_count;  /* data files that nobody knows: orphans */
	size_t unseen_count; /* of those, too many to say what they are */
	size_t newer_count;  /* of those, of agents nobody knows: the journal is too old */
	size_t bad_count;    /* data files that are gone or damaged */
	/* with is_check */
	struct check_flaws flaws;
	struct restore_object *objects; /* the first RESTORE_OBJECTS_MAX */
	size_t object_count;
	int64_t objects_of[CHECK_OBJECTS];
	int64_t bytes_of[CHECK_OBJECTS]; /* -1: the list does not tell sizes */
	bool is_looked_twice;
};

/* Runs on a loop of its own until it is done; what it returns lives in `a`.  ERR_* when the cluster
 * cannot be restored, and `why` says why and what to do. */
MUST_CHECK enum err restore_run(struct arena *a, const struct restore_config *config,
				struct restore_report *ret, char why[RESTORE_WHY_BYTES]);

#endif
