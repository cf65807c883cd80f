/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One page of a guest while it is migrated, at the granularity at which the
 * filter can go wrong: each step below is one that another can come between.
 *
 * Bits of a bitmap are independent, and whatever works on words does so
 * atomically, so one page stands for all.  Memory is sequentially consistent
 * here; the barriers for weaker machines are argued in
 * Documentation/virt/kvm/free-page-filter.rst.
 *
 * The file configurations lists what is switched on together; "check --trace" prints
 * the comments that begin with > of the lines that a run comes by.
 *
 *   VCPUS, ROUNDS	how many vCPUs write, how many rounds before the last
 *   IN_VMM		the VMM filters and drops (QEMU); else it is unaware
 *   ASK_AGAIN		the VMM asks for another report of an epoch, once
 *   OUTSIDE_AGENT	another process filters
 *   AUTO_CLEAR		GET clears and protects; else CLEAR does, when a page is sent
 *   PML		the CPU logs writes, pages are never write-protected.  The log is
 *		emptied some time after the exit: a kick waits for nobody, and an IPI
 *		that flushes the TLB leaves the log to the exit that it causes.
 *   DEVICE		a device of the VMM's writes, and logs that in the VMM
 *   OTHER_READER	somebody else in the VMM reads the log once
 *   RELOG		the memslot's logging is switched off and on once
 *   POSTCOPY		the guest goes on at the destination before all is sent; its
 *		pages that are missing there are asked for
 *   WITHOUT_...	a rule is left out
 *   REACH_...		fails if the good state is reached: it must be
 */
#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef AGENT_ROUNDS
#define AGENT_ROUNDS 1
#endif

/* The guest's page: given out by the allocator, written since, on the destination. */
bool used, live, synced;
/* A device has been told to write it. */
bool dma;

/*
 * The SPTE, its copies in TLBs, and with PML its dirty bit, the CPU's log, and
 * whether the CPU has left the guest with something in it.
 */
bool writable = true;
bool tlb[VCPUS];
bool spte_dirty, tlb_dirty[VCPUS], pml[VCPUS], exited[VCPUS];

/* KVM: dirty log, touched bitmap, stamp, the VM's epoch; a counter. */
bool D = true, T;
byte stamp, vm_epoch, last_epoch;
bool slots_lock, mmu_write;
byte mmu_readers;
/* Read sections of kvm->srcu: whether one is open, and whether ARM waits for it. */
bool in_srcu[VCPUS], waited_for[VCPUS];

/* The VMM: KVMSlot.dirty_bmap, ram_list.dirty_memory, RAMBlock.bmap. */
bool S, R, B;
bool kml_lock, bitmap_lock, fpf_lock;
byte fpf_epoch;
bool stopping, done;
byte vcpus_out;

#ifdef POSTCOPY
/*
 * The destination has a copy; a vCPU there waits for one and has asked for it.
 * RAMBlock.dropped at the source: what was dropped, and not dirty or sent since.
 */
bool present, requested, in_dropped;
bool switched, postcopy_over, zeros_sent;
#endif

/* Whether each good state was seen. */
bool dropped, dropped_then_reused, dropped_again, filtered_outside;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

inline write_page()
{
	live = true;			/*> writes the page */
	synced = false;
	if
	:: dropped -> dropped_then_reused = true
	:: else
	fi
}

/* mark_page_dirty_in_slot() */
inline mark_dirty()
{
#ifdef WITHOUT_ORDER_OF_T_AND_D
	D = true;			/*> sets the bit in D */
	T = true;			/*> sets the bit in T */
#else
	T = true;			/*> sets the bit in T */
	D = true;			/*> sets the bit in D */
#endif
}

/* srcu_read_unlock() of kvm->srcu */
inline end_section(v)
{
	atomic { in_srcu[v] = false; waited_for[v] = false }
}

#ifdef PML
/* vmx_flush_pml_buffer(): x86 has taken kvm->srcu again before it handles an exit. */
inline flush_pml(v)
{
#ifndef WITHOUT_SRCU_AT_MARKS
	in_srcu[v] = true;
#endif
	mark_dirty();
	atomic { pml[v] = false; exited[v] = false };
	end_section(v)
}
#endif

/* kvm_flush_remote_tlbs(): each CPU leaves the guest. */
inline flush_tlbs()
{
	byte f;
	for (f : 0 .. VCPUS - 1) {
		atomic {
			tlb[f] = false;	/*> flushes a TLB */
#ifdef PML
			tlb_dirty[f] = false;
			exited[f] = pml[f]
#endif
		}
	}
}

/*
 * kvm_arch_sync_dirty_log() kicks the vCPUs and does not wait for them: each
 * empties its log when it comes to it, which vcpu() can do at any time anyway.
 */
inline sync_dirty_log()
{
	skip
}

inline protect()
{
#ifdef PML
	spte_dirty = false		/*> protects the page: writes are logged again */
#else
	writable = false		/*> protects the page */
#endif
}

/* What a vCPU does when it meets a page that is write-protected. */
inline fault(v)
{
	in_srcu[v] = true;
	if
	:: /* fast_page_fault(), without a lock */
		writable = true;	/*> fault: makes the page writable */
		mark_dirty()
	:: /* make_spte() marks, the SPTE follows */
		atomic { !mmu_write -> mmu_readers++ }
		mark_dirty();
		writable = true;	/*> fault: makes the page writable */
		mmu_readers--
	fi;
	end_section(v)
}

proctype vcpu(byte v)
{
	do
	:: stopping -> break
	/* The guest's allocator */
	:: !stopping && !used ->
		used = true		/*> allocates the page */
	:: atomic { !stopping && used && !dma ->
		used = false;		/*> frees the page */
		live = false
	   }
	/* A write to a page that one has */
	:: atomic { !stopping && used && !exited[v] && tlb[v] ->
		write_page();
#ifdef PML
		if
		:: !tlb_dirty[v] -> tlb_dirty[v] = true; spte_dirty = true; pml[v] = true
		:: else
		fi
#endif
	   }
	:: atomic { !stopping && used && !exited[v] && !tlb[v] && writable ->
		tlb[v] = true;		/*> caches the writable translation */
#ifdef PML
		tlb_dirty[v] = spte_dirty
#endif
	   }
#ifdef PML
	:: !stopping && pml[v] -> flush_pml(v)
#endif
	:: !stopping && used && !tlb[v] && !writable -> fault(v)
	od;
#ifdef PML
	/* The last exit is handled before the vCPU counts as stopped. */
	if
	:: pml[v] -> flush_pml(v)
	:: else
	fi;
#endif
	vcpus_out++
}

#ifdef DEVICE
/* The VMM marks a page when it has written it. */
proctype device()
{
	do
	:: stopping -> break
	:: atomic { !stopping && used && !dma -> dma = true }
		atomic {
			live = true;	/*> writes the page */
			synced = false
		}
		R = true;		/*> marks the page in the VMM's own log */
		dma = false
	od
}
#endif

/* KVM_FPR_ARM; @epoch: what it returns */
inline arm(epoch)
{
	LOCK(slots_lock);
	last_epoch++;			/*> ARM begins */
	epoch = last_epoch;
	vm_epoch = 0;
	sync_dirty_log();
	T = false;			/*> ARM zeroes T */
	stamp = epoch;
#ifndef WITHOUT_DRAIN
	drain();
#endif
	/* Under the read side of mmu_lock */
	atomic { !mmu_write -> mmu_readers++ }
	if
#ifdef PROTECT_ALL
	:: true -> protect()
#else
	:: atomic { D && !T -> protect() }
	:: else
#endif
	fi;
	mmu_readers--;
#ifndef WITHOUT_TLB_FLUSH
	flush_tlbs();
#endif
	vm_epoch = epoch;		/*> ARM returns */
	UNLOCK(slots_lock)
}

/* synchronize_srcu(): sections that are open now end */
inline drain()
{
	byte d;
	for (d : 0 .. VCPUS - 1) {
		waited_for[d] = in_srcu[d];
		!waited_for[d]		/*> ARM has waited for fault handlers */
	}
}

/* KVM_FPR_SET_BITMAP with a report that names the page */
inline set_bitmap(epoch, confirmed)
{
	confirmed = false;
#ifdef WITHOUT_SLOTS_LOCK
	skip;
#else
	LOCK(slots_lock);
#endif
	if
#ifdef WITHOUT_EPOCH_CHECK
	:: !T ->
#elif defined(WITHOUT_STAMP)
	:: epoch == vm_epoch && !T ->
#else
	:: epoch == vm_epoch && epoch == stamp && !T ->
#endif
		if
		:: !D -> confirmed = true	/*> SET confirms the page, which is not in D */
		:: else ->
			D = false;	/*> SET clears the bit in D */
#ifdef WITHOUT_SECOND_LOOK
			confirmed = true	/*> SET confirms the page */
#else
			if
			:: T -> D = true		/*> SET puts the bit in D back */
			:: else -> confirmed = true	/*> SET confirms the page */
			fi
#endif
		fi
	:: else
	fi;
#ifndef WITHOUT_SLOTS_LOCK
	UNLOCK(slots_lock)
#endif
}

/* The guest's reporter, asked after ARM: was the page free at this instant? */
inline report(free)
{
	free = !used			/*> the guest looks whether the page is free */
}

/* KVM_GET_DIRTY_LOG into KVMSlot.dirty_bmap, from there into ram_list.dirty_memory */
inline get()
{
	LOCK(kml_lock);
	LOCK(slots_lock);
	sync_dirty_log();
#ifdef AUTO_CLEAR
	bool log;
	atomic { !mmu_write && !mmu_readers -> mmu_write = true }
	atomic {
		log = D;		/*> GET reads D and clears it */
		D = false
	}
	if
	:: log -> protect(); mmu_write = false; flush_tlbs(); R = true
	:: else -> mmu_write = false
	fi;
#else
	S = D;				/*> GET reads D */
	if
	:: S -> R = true
	:: else
	fi;
#endif
	UNLOCK(slots_lock);
	UNLOCK(kml_lock)
}

/* KVM_CLEAR_DIRTY_LOG of what dirty_bmap names */
inline clear()
{
	LOCK(kml_lock);
	if
	:: S ->
		LOCK(slots_lock);
		atomic { !mmu_write && !mmu_readers -> mmu_write = true }
		if
		:: D ->
			D = false;	/*> CLEAR clears the bit in D */
			protect();
			mmu_write = false;
			flush_tlbs()
		:: else -> mmu_write = false
		fi;
		UNLOCK(slots_lock);
		S = false
	:: else
	fi;
	UNLOCK(kml_lock)
}

/*
 * Sends the page if it is pending: first the log, then the copy.  The log is
 * cleared for a whole chunk of pages when the first of them is sent, which may
 * be another one.
 */
inline send()
{
	LOCK(bitmap_lock);
#ifndef AUTO_CLEAR
	if
	:: B -> clear()
	:: !B -> clear()
	:: !B
	fi;
#endif
	if
	:: B ->
		B = false;
#ifdef POSTCOPY
		present = true;
		in_dropped = false;
#endif
		synced = true		/*> sends the page */
	:: else
	fi;
	UNLOCK(bitmap_lock)
}

inline end_epoch()
{
	LOCK(fpf_lock);
	fpf_epoch = 0;
	UNLOCK(fpf_lock)
}

inline sync_bitmap()
{
#if defined(IN_VMM) && !defined(WITHOUT_DISCARD)
	end_epoch();
#endif
	get();
	LOCK(bitmap_lock);
	atomic {
		B = B || R;		/*> merges the logs into what is to be sent */
#if defined(POSTCOPY) && !defined(WITHOUT_LEAVING_DROPPED)
		in_dropped = in_dropped && !B;
#endif
		R = false
	};
	UNLOCK(bitmap_lock)
}

#ifdef IN_VMM
/* The epoch whose report is on its way, and what it says; the device's thread has both. */
byte report_epoch;
bool report_asked;
/* It is not the first one of its epoch. */
bool asked_again;
#ifdef WITHOUT_ORDER_OF_REPORT
bool early_report;
#endif

proctype filter()
{
	bool free, confirmed;
	byte epoch;

end:	do
	:: done -> break
	:: report_asked ->
		atomic { report_asked = false; epoch = report_epoch }
#ifndef WITHOUT_ORDER_OF_REPORT
		report(free);
#else
		free = early_report;
#endif
		LOCK(fpf_lock);
		if
		:: free && epoch == fpf_epoch ->
#ifndef WITHOUT_BITMAP_LOCK
			LOCK(bitmap_lock);
#endif
#ifndef WITHOUT_KML_LOCK
			LOCK(kml_lock);
#endif
			set_bitmap(epoch, confirmed);
			if
			:: confirmed ->
#ifndef WITHOUT_FORGETTING_S
				S = false;	/*> takes the page out of dirty_bmap */
#endif
				atomic {
					if
					:: B -> dropped = true; dropped_again = asked_again
#ifdef POSTCOPY
						in_dropped = true
#endif
					:: else
					fi;
					B = false	/*> takes the page out of what is to be sent */
				}
			:: else
			fi;
#ifndef WITHOUT_KML_LOCK
			UNLOCK(kml_lock);
#endif
#ifndef WITHOUT_BITMAP_LOCK
			UNLOCK(bitmap_lock);
#endif
		:: else
		fi;
		UNLOCK(fpf_lock)
	od
}
#endif

#ifdef ASK_AGAIN
/* The timer of the VMM's main loop */
proctype timer()
{
	LOCK(fpf_lock);
	atomic {
		if
		:: fpf_epoch && !report_asked ->
			report_epoch = fpf_epoch;
			asked_again = true;
			report_asked = true	/*> asks again in the epoch */
		:: else
		fi
	};
	UNLOCK(fpf_lock)
}
#endif

#ifdef OUTSIDE_AGENT
proctype agent()
{
	bool free, confirmed;
	byte epoch, rounds;

end:	do
	:: done -> break
	:: rounds < AGENT_ROUNDS ->
		rounds++;
		arm(epoch);
		report(free);
		if
		:: free ->
			set_bitmap(epoch, confirmed);
			if
			:: confirmed -> filtered_outside = true
			:: else
			fi
		:: else
		fi
	od
}
#endif

#ifdef OTHER_READER
/* Somebody else in the VMM who reads the log, such as a display */
proctype other_reader()
{
	get()
}
#endif

#ifdef RELOG
/* KVM_SET_USER_MEMORY_REGION: pages stay writable, the log begins all set, T all clear. */
proctype relog()
{
	LOCK(slots_lock);
	atomic {
		stamp = 0;		/*> logging begins again, with D all set */
		T = false;
		D = true
	}
	UNLOCK(slots_lock)
}
#endif

#ifdef POSTCOPY
/* The destination puts a page in its place, in which there must not be one yet. */
inline place()
{
	atomic {
		assert(!present);	/*> the page comes */
		present = true
	}
}

/* The source's guest stands still; the destination's runs. */
inline postcopy()
{
	/* What is dirty has no use there, in whatever copy. */
	present = present && !B;
	switched = true;		/*> switches to postcopy */
	do
	:: requested ->
		requested = false;
		if
		:: B ->
			atomic { B = false; in_dropped = false };
			synced = true;	/*> sends the page that was asked for */
			place()
#ifndef WITHOUT_ZEROS
		:: !B && in_dropped ->
			in_dropped = false;
			zeros_sent = true;	/*> sends zeros */
			place()
		:: !B && !in_dropped ->
#else
		:: !B ->
#endif
			/* It was sent before, and asked for before it came. */
			assert(present)	/*> does not answer: a vCPU waits for nothing */
		fi
	:: !requested && B ->
		atomic {
			B = false;
#ifndef WITHOUT_LEAVING_DROPPED
			in_dropped = false
#endif
		}
		synced = true;		/*> sends the page unasked */
		place()
	:: !requested && !B -> break
	od;
	/* What has never come reads as zero from now on. */
	postcopy_over = true
}

proctype destination()
{
end:	switched;
	if
	:: true				/* The guest does not touch the page. */
	:: true ->
		if
		:: atomic { !present && !postcopy_over ->
			requested = true	/*> touches the page and asks for it */
		   }
			present || postcopy_over
		:: present || postcopy_over
		fi;
		assert(!live || synced)		/*> reads what was not written last */
	fi
}
#endif

/* The migration's thread */
proctype migration()
{
	byte round, epoch;

	sync_bitmap();
	for (round : 1 .. ROUNDS) {
#ifdef IN_VMM
#ifdef WITHOUT_ORDER_OF_REPORT
		report(early_report);
#endif
		arm(epoch);
		LOCK(fpf_lock);
		fpf_epoch = epoch;
		UNLOCK(fpf_lock);
		atomic { report_epoch = epoch; asked_again = false; report_asked = true }
#endif
		send();
		sync_bitmap()
	}

	stopping = true;		/*> stops the guest */
	/* vCPUs leave the guest, and their buffers are emptied; devices are drained. */
	vcpus_out == VCPUS && !dma;
	sync_bitmap();
#ifdef POSTCOPY
	postcopy();
#else
	send();
#endif
	done = true;

	/* What this is all about */
	assert(!live || synced);	/*> is done: what was written last is not there */

#ifdef REACH_DROPPED
	assert(!dropped);
#endif
#ifdef REACH_REUSED
	assert(!(dropped_then_reused && live && synced));
#endif
#ifdef REACH_DROPPED_AGAIN
	assert(!dropped_again);
#endif
#ifdef REACH_FILTERED_OUTSIDE
	assert(!filtered_outside);
#endif
#ifdef REACH_ZEROS
	assert(!zeros_sent);
#endif
}

init {
	byte v;

	atomic {
		for (v : 0 .. VCPUS - 1) {
			run vcpu(v);
		}
		run migration();
#ifdef IN_VMM
		run filter();
#endif
#ifdef POSTCOPY
		run destination();
#endif
#ifdef ASK_AGAIN
		run timer();
#endif
#ifdef OUTSIDE_AGENT
		run agent();
#endif
#ifdef DEVICE
		run device();
#endif
#ifdef OTHER_READER
		run other_reader();
#endif
#ifdef RELOG
		run relog();
#endif
	}
}
