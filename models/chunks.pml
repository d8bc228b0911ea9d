/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Who owns a chunk, from registration to the end: README.md says what stands for
 * which code
 *
 *	-DHONEST	the user gives back what he was told of, once
 *	-DHOSTILE	he writes anything into the refill ring at any time
 *
 * A further -D takes one check or one reference out; then there must be an error.
 *
 * There is one chunk: what is done to one does not depend on what others are.
 * Each step is an atomic operation on a counter, or what is done under a spinlock
 * under which nothing else happens (zcrx_ifq.free_lock, those of page pools).
 */

/* The kernel's records: struct zcrx_chunk */
byte ref = 1;			/* niov.pp_ref_count */
byte pool;			/* niov.pp; 0 is NULL */
byte user_refs;

/* Where it really is; OUT if only references say where */
#define FREE	0		/* free list */
#define POOL	1		/* cache or ring of its page pool */
#define NIC	2		/* in a descriptor */
#define OUT	3
byte where = FREE;

/* Who really has references */
byte skbs;
bool posting;			/* the skb that is being received from */
bool copy;			/* zcrx_ifq.copy.chunk */

#define UNUSED	(!skbs && !user_refs && !posting && !copy)

/* The ifq */
byte refs = 2;			/* the ring's, and that of the first page pool */
bool ifq_lock, refill_lock;
bool closed, requests_gone;
bool refill_open = true;
byte nr_pools = 1;		/* page pools that have not been stopped */
bool mapped = true;		/* for DMA */
bool gone;			/* the memory is the user's alone, the rings are gone */

/* The NIC. Its queue is restarted at most once, so there are two page pools. */
#define POOLS	2
byte queue_pool = 1;		/* 0: the queue is closed, or has memory of its own */
bool bound = true;		/* zcrx_ifq.netdev is set */
bool rtnl, napi;
byte hold[POOLS + 1];		/* pages_state_hold_cnt - pages_state_release_cnt */
bool destroyed[POOLS + 1];	/* page_pool_destroy() was called */

#ifdef HONEST
chan refill = [2] of { bit };	/* what the user was told of, and gives back */
#define REFILL_HAS_ENTRY	nempty(refill)
#define MAY_POST		nfull(refill)
#else
#define REFILL_HAS_ENTRY	true
#define MAY_POST		true
#endif
#define MOST_PIECES		2

#define take(lock)	atomic { !lock -> lock = true }
#define leave(lock)	lock = false

inline ifq_put()
{
	atomic {
		assert(refs > 0);
		refs--;
		if
		:: refs == 0 ->
			assert(where == FREE && !pool && UNUSED && !mapped);
			gone = true
		:: else
		fi
	}
}

inline chunk_free()
{
	atomic {
		assert(where != FREE && UNUSED && !gone);
		where = FREE
	}
}

/* page_pool_return_page(), with the provider's release_netmem() */
inline release()
{
	old = pool;
#ifndef NO_FORGET
	pool = 0;
#endif
	chunk_free();
	atomic { assert(hold[old] > 0); hold[old]--; old = 0 }
}

/* page_pool_unref_netmem(): who has the only reference needs no atomic operation */
inline unref(last)
{
	if
	:: ref == 1 -> last = true
#ifdef UNREF_IS_NOT_ATOMIC
	:: ref != 1 -> old = ref; ref = old - 1; last = old == 1; old = 0;
#else
	:: ref != 1 -> atomic { assert(ref > 0); ref--; last = ref == 0 }
#endif
	   if
	   :: last -> ref = 1
	   :: else
	   fi
	fi
}

/*
 * page_pool_put_unrefed_netmem(). Its pool keeps a chunk or, if there is no room
 * or the ifq is in the COPY state, does not.
 */
inline pool_put()
{
	if
	:: atomic { assert(where == OUT && UNUSED && !gone); where = POOL }
	:: release()
	fi
}

/* zcrx_chunk_put(), and page_pool_put_netmem() for what has a pool */
inline chunk_put()
{
	unref(last);
	if
	:: last && pool -> pool_put()
	:: last && !pool -> chunk_free()
	:: else
	fi;
	last = false
}

inline get_for_user()
{
#ifdef COUNTED_BEFORE_REFERENCE
	user_refs++;
	ref++
#else
#ifndef NO_REFERENCE_FOR_USER
	ref++;
#endif
	user_refs++
#endif
}

inline drop_user(had)
{
	d_step {
		had = user_refs > 0;
		user_refs = (had -> user_refs - 1 : 0)
	}
}

/* A hostile user's next entry may always be one for this chunk. */
inline next_chunk(had)
{
	assert(!gone);
#ifdef BELIEVES_USER
	had = true
#else
	drop_user(had);
#endif
#ifdef HONEST
	refill?0;
	assert(had)
#endif
}

/* The provider, in the poll of the queue's NAPI instance */

inline refill_take(p)
{
	take(refill_lock);
	do
	:: refill_open && REFILL_HAS_ENTRY ->
		next_chunk(last);
		if
		:: !last
#ifdef ANY_POOL
		:: last ->
#else
		:: last && pool != p -> chunk_put()
		:: last && pool == p ->
#endif
#ifndef TAKES_WITH_REFERENCES
			unref(last);
#endif
			if
			:: last -> last = false; pool_put()
			:: else
			fi
		fi
	:: break
	od;
	leave(refill_lock)
}

/* zcrx_chunks_take_free() */
inline take_free(p)
{
	atomic {
		where == FREE ->
		assert(!pool && UNUSED && !gone);
		where = POOL; pool = p; ref = 1;
		hold[p]++
	}
}

inline fill_descriptor(p)
{
	atomic {
		where == POOL && pool == p ->
		assert(UNUSED && ref == 1 && mapped && !gone);
		where = NIC
	}
}

inline receive(p)
{
	atomic {
		where == NIC && pool == p ->
		assert(UNUSED && ref == 1 && mapped && !gone);
		where = OUT;
		skbs++
	}
}

active proctype nic()
{
	byte p, old;
	bool last;

end:	do
	:: atomic { queue_pool && !napi -> napi = true; p = queue_pool }
	   if
	   :: refill_take(p)
	   :: take_free(p)
	   :: fill_descriptor(p)
	   :: receive(p)
	   :: true
	   fi;
	   atomic { p = 0; leave(napi) }
	od
}

/* Whoever has skbs clones them, and lets them go sooner or later. */
active proctype stack()
{
	byte old;
	bool last;

end:	do
	:: atomic { skbs == 1 -> skbs++; ref++ }
	:: atomic { skbs > 0 -> skbs-- }
	   chunk_put()
	od
}

/* Posting fails if there is no room for a 32-byte CQE. */
inline post_piece()
{
#ifndef COUNTED_AFTER_POST
	get_for_user();
#endif
	if
	:: MAY_POST ->
#ifdef HONEST
	   refill!0;
#endif
#ifdef COUNTED_AFTER_POST
	   get_for_user()
#endif
	:: true ->
#ifdef FAILED_POST_PUTS
	   user_refs = (user_refs -> user_refs - 1 : 0);
	   last = true;
#else
	   drop_user(last);
#endif
	   if
	   :: last -> last = false; chunk_put()
	   :: else
	   fi
	fi
}

inline refill_flush()
{
	take(refill_lock);
	do
	:: refill_open && REFILL_HAS_ENTRY ->
		next_chunk(last);
		if
		:: last -> last = false; chunk_put()
		:: else
		fi
	:: break
	od;
	leave(refill_lock)
}

inline copy_close()
{
	if
	:: copy -> copy = false; chunk_put()
	:: else
	fi
}

/* All requests of all rings: one at a time, under zcrx_ifq.lock */
active proctype receiver()
{
	byte old;
	bool last;

	do
	:: take(ifq_lock);
	   if
	   :: closed -> break
#ifdef RECEIVES_WHEN_CLOSED
	   :: true ->
#else
	   :: !closed ->
#endif
		if
		:: atomic {		/* an skb in our socket's queue */
			skbs && user_refs < MOST_PIECES ->
			skbs--;
			posting = true
		   }
		   post_piece();
		   if
		   :: atomic { posting = false; skbs++ }	/* more is in it */
		   :: posting = false; chunk_put()
		   fi
		:: atomic {		/* zcrx_copy_prepare() */
			where == FREE && !copy ->
			assert(!pool && UNUSED && !gone);
			where = OUT; ref = 1; copy = true
		   }
		:: copy && user_refs < MOST_PIECES -> post_piece()
		:: copy_close()
		:: refill_flush()
		fi
	   fi;
	   leave(ifq_lock)
	od;
	atomic { leave(ifq_lock); requests_gone = true }
}

/* zcrx_ifq_unmap_unused(); everything that calls it is under RTNL. */
inline unmap_unused()
{
#ifdef UNMAPS_WITH_POOLS
	mapped = mapped && bound
#else
	mapped = mapped && (bound || nr_pools)
#endif
}

/* What was in descriptors returns, and the page pool is on its way. */
inline stop_queue(next)
{
	take(napi);
	atomic { p = queue_pool; queue_pool = next }
	if
	:: atomic { where == NIC && pool == p -> where = OUT }
	   chunk_put()
	:: else
	fi;
	atomic { nr_pools--; unmap_unused() }	/* zcrx_provider_stop() */
	atomic { destroyed[p] = true; p = 0; leave(napi) }
}

inline drop_users()
{
	do
	:: drop_user(last);
	   if
	   :: last -> last = false; chunk_put()
	   :: else -> break
	   fi
#ifdef DROPS_ONE_PIECE
	   ; break
#endif
	od
}

inline close_ifq()
{
#ifndef CLOSES_WITHOUT_LOCK
	take(ifq_lock);
#endif
	closed = true;
	take(refill_lock);
	refill_open = false;
	leave(refill_lock);
#ifndef COPY_STAYS_OPEN
	copy_close();
#endif
	drop_users();
#ifndef CLOSES_WITHOUT_LOCK
	leave(ifq_lock)
#endif
}

inline unbind_ifq()
{
	take(rtnl);
	if
	:: bound ->
		bound = false;
		if
		:: stop_queue(0)
		:: true			/* it failed: the page pool goes on */
		fi;
		unmap_unused()
	:: else
	fi;
	leave(rtnl)
}

/* The last user: the last ring's last file is closed, or that of an export. */
active proctype closer()
{
	byte p, old;
	bool last;

	close_ifq();			/* zcrx_ifq_put_user() */
	unbind_ifq();
	requests_gone;			/* io_zcrx_free() */
	ifq_put();
	gone
}

/* The queue may be restarted. At last the device is unregistered. */
active proctype admin()
{
	byte p, old;
	bool last;

	if
	:: take(rtnl);
	   if
	   :: bound ->
		nr_pools++;		/* zcrx_provider_init() */
#ifndef NO_REFERENCE_FOR_POOL
		refs++;
#endif
		stop_queue(2)
	   :: else
	   fi;
	   leave(rtnl)
	:: true
	fi;
	take(rtnl);
	if
	:: queue_pool -> stop_queue(0)
	:: else
	fi;
	bound = false;			/* zcrx_provider_uninstall() */
	unmap_unused();
	leave(rtnl)
}

/* page_pool_release(), until nothing is in flight */
proctype page_pool(byte me)
{
	byte old;

end:	destroyed[me];
	do
	:: hold[me] == 0 -> break
	:: atomic { where == POOL && pool == me -> where = OUT }
	   release()
	od;
	ifq_put()			/* zcrx_provider_destroy() */
}

init {
	atomic { run page_pool(1); run page_pool(2) }
}
