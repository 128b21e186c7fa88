/* Lists the objects of records, when control says that it is this agent's turn, a page at a time,
 * and tells control what the catalog here does not have.  What of it is an orphan, control decides
 * (coordinator/orphans.h), and janitors delete it.
 *
 *	ask -> wait, or list a page -> tell what is not in the catalog -> wait, or the next page ...
 *
 * Before a pass it aborts what large puts that were cut off left in the bucket, which no list of
 * objects has: uploads that were begun and have not ended in a day.
 *
 * What has no name of ours is counted, named once in the log, and passed over.
 *
 * The list may be stale or miss names: what is missing now is seen in a later pass. */
#ifndef STREAMS_AGENT_ORPHAN_SCAN_H
#define STREAMS_AGENT_ORPHAN_SCAN_H

#include <stdint.h>

enum {
	ORPHAN_SCAN_PAUSE_MS = 60 * 1000,	 /* at first, and when something failed */
	ORPHAN_SCAN_WAIT_MS_MAX = 3600 * 1000,	 /* that control may say */
	ORPHAN_SCAN_LIST_MS = 60 * 1000,	 /* deadline of one page */
	ORPHAN_UPLOAD_AGE_MS = 24 * 3600 * 1000, /* no put takes a thousandth of it */
	ORPHAN_UPLOADS_MS = 10 * 60 * 1000,	 /* deadline of one look for them */
	ORPHAN_UPLOADS_LOOKS_MAX = 10,		 /* a pass; each aborts a hundred at most */
};

struct agent;
struct orphan_scan;

/* Works until orphan_scan_stop(); HANSE_TEST_ORPHANS_MS shortens the pause. */
struct orphan_scan *orphan_scan_start(struct agent *agent);

/* Ends soon, frees itself, sets agent->orphan_scan to NULL and wakes agent->stop. */
void orphan_scan_stop(struct orphan_scan *s);

uint64_t orphan_scan_uploads(const struct orphan_scan *s); /* aborted since the process began */

/* Objects without a name of ours in the last pass, as far as this agent listed it. */
uint64_t orphan_scan_foreign(const struct orphan_scan *s);

#endif
