/* The journal (src/cells/journal.h) on three passive buckets.
 *
 * A quorum is two buckets.  Leaders 1..P run for epochs 1..P and append R records each.  Every PUT,
 * GET and LIST is one atomic step on one bucket; everything in between may be interleaved, and a
 * leader may stop for ever after any step: that is a crash, or a zombie if it goes on later.
 *
 * Checked: no index of the log is committed with two values, and what is committed is on a quorum.
 *
 *   -DP=2 -DR=1    leaders, records each.  With three leaders each joins exactly two buckets (what
 *                  it can see is least then), in all combinations, or with -DSECOND=6 -DTHIRD=3 in
 *                  those given as bit masks
 *   -DCAS          buckets that can create if absent: records go to dense slots, a candidate fills
 *                  the first free slot of the last leader with a seal, and only the start record
 *                  needs a look for the fence (journal_slot.pml has one bucket with trimming)
 *
 * Each of these breaks one rule, and must be found:
 *
 *   -DNOJOIN       a leader counts buckets it did not join
 *   -DNORECHK      the fence is looked for before the PUT, not after
 *   -DGCFENCE      a garbage collector deletes fences (seals) while zombies live
 *   -DNOCOPY       the adopted tail is not copied to a quorum before the start record
 *   -DNOREWRITE    adopts the longest log, not the highest epoch
 *   -DNOSEAL       with CAS: a candidate only fences
 *   -DSKIPMARKS    fences only the newest mark below, whether its epoch ever started or not
 *
 * The correct rule about marks, stronger than fencing all of them: newest first, down to the first
 * epoch with a start record here, because everything below that has been dead since it started. */
#ifndef P
#define P 2
#endif
#ifndef R
#define R 1
#endif
#define N 3
#define QUORUM 2
#ifndef SECOND
#define SECOND 0
#define THIRD 0
#endif
#define AT(k, e) ((k) * 4 + (e)) /* object of epoch e on bucket k */
#define BIT(k) (1 << (k))
#define HAS(set, k) (((set) >> (k)) & 1)
#define MANY(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) >= QUORUM)
/* --- what is in the buckets --- */
bit mark[12];
bit fence[12];
#ifdef CAS
byte slots[12];  /* how many are taken by their leader: record 0, 1, ... */
bit sealed[12];  /* the next one holds a seal */
#endif
bit start[12];   /* its contents are one value per epoch: history[] */
byte record[12]; /* bit s: record s, from 0 */

/* --- ghosts: no leader looks at these --- */
typedef log { byte count; byte entry[6] }; /* entry = epoch * 4 + record + 1 */
log history[4]; /* of each epoch, what its start record says it adopted */
byte committed[6];

inline copies(entry, n) {
	n = HAS(record[AT(0, entry / 4)], entry % 4 - 1) +
	    HAS(record[AT(1, entry / 4)], entry % 4 - 1) +
	    HAS(record[AT(2, entry / 4)], entry % 4 - 1)
}

/* Leader b says: my adopted log and my first `own` records are committed. */
inline commit(b, own) {
	i = 0;
	do
	:: i < history[b].count + own ->
		if
		:: i < history[b].count -> c = history[b].entry[i]
		:: else -> c = b * 4 + (i - history[b].count) + 1
		fi;
		assert(committed[i] == 0 || committed[i] == c);
		committed[i] = c;
		copies(c, k);
		assert(k >= QUORUM);
		i++
	:: else -> break
	od;
	i = 0; c = 0; k = 0
}

/* Copies have other names than the slots, which may hold seals; whoever reads looks at both. */
#define STARTED(k, e) start[AT(k, e)]
#define RECORDS(k, e) record[AT(k, e)]

/* Bucket k gets the start record first, and when that is ok, records; several may be put before one
 * GET of the fence, which then covers all of them. */
#define CAN_PUT(k) (HAS(joined, k) && (put[k] == 0 || (ok[k] > 0 && put[k] <= R)))

inline put_next(k0) {
	if
	:: put[k0] == 0 -> start[AT(k0, b)] = 1
	:: else -> record[AT(k0, b)] = record[AT(k0, b)] | BIT(put[k0] - 1)
	fi;
	put[k0]++
}

inline create_next(k0) { /* of CAS */
#ifdef CAS
	if
	:: put[k0] == 0 -> put_next(k0)
	:: put[k0] > 0 && sealed[AT(k0, b)] -> goto dead
	:: else -> slots[AT(k0, b)] = slots[AT(k0, b)] + 1; put_next(k0);
		ok[k0] = put[k0]; commit_what_is_ok()
	fi
#endif
}

inline check(k0) {
	if
	:: fence[AT(k0, b)] -> goto dead
	:: else -> ok[k0] = put[k0]; commit_what_is_ok()
	fi
}

inline put_unchecked(k0) { /* of NORECHK */
	put_next(k0);
	ok[k0] = put[k0];
	commit_what_is_ok()
}

inline check_early(k0) { /* of NORECHK */
	if
	:: fence[AT(k0, b)] -> goto dead
	:: else -> tried = tried | BIT(k0)
	fi
}

/* The start record and n - 1 records are on a quorum if n is the second largest of ok[]. */
inline commit_what_is_ok() {
	count = 0;
	do
	:: (ok[0] > count) + (ok[1] > count) + (ok[2] > count) >= QUORUM -> count++
	:: else -> break
	od;
	if
	:: count -> count--; commit(b, count)
	:: else
	fi;
	count = 0
}

proctype leader(byte b; byte mine) {
	byte k, i, c;
	byte tried, joined;   /* buckets */
	byte lower;           /* marks that were listed */
	byte top;             /* highest epoch whose start record was seen */
#ifdef NOREWRITE
	byte seen;            /* all such epochs */
#endif
	byte tail;            /* union of its records */
	byte count;           /* of them, contiguous */
	byte put[3], ok[3];    /* per bucket: start record and records, a prefix */

	/* Join buckets one after the other, in any order, at least a quorum. */
	do
	:: (tried & mine) != mine ->
		atomic {
			if
			:: HAS(mine, 0) && !HAS(tried, 0) -> k = 0
			:: HAS(mine, 1) && !HAS(tried, 1) -> k = 1
			:: HAS(mine, 2) && !HAS(tried, 2) -> k = 2
			fi;
			tried = tried | BIT(k);
			mark[AT(k, b)] = 1 /* PUT epoch/b */
		}
		d_step { /* LIST epoch/ */
			c = b + 1;
			do
			:: c <= P && !mark[AT(k, c)] -> c++
			:: else -> break
			od;
			lower = 0; i = 1;
			do
			:: i < b -> lower = lower | (mark[AT(k, i)] << i); i++
			:: else -> break
			od;
			i = 0
		}
		if
		:: c <= P -> goto dead /* a higher mark */
		:: else -> c = b - 1
		fi;
		do
		:: c > 0 && HAS(lower, c) ->
			fence[AT(k, c)] = 1; /* PUT e/c/fence */
#if defined(CAS) && !defined(NOSEAL)
			i = 0; /* GET e/c/s; PUT_NEW of a seal, slot by slot */
			if
			:: STARTED(k, c) ->
				do
				:: atomic { slots[AT(k, c)] > i -> i++ }
				:: atomic { slots[AT(k, c)] <= i ->
					sealed[AT(k, c)] = 1; i = 0; break }
				od
			:: else
			fi;
#endif
			atomic { /* GET e/c/s */
				if
				:: STARTED(k, c) ->
					if :: c > top -> top = c :: else fi;
#ifdef NOREWRITE
					seen = seen | (1 << c);
#endif
					c = 0 /* all below have been dead since c started */
				:: else ->
#ifdef SKIPMARKS
					c = 0
#else
					c--
#endif
				fi
			}
		:: c > 0 && !HAS(lower, c) -> c--
		:: else -> break
		od;
		atomic { joined = joined | BIT(k); c = 0; k = 0; lower = 0 }
	:: MANY(joined) -> break
	od;

#ifdef NOREWRITE
	skip;
	d_step {
		i = 1; top = 0; lower = 0; /* the greatest length so far */
		do
		:: i < b ->
			tail = 0; k = 0; count = 0;
			do
			:: k < N ->
				if :: HAS(joined, k) -> tail = tail | RECORDS(k, i) :: else fi;
				k++
			:: else -> break
			od;
			do :: count < R && HAS(tail, count) -> count++ :: else -> break od;
			if
			:: HAS(seen, i) && history[i].count + count >= lower ->
				lower = history[i].count + count; top = i
			:: else
			fi;
			i++
		:: else -> break
		od;
		tail = 0; k = 0; count = 0; i = 0; seen = 0; lower = 0
	}
#endif
	/* LIST the records of the highest epoch that started, on all joined buckets. */
	k = 0;
	do
	:: k < N && top -> atomic {
		if :: HAS(joined, k) -> tail = tail | RECORDS(k, top) :: else fi; k++ }
	:: else -> break
	od;
	skip;
	d_step {
		do :: count < R && HAS(tail, count) -> count++ :: else -> break od;
		tail = 0; k = 0; tried = 0;
		i = 0; /* ghost: the log */
		do
		:: top && i < history[top].count ->
			history[b].entry[i] = history[top].entry[i]; i++
		:: else -> break
		od;
		do
		:: i < history[top].count + count ->
			history[b].entry[i] = top * 4 + (i - history[top].count) + 1; i++
		:: else -> break
		od;
		history[b].count = i; i = 0
	}

#ifndef NOCOPY
	/* Copy the start record and the tail, object by object, to a quorum. */
	do
	:: top && !MANY(tried) ->
		atomic {
			if
			:: HAS(joined, 0) && !HAS(tried, 0) -> k = 0
			:: HAS(joined, 1) && !HAS(tried, 1) -> k = 1
			:: HAS(joined, 2) && !HAS(tried, 2) -> k = 2
			fi;
			start[AT(k, top)] = 1;
			i = 0
		}
		do
		:: i < count -> atomic {
			record[AT(k, top)] = record[AT(k, top)] | BIT(i); i++ }
		:: else -> break
		od;
		atomic { tried = tried | BIT(k); i = 0; k = 0 }
	:: else -> break
	od;
#endif
	atomic { tried = 0; top = 0; count = 0 }

	/* Start record and records: in order on one bucket, in any order over buckets. */
#ifdef NOJOIN
	joined = mine;
#endif
	do
#ifdef CAS
	:: atomic { CAN_PUT(0) -> create_next(0) }
	:: atomic { CAN_PUT(1) -> create_next(1) }
	:: atomic { CAN_PUT(2) -> create_next(2) }
	:: atomic { put[0] == 1 && ok[0] == 0 -> check(0) }
	:: atomic { put[1] == 1 && ok[1] == 0 -> check(1) }
	:: atomic { put[2] == 1 && ok[2] == 0 -> check(2) }
#elif defined(NORECHK)
	:: atomic { CAN_PUT(0) && !HAS(tried, 0) -> check_early(0) }
	:: atomic { CAN_PUT(1) && !HAS(tried, 1) -> check_early(1) }
	:: atomic { CAN_PUT(2) && !HAS(tried, 2) -> check_early(2) }
	:: atomic { CAN_PUT(0) && HAS(tried, 0) -> put_unchecked(0) }
	:: atomic { CAN_PUT(1) && HAS(tried, 1) -> put_unchecked(1) }
	:: atomic { CAN_PUT(2) && HAS(tried, 2) -> put_unchecked(2) }
#else
	:: atomic { CAN_PUT(0) -> put_next(0) }
	:: atomic { CAN_PUT(1) -> put_next(1) }
	:: atomic { CAN_PUT(2) -> put_next(2) }
	:: atomic { ok[0] < put[0] -> check(0) }
	:: atomic { ok[1] < put[1] -> check(1) }
	:: atomic { ok[2] < put[2] -> check(2) }
#endif
	:: else -> break
	od;
dead:	skip
}

#ifdef GCFENCE
active proctype collector() {
	do
#ifdef CAS
#define OF_ONE sealed
#else
#define OF_ONE fence
#endif
	:: OF_ONE[AT(0, 1)] -> OF_ONE[AT(0, 1)] = 0
	:: OF_ONE[AT(1, 1)] -> OF_ONE[AT(1, 1)] = 0
	:: OF_ONE[AT(2, 1)] -> OF_ONE[AT(2, 1)] = 0
	:: true -> break
	od
}
#endif

init {
	byte second = 7, third = 7; /* bit masks of buckets */

	atomic {
#if P > 2
		/* The first joins 0 and 1; what is the same with these exchanged is left out. */
		if
		:: SECOND -> second = SECOND; third = THIRD
		:: !SECOND -> second = 3
		:: !SECOND -> second = 6
		fi;
		if
		:: SECOND
		:: !SECOND -> third = 3
		:: !SECOND -> third = 5
		:: !SECOND -> third = 6
		fi;
		run leader(1, 3);
		run leader(2, second);
		run leader(3, third);
#else
		run leader(1, 7);
		run leader(2, 7);
#endif
		second = 0; third = 0
	}
}
