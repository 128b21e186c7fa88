/* The slots of one epoch on one bucket of class cas (src/cells/journal_slot.c, journal_seal.c).
 *
 * A leader creates slots 1, 2, 3, ..., up to three at once and in any order, puts floors and trims
 * below them.  Candidates seal the first free slot, or find that another one did.  Every step is
 * one atomic operation of the bucket, and everything in between may be interleaved.
 *
 * Checked: when a candidate has joined, nothing more counts for the leader.
 *
 * Each of these breaks one rule, and must be found:
 *
 *   -DNOPREFIX     a create counts whether the slots before it were created or not
 *   -DNOLOOK       the candidate does not look for a new floor after its seal
 *   -DNOFLOOR      the leader trims what no floor covers
 *   -DEARLYFLOOR   the leader puts a floor over slots that were not created here */
#define M 5 /* slots */
#define AHEAD 3
#define CANDIDATES 2
#define FREE 0
#define RECORD 1
#define SEAL 2

byte slot[M + 2]; /* from 1 */
byte floor;
bool joined;

/* ghost: all that counted before the candidate joined */
byte counted;

active proctype leader() {
	byte created; /* a prefix */
	byte i;
	bool mine[M + 2];

	do
	:: atomic { /* PUT_NEW of any slot within the window */
		created < M ->
		i = created + 1;
		do
		:: i < created + AHEAD && i < M -> i++
		:: break
		od;
		if
		:: mine[i]
		:: !mine[i] && slot[i] == SEAL -> break
		:: !mine[i] && slot[i] == FREE -> slot[i] = RECORD; mine[i] = true
		fi;
		do
		:: created < M && mine[created + 1] -> created++
		:: else -> break
		od;
#ifdef NOPREFIX
		assert(!joined || i <= counted);
		if :: i > counted -> counted = i :: else fi;
#else
		assert(!joined || created <= counted);
		counted = created;
#endif
		i = 0
	   }
	:: atomic { /* PUT of a floor: what is below is in a snapshot */
#ifdef EARLYFLOOR
		floor < M -> floor++
#else
		floor < created -> floor++
#endif
	   }
	:: atomic { /* DELETE of any slot that a floor covers */
		i = 1;
		do
#ifdef NOFLOOR
		:: i < created -> i++
#else
		:: i < floor -> i++
#endif
		:: break
		od;
		if
#ifdef NOFLOOR
		:: i <= created && slot[i] == RECORD -> slot[i] = FREE
#else
		:: i <= floor && slot[i] == RECORD -> slot[i] = FREE
#endif
		:: else
		fi;
		i = 0
	   }
	:: break /* crash */
	od
}

active [CANDIDATES] proctype candidate() {
	byte s, f;
	bool seen;

	f = floor; /* LIST of floors */
	s = f + 1;
again:
	do /* LIST of slots, page by page */
	:: atomic { s <= M && slot[s] != FREE -> s++ }
	:: atomic { s > M || slot[s] == FREE -> break }
	od;
	if
	:: s > M -> goto end /* the model ends here */
	:: else
	fi;
	atomic { /* GET of the last one */
		seen = s > f + 1 && slot[s - 1] == SEAL;
		if
		:: seen -> s--; goto look
		:: else
		fi
	}
	atomic { /* PUT_NEW */
		if
		:: slot[s] != FREE -> s++; goto again
		:: else -> slot[s] = SEAL
		fi
	}
look:
#ifndef NOLOOK
	atomic { /* LIST of floors */
		f = floor;
		if
		:: f >= s -> s = f + 1; goto again
		:: else
		fi
	}
#endif
	joined = true;
end:	skip
}
