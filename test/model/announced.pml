/* Data files that are announced, confirmed, withdrawn and settled (doc/decisions/0046).
 *
 * LEADERS leaders, one after the other; a former one goes on as if nothing had happened, but what
 * it appends never becomes durable.  Three data files: A has a batch for partition p, B one for p
 * and one for q, C one for q.  If `chained`, B's batch for p follows A's of the same idempotent
 * producer.  Firm commands: a commit nobody announced, which takes an offset of p, and a fence,
 * after which batches for q are refused.
 *
 * The journal is what journal.pml and journal_slot.pml prove of it: a log of which a prefix is
 * durable, and whoever leads next has that prefix.  c[0] is its catalog; a leader has one of its
 * own, and a queue of commands that are not durable.  An answer is given as soon as it may be: what
 * it says was decided before.
 *
 * Left out is what cannot be followed by an early answer: what a former leader does but for
 * committing in order, and all it does when something firm of it was lost.  What the last leader
 * does is durable at once, as nobody comes after it.
 *
 * Checked: an offset that was told is the one in the catalog of whoever serves later; what was told
 * not to be stored has none there.
 *
 * Each of these breaks one rule, and must be found:
 *
 *   -DNOBURN       a file that is not there is dropped, and its name stays free
 *   -DLATESETTLE   commands are served before announced files are settled
 *   -DANYORDER     files are settled in any order
 *   -DNOORDER      a confirmed file does not wait for older ones that share a partition
 *   -DNOFIRM       answered early, whatever is not durable before it
 *   -DUNANNOUNCED  answered early before the announcement is durable
 *   -DEARLYNO      refused batches are answered at once
 *   -DEARLYDEAD    withdrawn files are answered at once
 *   -DNOAGE        answered early whatever the age of the announcement */
#ifndef LEADERS
#define LEADERS 2
#endif
#ifndef QUEUE
#define QUEUE 3 /* commands of one leader that are not durable */
#endif
#define FILES 3
#define BATCHES 4
#define NEVER 15

/* objects under the names of the files */
#define ABSENT 0
#define DATA 1
#define TOMBSTONE 2

/* a file in a catalog */
#define UNKNOWN 0
#define ANNOUNCED 1
#define COMMITTED 2
#define DEAD 3

/* offsets: of a batch that is stored, FIRST and more */
#define NONE 0
#define REFUSED 1
#define FIRST 2

/* commands: ANNOUNCE + file, ... */
#define ANNOUNCE 1
#define COMMIT 4
#define DROP 7
#define TAKE 10
#define FENCE 11

typedef catalog {
	byte file[FILES];
	byte turn[FILES]; /* order of announcement, from 1 */
	byte offset[BATCHES];
	byte end[2];
	bool fenced
};
typedef memory {
	byte command[QUEUE]; /* those that are not durable */
	byte count;
	byte firm;	  /* that many must be durable until no firm one is pending */
	byte need[FILES]; /* that many must be durable before the answer; NEVER: no answer */
	bool settles;	  /* its term is not settled yet */
	bool is_over;	  /* it answers nothing early any more */
};

catalog c[LEADERS]; /* 0: the durable one, and the last leader's */
memory m[LEADERS + 1];
byte newest = 1;
byte object[FILES];
bool taken;
bool fenced;
bool chained;

/* ghost: what clients were told */
byte told[BATCHES];

#define FIRST_BATCH(f) ((f) == 2 -> 3 : (f))
#define PARTITION(b) ((b) / 2)
#define SHARE(f, g) ((f) == 1 || (g) == 1)

/* --- catalogs; g and b are for loops ------------------------------------------------------ */

inline commit_batch(i, b) {
	if
	:: PARTITION(b) == 1 && c[i].fenced -> c[i].offset[b] = REFUSED
	:: chained && b == 1 && c[i].offset[0] < FIRST -> c[i].offset[b] = REFUSED
	:: else ->
		c[i].offset[b] = FIRST + c[i].end[PARTITION(b)];
		c[i].end[PARTITION(b)]++
	fi
}

inline join_order(i, f) {
	c[i].turn[f] = 1;
	g = 0;
	do
	:: g < FILES ->
		if :: g != f && c[i].turn[g] > 0 -> c[i].turn[f]++ :: else fi;
		g++
	:: else -> break
	od
}

inline leave_order(i, f) {
	g = 0;
	do
	:: g < FILES ->
		if
		:: c[i].turn[f] > 0 && c[i].turn[g] > c[i].turn[f] -> c[i].turn[g]--
		:: else
		fi;
		g++
	:: else -> break
	od;
	c[i].turn[f] = 0
}

inline apply(i, what) {
	if
	:: what < COMMIT ->
		c[i].file[what - ANNOUNCE] = ANNOUNCED;
		join_order(i, what - ANNOUNCE)
	:: what >= COMMIT && what < DROP ->
		c[i].file[what - COMMIT] = COMMITTED;
		leave_order(i, what - COMMIT);
		commit_batch(i, FIRST_BATCH(what - COMMIT));
		if :: what == COMMIT + 1 -> commit_batch(i, 2) :: else fi
	:: what >= DROP && what < TAKE ->
		c[i].file[what - DROP] = DEAD;
		leave_order(i, what - DROP)
	:: what == TAKE -> c[i].end[0]++
	:: what == FENCE -> c[i].fenced = true
	fi
}

inline clear_catalog(i) {
	g = 0;
	do
	:: g < FILES -> c[i].file[g] = UNKNOWN; c[i].turn[g] = 0; g++
	:: else -> break
	od;
	b = 0;
	do
	:: b < BATCHES -> c[i].offset[b] = NONE; b++
	:: else -> break
	od;
	c[i].end[0] = 0;
	c[i].end[1] = 0;
	c[i].fenced = false
}

inline copy_catalog(i) {
	g = 0;
	do
	:: g < FILES ->
		c[i].file[g] = c[0].file[g];
		c[i].turn[g] = c[0].turn[g];
		g++
	:: else -> break
	od;
	b = 0;
	do
	:: b < BATCHES -> c[i].offset[b] = c[0].offset[b]; b++
	:: else -> break
	od;
	c[i].end[0] = c[0].end[0];
	c[i].end[1] = c[0].end[1];
	c[i].fenced = c[0].fenced
}

/* --- a leader: me, and its catalog, mine -------------------------------------------------- */

inline append(what) {
	apply(mine, what);
	if
	:: me < LEADERS && me == newest ->
		m[me].command[m[me].count] = what;
		m[me].count++
	:: else
	fi
}

inline append_firm(what) {
	append(what);
	m[me].firm = m[me].count
}

inline tell(b) {
	if
	:: c[mine].offset[b] >= FIRST ->
		assert(told[b] == NONE || told[b] == c[mine].offset[b]);
		told[b] = c[mine].offset[b]
	:: else ->
		assert(told[b] < FIRST);
		told[b] = REFUSED
	fi
}

/* What waits for nothing any more is answered, and everything that was told is looked for in the
 * catalog of whoever serves. */
inline answer_and_check() {
	g = 0;
	do
	:: g < FILES ->
		if
		:: m[me].need[g] == 0 ->
			m[me].need[g] = NEVER;
			tell(FIRST_BATCH(g));
			if :: g == 1 -> tell(2) :: else fi
		:: else
		fi;
		g++
	:: else -> break
	od;
	b = 0;
	do
	:: b < BATCHES ->
		if
		:: !m[newest].settles ->
			assert(told[b] < FIRST || c[newest % LEADERS].offset[b] == told[b]);
			assert(told[b] != REFUSED || c[newest % LEADERS].offset[b] < FIRST)
		:: else
		fi;
		b++
	:: else -> break
	od;
	g = 0;
	b = 0
}

/* blocked: an older file that shares a partition with this one is still announced. */
inline look_for_older(f) {
	blocked = false;
	g = 0;
	do
	:: g < FILES ->
		if
		:: c[mine].file[g] == ANNOUNCED && c[mine].turn[g] < c[mine].turn[f] &&
		   SHARE(f, g) ->
			blocked = true
		:: else
		fi;
		g++
	:: else -> break
	od;
	g = 0;
#ifdef NOORDER
	if :: !m[me].settles -> blocked = false :: else fi;
#endif
#ifdef ANYORDER
	if :: m[me].settles -> blocked = false :: else fi;
#endif
}

/* Whoever leads next would commit it with the same result. */
inline commit_repeatable(f) {
	b = m[me].firm;
	g = 0;
	do
	:: g < m[me].count ->
#ifndef UNANNOUNCED
		if :: m[me].command[g] == ANNOUNCE + f && g + 1 > b -> b = g + 1 :: else fi;
#endif
		g++
	:: else -> break
	od;
#ifdef NOFIRM
	b = b - m[me].firm;
#endif
	append(COMMIT + f);
	m[me].need[f] = b;
	if
	:: c[mine].offset[FIRST_BATCH(f)] < FIRST || (f == 1 && c[mine].offset[2] < FIRST) ->
#ifdef EARLYNO
		m[me].need[f] = 0
#else
		m[me].need[f] = (me < newest -> NEVER : m[me].count)
#endif
	:: else
	fi
}

inline commit_firm(f) {
	append_firm(COMMIT + f);
	m[me].need[f] = m[me].count
}

inline drop(f) {
	append_firm(DROP + f);
	m[me].need[f] = m[me].count;
#ifdef EARLYDEAD
	m[me].need[f] = 0
#endif
}

#define HAS_ROOM (newest == me && m[me].count < QUEUE)
#define SERVES (HAS_ROOM && !m[me].settles)
#define IS_FORMER (newest > me && !m[me].is_over)

/* What an agent or a verdict says of a file. */
inline hear_of(f) {
	if
	:: SERVES && c[mine].file[f] == UNKNOWN -> append(ANNOUNCE + f)
	:: (HAS_ROOM || IS_FORMER) && c[mine].file[f] == ANNOUNCED && object[f] == DATA ->
		look_for_older(f);
		if
		:: !blocked -> commit_repeatable(f)
		:: SERVES -> commit_firm(f)
		:: else
		fi;
		blocked = false
	:: SERVES && c[mine].file[f] == UNKNOWN && object[f] == DATA -> commit_firm(f)
	:: SERVES && c[mine].file[f] == ANNOUNCED -> drop(f) /* it was withdrawn */
#ifdef NOBURN
	:: HAS_ROOM && c[mine].file[f] == ANNOUNCED && object[f] == ABSENT -> drop(f)
#else
	:: HAS_ROOM && c[mine].file[f] == ANNOUNCED && object[f] != DATA ->
		object[f] = TOMBSTONE;
		drop(f)
#endif
	:: else
	fi;
	answer_and_check()
}

inline become_durable() {
	apply(0, m[me].command[0]);
	g = 0;
	do
	:: g + 1 < QUEUE -> m[me].command[g] = m[me].command[g + 1]; g++
	:: else -> break
	od;
	m[me].command[QUEUE - 1] = 0;
	m[me].count--;
	if :: m[me].firm > 0 -> m[me].firm-- :: else fi;
	g = 0;
	do
	:: g < FILES ->
		if :: m[me].need[g] > 0 && m[me].need[g] != NEVER -> m[me].need[g]-- :: else fi;
		g++
	:: else -> break
	od;
	answer_and_check()
}

#define NONE_IS_ANNOUNCED \
	(c[mine].file[0] != ANNOUNCED && c[mine].file[1] != ANNOUNCED && \
	 c[mine].file[2] != ANNOUNCED)

proctype leader(byte me; byte mine) {
	byte f, g, b;
	bool blocked;

end:	do
	:: atomic {
		newest >= me;
		if :: f = 0 :: f = 1 :: f = 2 fi;
		hear_of(f);
		f = 0
	   }
	:: d_step { SERVES && !taken ->
		taken = true;
		append_firm(TAKE);
		answer_and_check()
	   }
	:: d_step { SERVES && !fenced ->
		fenced = true;
		append_firm(FENCE);
		answer_and_check()
	   }
	:: d_step { newest == me && m[me].settles && NONE_IS_ANNOUNCED ->
		m[me].settles = false;
		answer_and_check()
	   }
	:: d_step { newest == me && m[me].count > 0 -> become_durable() }
	od
}

/* --- the world ---------------------------------------------------------------------------- */

/* What it has in its queue is lost, but it does not know that. */
inline become_former(i) {
#ifndef NOFIRM
	m[i].is_over = m[i].firm > 0;
#endif
	b = 0;
	do
	:: b < QUEUE ->
		if
		:: b < m[i].count && m[i].command[b] < COMMIT &&
		   c[i].file[m[i].command[b] - ANNOUNCE] == ANNOUNCED ->
			/* the last ones in the order */
			c[i].file[m[i].command[b] - ANNOUNCE] = UNKNOWN;
			c[i].turn[m[i].command[b] - ANNOUNCE] = 0
		:: else
		fi;
		m[i].command[b] = 0;
		b++
	:: else -> break
	od;
	m[i].count = 0;
	m[i].firm = 0;
	m[i].settles = false;
	b = 0;
	do
	:: b < FILES -> m[i].need[b] = NEVER; b++
	:: else -> break
	od;
	if :: m[i].is_over -> clear_catalog(i) :: else fi
}

inline take_over() {
	become_former(newest);
	newest++;
	if :: newest < LEADERS -> copy_catalog(newest) :: else fi;
#ifndef LATESETTLE
	m[newest].settles = true;
#endif
	g = 0;
	b = 0
}

/* Hours after the file was dead: who was replaced before that has announcements which are old. */
inline forget_tombstone(f) {
	object[f] = ABSENT;
#ifndef NOAGE
	k = 1;
	do
	:: k < newest ->
		m[k].is_over = true;
		clear_catalog(k);
		k++
	:: else -> break
	od;
	k = 0;
#endif
	g = 0;
	b = 0
}

active proctype world() {
	byte g, b, k;

	atomic {
		do
		:: g <= LEADERS ->
			b = 0;
			do
			:: b < FILES -> m[g].need[b] = NEVER; b++
			:: else -> break
			od;
			g++
		:: else -> break
		od;
		g = 1;
		b = 0;
		if :: chained = true :: chained = false fi;
		do
		:: g <= LEADERS -> run leader(g, g % LEADERS); g++
		:: else -> break
		od;
		g = 0
	}
end:	do
	:: d_step { object[0] == ABSENT -> object[0] = DATA }
	:: d_step { object[1] == ABSENT -> object[1] = DATA }
	:: d_step { object[2] == ABSENT -> object[2] = DATA }
	:: d_step { object[0] == TOMBSTONE && c[0].file[0] == DEAD -> forget_tombstone(0) }
	:: d_step { object[1] == TOMBSTONE && c[0].file[1] == DEAD -> forget_tombstone(1) }
	:: d_step { object[2] == TOMBSTONE && c[0].file[2] == DEAD -> forget_tombstone(2) }
	:: d_step { newest < LEADERS -> take_over() }
	od
}
