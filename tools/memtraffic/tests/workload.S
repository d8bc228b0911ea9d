/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A machine's whole firmware, 64 KiB at the top of the first MiB: goes to long
 * mode, runs one round of known work ROUNDS times, says so on the debug port
 * and halts. The counts of a round stand beside it as the absolute symbols
 * round_insn, round_load, round_store and, of the bytes loaded, round_marked; a
 * repeated string instruction is one instruction, whatever its count.
 */
	.set PML4, 0x1000
	.set PDPT, 0x2000
	.set PD, 0x3000
	.set STACK, 0x8000
	.set SRC, 0x10000
	.set DST, 0x20000
	.set MARKS, 0x30000		/* 64 of them, and zeros around */
	.set COPY, 0x40000

	.code16
start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	movl $PDPT + 3, PML4
	movl $PD + 3, PDPT
	movl $0x83, PD			/* the first 2 MiB, in one page */
	mov $PML4, %eax
	mov %eax, %cr3
	mov $0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx		/* EFER */
	xor %edx, %edx
	mov $0x100, %eax		/* LME */
	wrmsr
	lgdtl %cs:gdtr
	mov $0x80000001, %eax		/* PG, PE; EM stays off for SSE */
	mov %eax, %cr0
	ljmpl $8, $0xf0000 + long_mode

	.balign 8
gdt:	.quad 0, 0x00209a0000000000, 0x0000920000000000
gdtr:	.word gdtr - gdt - 1
	.long 0xf0000 + gdt

	.code64
long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $STACK, %esp
	cld
	mov $MARKS, %edi
	mov $16, %ecx
	mov $0xa9a0afa5, %eax
	rep stosl
	mov $ROUNDS, %ebp

	/* Instructions, bytes loaded and bytes stored so far in the round. */
	.set i, 0
	.set l, 0
	.set s, 0
	.macro op load, store, insn:vararg
	\insn
	.set i, i + 1
	.set l, l + \load
	.set s, s + \store
	.endm

	/* The same, where there are marks to load. */
	.set m, 0
	.macro mark marked, load, store, insn:vararg
	op \load, \store, \insn
	.set m, m + \marked
	.endm

round:
	op 0, 0, mov $SRC, %esi
	op 0, 0, mov $DST, %edi
	op 0, 0, mov $1000, %ecx
	op 1000, 1000, rep movsb
	op 0, 0, mov $100, %ecx
	op 800, 800, rep movsq
	op 0, 0, mov $100, %ecx
	op 400, 400, rep movsl
	op 0, 0, mov $77, %ecx
	op 0, 77, rep stosb
	op 0, 0, mov $33, %ecx
	op 0, 264, rep stosq
	op 8, 8, movsq
	op 1, 1, movsb
	op 4, 0, lodsl
	op 1, 0, mov SRC, %al
	op 2, 0, mov SRC, %ax
	op 4, 0, mov SRC, %eax
	op 8, 0, mov SRC, %rax
	op 0, 1, mov %al, DST
	op 0, 2, mov %ax, DST
	op 0, 4, mov %eax, DST
	op 0, 8, mov %rax, DST
	op 16, 0, movups SRC, %xmm0
	op 0, 16, movups %xmm0, DST
	op 0, 8, push %rax
	op 8, 0, pop %rax
	op 8, 8, add %rax, DST
	op 4, 4, lock xadd %eax, DST
	op 8, 8, xchg %rax, DST
	op 0, 8, call function
	op 0, 0, mov $MARKS, %esi
	op 0, 0, mov $COPY, %edi
	op 0, 0, mov $3, %ecx
	mark 24, 24, 24, rep movsq
	op 0, 0, mov $5, %ecx
	mark 5, 5, 5, rep movsb
	mark 4, 4, 4, movsl
	mark 0, 1, 0, mov MARKS, %al
	mark 0, 2, 0, mov MARKS, %ax
	mark 4, 4, 0, mov MARKS, %eax
	mark 8, 8, 0, mov MARKS + 3, %rax
	mark 0, 8, 0, mov MARKS - 1, %rax
	mark 16, 16, 0, movups MARKS + 48, %xmm0
	mark 0, 16, 0, movups MARKS + 49, %xmm0
	mark 0, 16, 0, movups MARKS - 1, %xmm0
	op 0, 0, dec %ebp
	op 0, 0, jnz round

	mov $'D', %al
	out %al, $0xe9
halted:	hlt
	jmp halted

function:
	op 8, 0, ret

	.globl round_insn, round_load, round_store, round_marked
	.set round_insn, i
	.set round_load, l
	.set round_store, s
	.set round_marked, m

	.org 0xfff0
	.code16
	ljmp $0xf000, $start
	.org 0x10000
