/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The rings between kernel and user: README.md says what stands for which code
 *
 *	-DENTRIES	the entries of a ring, either one
 *	-DSIGNALS	the rbuf ring: waking up, pausing and kicking
 *	-DHOSTILE	the refill ring of a user who writes anything at any time
 *
 * A further -D takes one barrier or one check out; then there must be an error.
 *
 * Memory. There are two CPUs, the producer's and the consumer's. A store goes to
 * its CPU's store buffer, and from there to memory at any time: stores to one word
 * in their order, stores to different words in any order. A store-release waits
 * for all stores before it. A load gets what memory has, or what it had when this
 * CPU last looked at the word. When a load-acquire looks, its CPU looks at
 * everything. A full barrier waits for the CPU's store buffer to be empty, and
 * looks at everything.
 *
 * Two orders are of another kind: a load must not be done after a later store,
 * nor a store before an earlier load. What would happen is written out (LATE,
 * EARLY).
 *
 * What a lock of the kernel protects goes from CPU to CPU with the lock. Here it
 * stays on one, which orders less than handing over does.
 */

#define N	2		/* entries in a ring */
#define IDX(x)	((x) & 3)	/* two bits of each index: it wraps around */

#ifdef ROOM_FOR_ONE_MORE
#define MASK	N
#else
#define MASK	(N - 1)
#endif

#ifndef HOSTILE

/* Shared words. The producer stores those up to KFLAGS. */
#define E0	0		/* first entry, first half */
#define E1	1		/* first entry, second half */
#define E2	2		/* second entry */
#define E3	3
#define PROD	4		/* the ring's producer index */
#define KFLAGS	5
#define CONS	6		/* the ring's consumer index */
#define UFLAGS	7
#define TAIL	8		/* of the refill ring, beside the rbuf ring */
#define LOCK	9		/* of the kernel, 1 if held */
#define NR_WORDS 10

byte mem[NR_WORDS];
byte seen[NR_WORDS];		/* by the CPU that does not store it */

#define RELAXED	0
#define ORDERED	1		/* store-release, load-acquire */

chan producer_sb = [SB] of { byte, byte, bit };	/* word, value, order */
chan consumer_sb = [SB] of { byte, byte, bit };

byte prod, cons;		/* what the ring's producer and its consumer know */

inline consumer_looks()
{
	d_step {
		seen[E0] = mem[E0]; seen[E1] = mem[E1];
		seen[E2] = mem[E2]; seen[E3] = mem[E3];
		seen[PROD] = mem[PROD]; seen[KFLAGS] = mem[KFLAGS]
	}
}

inline producer_looks()
{
	d_step { seen[CONS] = mem[CONS]; seen[UFLAGS] = mem[UFLAGS] }
}

inline load(word, x)
{
	atomic {
		if
		:: true
		:: seen[word] = mem[word]
		fi;
		x = seen[word]
	}
}

inline load_prod(x)
{
	atomic {
		if
		:: true
#ifdef NO_PRODUCER_ACQUIRE
		:: seen[PROD] = mem[PROD]
#else
		:: consumer_looks()
#endif
		fi;
		x = seen[PROD]
	}
}

inline load_cons(x)
{
	atomic {
		if
		:: true
		:: producer_looks()
		fi;
		x = seen[CONS]
	}
}

#ifdef NO_PRODUCER_RELEASE
#define PRODUCER_ORDER	RELAXED
#else
#define PRODUCER_ORDER	ORDERED
#endif
#ifdef NO_CONSUMER_RELEASE
#define CONSUMER_ORDER	RELAXED
#else
#define CONSUMER_ORDER	ORDERED
#endif

inline store_prod(x)		{ producer_sb!PROD, x, PRODUCER_ORDER }
inline store_cons(x)		{ consumer_sb!CONS, x, CONSUMER_ORDER }
inline producer_store(word, x)	{ producer_sb!word, x, RELAXED }
inline consumer_store(word, x)	{ consumer_sb!word, x, RELAXED }

inline producer_mb()	{ atomic { empty(producer_sb) -> producer_looks() } }
inline consumer_mb()	{ atomic { empty(consumer_sb) -> consumer_looks() } }

#define ARRIVES(sb, word) \
	atomic { sb??word, x, RELAXED -> mem[word] = x; x = 0 }
#define ARRIVES_IN_ORDER(sb, word) \
	atomic { sb?word, x, ORDERED -> mem[word] = x; x = 0 }

active proctype memory()
{
	byte x;

end:	do
#ifdef NO_PRODUCER_RELEASE
	:: ARRIVES(producer_sb, PROD)
#else
	:: ARRIVES_IN_ORDER(producer_sb, PROD)
#endif
#ifdef NO_CONSUMER_RELEASE
	:: ARRIVES(consumer_sb, CONS)
#else
	:: ARRIVES_IN_ORDER(consumer_sb, CONS)
#endif
#ifdef ENTRIES
	:: ARRIVES(producer_sb, E0)
	:: ARRIVES(producer_sb, E1)
	:: ARRIVES(producer_sb, E2)
	:: ARRIVES(producer_sb, E3)
	:: ARRIVES_IN_ORDER(consumer_sb, LOCK)
#endif
#ifdef SIGNALS
	:: ARRIVES(producer_sb, KFLAGS)
	:: ARRIVES_IN_ORDER(producer_sb, LOCK)
	:: ARRIVES(consumer_sb, UFLAGS)
	:: ARRIVES_IN_ORDER(consumer_sb, TAIL)
	:: ARRIVES(consumer_sb, KFLAGS)
	:: ARRIVES_IN_ORDER(consumer_sb, LOCK)
#endif
	od
}

inline has_room(ok)
{
	load_cons(ok);
	ok = IDX(prod - ok) <= MASK
}
#endif /* !HOSTILE */

#ifdef ENTRIES
/*
 * In an entry is its index, and what the memory was zeroed to is not. That of
 * the refill ring is read under zcrx_refill.lock, by a page pool that asks for
 * memory or by a task; nothing is lost if there is one reader of the rbuf ring.
 */
#define VALUE(i)	(IDX(i) + 1)

inline write_entry()
{
	producer_store((prod & 1) * 2, VALUE(prod));
	producer_store((prod & 1) * 2 + 1, VALUE(prod))
}

active proctype producer()
{
	byte x;

	do
	:: /* any number of entries at a time */
	   do
#ifdef NO_CONSUMER_ACQUIRE
	   :: write_entry();	/* EARLY; then what was loaded says there is room */
	      has_room(x);
	      x;
	      prod = IDX(prod + 1)
#else
	   :: has_room(x);
	      if
	      :: x -> write_entry(); prod = IDX(prod + 1)
	      :: else
	      fi
#endif
	   :: break
	   od;
	   x = 0;
	   store_prod(prod)
	od
}

inline read_entries()
{
	do
	:: cons != until ->
		load((cons & 1) * 2, x);
		load((cons & 1) * 2 + 1, y);
		assert(x == VALUE(cons) && y == VALUE(cons));
		cons = IDX(cons + 1)
	:: else -> break
	od;
	x = 0; y = 0
}

#ifdef NO_LOCK
#define lock()		true
#define unlock()	true
#else
#define lock()		atomic { !mem[LOCK] -> mem[LOCK] = 1; consumer_looks() }
#define unlock()	consumer_sb!LOCK, 0, ORDERED
#endif

proctype consumer()
{
	byte until, x, y;

	do
	:: lock();
	   load_prod(until);
	   if
	   :: true
	   :: until != cons -> until = IDX(cons + 1)	/* not all of them */
	   fi;
#ifdef NO_CONSUMER_RELEASE
	   if
	   :: read_entries(); store_cons(until)
	   :: store_cons(until); read_entries()		/* LATE */
	   fi;
#else
	   read_entries();
	   store_cons(until);
#endif
	   until = 0;
	   unlock()
	od
}

init {
	atomic { run consumer(); run consumer() }
}
#endif /* ENTRIES */

#ifdef SIGNALS
/*
 * There is one word of shared memory in each step; a store is only a store to the
 * store buffer, and a barrier is passed just before the next load.
 *
 * What entries say is right, see above. So it is not in shared memory here.
 */
bool chunk_in[N];		/* does a chunk of the copy fallback come with it? */

/* The kernel, under zcrx_ifq.lock unless it says otherwise */

byte published;
bit kflags;			/* the kernel's own */
bool kick_untold;
bool free = true;		/* the only chunk for the copy fallback */
bit head;			/* of the refill ring, which has at most that in it */
bool woken[RECEIVERS];
byte ended;			/* receivers at the end of their stream */
bool cqe;			/* one or more that the user has not seen */

/*
 * Under zcrx_refill.lock, which whoever takes it saw free, and all that its last
 * owner saw.
 */
inline refill_take(tail)
{
	free = free || tail != head;
	head = tail
}

active proctype softirq()
{
end:	do
	:: atomic { mem[TAIL] != head -> refill_take(mem[TAIL]) }
	od
}

/* On the CPU with that store buffer; then comes pause_mb() or consumer_mb() */
inline set_need_kick(sb)
{
	atomic {
		sb!KFLAGS, 1, RELAXED;
#ifndef NO_WAKE_FOR_KICK
		kick_untold = kick_untold || !kflags;
#endif
		kflags = 1
	}
}

inline clear_need_kick(sb)
{
	atomic {
		sb!KFLAGS, 0, RELAXED;
		kick_untold = false;
		kflags = 0
	}
}

#ifdef NO_PAUSE_MB
#define pause_mb()	true
#else
#define pause_mb()	producer_mb()
#endif

inline have_room(ok)
{
	atomic {
		has_room(ok);
		if
		:: !ok -> set_need_kick(producer_sb)
		:: else
		fi
	}
	if
	:: !ok ->
		atomic {
			pause_mb();
#ifndef NO_SECOND_LOOK_FOR_ROOM
			has_room(ok);
#endif
#ifdef RECEIVERS_CLEAR_KFLAGS
			if
			:: ok -> clear_need_kick(producer_sb)
			:: else
			fi
#endif
		}
	:: else
	fi
}

inline take_free(ok)
{
	d_step { ok = free; free = false }
}

/* Its first look finds nothing but what refill_take() of others put there. */
inline copy_prepare(ok)
{
	take_free(ok);
	if
	:: !ok -> atomic { refill_take(mem[TAIL]); take_free(ok) }
	:: else
	fi
}

inline have_chunk(ok)
{
	copy_prepare(ok);
	if
	:: !ok ->
		set_need_kick(producer_sb);
		pause_mb();
#ifndef NO_SECOND_LOOK_FOR_CHUNKS
		copy_prepare(ok)
#endif
	:: else
	fi
}

inline post(copied)
{
	d_step { chunk_in[prod & 1] = copied; prod = IDX(prod + 1) }
}

/* A piece where it is, or a copied one that takes a new chunk */
inline recv_piece(ok)
{
	have_room(ok);
	if
#ifdef IN_PLACE
	:: ok -> post(false)
#endif
#ifdef COPIED
	:: ok -> have_chunk(ok);
	   if
	   :: ok -> post(true)
	   :: else
	   fi
#endif
	:: else
	fi
}

inline rbuf_publish()
{
	if
	:: prod != published || kick_untold ->
		atomic {
			store_prod(prod);
			before = published;
			published = prod;
			kick = kick_untold;
			kick_untold = false
		}
		atomic {
#ifndef NO_WAKE_MB
			producer_mb();
#endif
			load(UFLAGS, x)
		}
		atomic {
			load(CONS, y);
			x = x && (kick || y == before);
#ifdef CQE_TO_RING_OF_REQUEST
			x = x && me == 0;
#endif
			cqe = cqe || x;
			before = 0; kick = false; x = 0; y = 0
		}
	:: else
	fi
}

/* A multishot request: any number of pieces at a time */
proctype receiver(byte me)
{
	byte ok, before, x, y;
	bool kick, retried;

	do
	:: atomic { !mem[LOCK] -> mem[LOCK] = 1; producer_looks() }
	   do
	   :: recv_piece(ok);
	      if
	      :: ok
	      :: !ok -> break
	      fi
	   :: ok = true; break
	   od;
	   rbuf_publish();
	   producer_sb!LOCK, 0, ORDERED;
	   if
	   :: ok				/* there will be more data */
	   :: ok -> break			/* or no more */
#if RECEIVERS == 1
	   :: !ok && !retried -> retried = true	/* data comes during the pause */
#endif
	   :: !ok -> atomic { woken[me] -> woken[me] = false; retried = false }
	   fi
	od;
	ended++
}

/* The user */

bit tail;			/* of the refill ring */
bool held;			/* the chunk */

inline wake_receivers()
{
	d_step {
		woken[0] = true;
#ifndef RESUME_WAKES_ONE
		woken[RECEIVERS - 1] = true
#endif
	}
}

#define ALL_DONE	(ended == RECEIVERS && cons == prod)

/* The system call: in the kernel, but on this CPU */
inline resume()
{
#ifdef RESUME_CLEARS_LAST
	wake_receivers();
	clear_need_kick(consumer_sb);
	consumer_mb()
#else
	atomic {
		empty(consumer_sb) && !mem[LOCK] -> mem[LOCK] = 1;
		refill_take(tail);
		clear_need_kick(consumer_sb)
	}
	atomic {
		consumer_mb();
		if
		:: wake_receivers()
#if RECEIVERS > 1
		:: woken[0] = true;	/* the other's io_uring is busy: -EAGAIN */
		   set_need_kick(consumer_sb)
#endif
		fi;
		consumer_sb!LOCK, 0, ORDERED
	}
#endif
}

inline kick()
{
	do
	:: atomic {
#ifndef NO_KICK_MB
		consumer_mb();
#endif
		load(KFLAGS, x)
	   }
	   if
	   :: x -> x = 0; resume()
	   :: else -> break
	   fi
#ifdef EAGAIN_IS_IGNORED
	   ; break
#endif
	od
}

inline refill()
{
	tail = !tail;
	held = false;
	consumer_sb!TAIL, tail, ORDERED
}

inline give_back()
{
	if
	:: held -> refill()
	:: else
	fi
}

/*
 * With everything read and released. Who holds nothing looked at kflags after he
 * gave it back, and need not again. Who is woken need not know why: he comes here
 * again.
 */
inline wait()
{
	if
	:: true ->				/* by polling */
	   (mem[PROD] != cons || (held && mem[KFLAGS]) || ALL_DONE)
	:: consumer_store(UFLAGS, 1);
	   atomic {
#ifndef NO_WAIT_MB
		consumer_mb();
#endif
#ifndef NO_WAIT_PEEK
		load_prod(until)
#endif
	   }
#ifndef NO_WAIT_KFLAGS
	   if
	   :: until == cons -> load(KFLAGS, x)
	   :: else
	   fi;
#endif
	   if
	   :: until != cons || x
	   :: until == cons && !x ->
		if
		:: cqe -> cqe = false
		:: ALL_DONE
		fi
	   fi;
	   if
	   :: true
	   :: consumer_store(UFLAGS, 0)
	   fi;
	   if
	   :: x -> x = 0; give_back(); kick()
	   :: else
	   fi
	fi
}

active proctype user()
{
	byte until, x;

	do
	:: load_prod(until);
	   if
	   :: until != cons ->
		atomic {
			if
			:: true
			:: until = IDX(cons + 1)		/* not all of them */
			fi;
			do
			:: cons != until ->
				held = held || chunk_in[cons & 1];
				cons = IDX(cons + 1)
			:: else -> break
			od;
			store_cons(cons)
		}
		atomic {
			if
			:: held -> refill()
			:: true				/* not now */
			fi
		}
		kick()
	   :: until == cons && held -> refill(); kick()
	   :: until == cons ->			/* or sleep with it */
		wait();
		if
		:: ALL_DONE -> break
		:: else
		fi
	   fi;
	   until = 0
	od
}

init {
	atomic {
		run receiver(0);
#if RECEIVERS > 1
		run receiver(1)
#endif
	}
}
#endif /* SIGNALS */

#ifdef HOSTILE
/* Each word is written at any time, so how late stores arrive does not matter. */
#define CHUNKS	2
#define BATCH	1		/* ZCRX_REFILL_BATCH */

byte tail, entry[N];
byte head;			/* the kernel's own */

active proctype user()
{
	do
	:: tail = IDX(tail + 1)
	:: entry[0] = (entry[0] + 1) % (CHUNKS + 1)
	:: entry[1] = (entry[1] + 1) % (CHUNKS + 1)
	od
}

inline nr_entries(nr)
{
	nr = IDX(tail - head);
#ifndef NO_CLAMP
	nr = (nr < N -> nr : N)
#endif
}

/* An area has as many chunks as there are; entries may name one more. */
inline next_chunk()
{
	chunk = entry[head & 1];
	head = IDX(head + 1);
	if
	:: chunk < CHUNKS ->
#ifdef READS_TWICE
		chunk = entry[(head + 1) & 1];
#endif
		assert(chunk < CHUNKS)
	:: else
	fi;
	taken++;
	assert(taken <= N)
}

/* One at a time, under zcrx_refill.lock */
active proctype kernel()
{
	byte nr, left, taken, chunk;

	do
	:: taken = 0;				/* zcrx_refill_take() */
	   nr_entries(left);
	   do
	   :: left > 0 -> next_chunk(); left--
	   :: else -> break
	   od
	:: taken = 0; left = N;			/* zcrx_refill_flush() */
	   do
	   :: nr_entries(nr);
	      nr = (nr < BATCH -> nr : BATCH);
#ifndef NO_LIMIT
	      left = left - nr;
#endif
	      if
	      :: nr > 0 -> next_chunk()
	      :: else
	      fi;
	      if
	      :: nr > 0 && left > 0
	      :: else -> break
	      fi
	   od
	od
}
#endif /* HOSTILE */
