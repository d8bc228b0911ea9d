/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Multiboot: one interrupt of the APIC's timer, and sleep. With EOI, it is said to be
 * done before, as kernels do.
 */
	.set MAGIC, 0x1badb002
	.set VECTOR, 0x40

	.set APIC_EOI, 0xfee000b0
	.set APIC_SPURIOUS, 0xfee000f0
	.set APIC_TIMER, 0xfee00320
	.set APIC_TIMER_COUNT, 0xfee00380

	.align 4
	.long MAGIC, 0, -MAGIC

	.globl _start
_start:
	movl $stack, %esp
	lgdt gdt_at
	ljmp $8, $1f
1:	movl $16, %eax
	movl %eax, %ds
	movl %eax, %ss

	/* Nothing from the 8259 */
	movb $0xff, %al
	outb %al, $0x21
	outb %al, $0xa1

	/* The gate's words: address, code segment, type, address */
	movl $handler, %eax
	movw %ax, idt + VECTOR * 8
	movw $8, idt + VECTOR * 8 + 2
	movw $0x8e00, idt + VECTOR * 8 + 4
	shrl $16, %eax
	movw %ax, idt + VECTOR * 8 + 6
	lidt idt_at

	movl $0x1ff, APIC_SPURIOUS
	movl $VECTOR, APIC_TIMER
	movl $1000, APIC_TIMER_COUNT
1:	sti
	hlt
	jmp 1b

handler:
#ifdef EOI
	movl $0, APIC_EOI
#endif
	movb $'!', %al
	outb %al, $0xe9
1:	sti
	hlt
	jmp 1b

	.align 8
gdt:	.quad 0
	.quad 0x00cf9a000000ffff
	.quad 0x00cf92000000ffff
gdt_at:	.word gdt_at - gdt - 1
	.long gdt

idt_at:	.word 256 * 8 - 1
	.long idt

	.bss
	.align 8
idt:	.skip 256 * 8
	.skip 4096
stack:
