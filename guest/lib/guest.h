/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything a guest program gets from guest/lib besides io.h, cpu.h and segments.h. */
#ifndef HYPERPORT_GUEST_GUEST_H
#define HYPERPORT_GUEST_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* start.c: the program itself. command_line is never null; its first word may be the name of the image. */
int main(const char *command_line);
/* Ends the virtual machine through the debug-exit port: the VMM exits with status (value << 1) | 1. */
__attribute__((noreturn)) void guest_exit(int value);
/* The loader's module of this number and its size in bytes, or null. */
const void *module_find(uint32_t index, size_t *size);
/* Is this word on the command line? */
bool option_given(const char *command_line, const char *word);
/* The decimal number after "NAME=" on the command line, else otherwise. */
uint32_t option_number(const char *command_line, const char *name, uint32_t otherwise);
/* The word that follows the given one, or null. It ends at a space or at the end. */
const char *option_after(const char *command_line, const char *word);
uint32_t number_parse(const char *text);

/* string.c: what the compiler calls, and no more. */
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);

/* serial.c: COM1, polled, 115200 8N1. */
#define COM1 0x3F8
enum uart_register {
    UART_DATA = 0,
    UART_IER = 1,
    UART_IIR = 2, /* read */
    UART_FCR = 2, /* write */
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
};
#define UART_IER_RECEIVE 0x01
#define UART_IER_TRANSMIT 0x02
#define UART_LSR_READY 0x01
#define UART_LSR_OVERRUN 0x02
#define UART_LSR_THRE 0x20
#define UART_LSR_TEMT 0x40
void serial_init(void);
void serial_put(uint8_t byte);
/* Waits until the last byte has left the shift register. */
void serial_flush(void);

/* print.c: %s %c %d %u %x with a width and zero padding, to COM1; a newline goes out as CR LF. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
/* In decimal; below 2^32 billions. */
void print_long(uint64_t value);

/* pic.c: IRQ 0-15 at vectors 0x20-0x2F, all masked. */
#define IRQ_BASE 0x20
#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xA0
#define PIC2_DATA 0xA1
void pic_init(void);
void pic_unmask(unsigned irq);
void pic_mask(unsigned irq);
/* False for a spurious IRQ 7 or 15, which is then already dealt with. */
bool pic_in_service(unsigned irq);
void pic_end(unsigned irq);

/* pit.c */
#define PIT_HZ 1193182u
void pit_periodic(uint32_t hz);
/* Busy waits on channel 2 (its OUT shows in port 0x61), without interrupts. At most 54,925 us. */
void pit_wait_us(uint32_t us);
uint32_t tsc_khz(void);

/* interrupt.c */
struct frame {
    uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
    uint32_t gs, fs, es, ds;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
    uint32_t esp, ss; /* only when the interrupted code was not at CPL 0 */
};
typedef void (*handler_t)(struct frame *frame);
enum vector {
    VECTOR_DB = 1,
    VECTOR_DF = 8,
    VECTOR_NP = 11,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
};
void interrupt_init(void);
/* A C handler for a vector; one that nobody handles is reported and ends the guest with value 127. */
void interrupt_handle(unsigned vector, handler_t handler);
/* An IRQ's handler, which need not end the interrupt, and the line's unmasking. */
void irq_handle(unsigned irq, handler_t handler);
/* The lowest privilege that may call this vector by INT n. */
void interrupt_allow(unsigned vector, unsigned dpl);
/* Whether the vector's gate is marked present. */
void interrupt_present(unsigned vector, bool present);
/* A gate straight to assembly code that ends in IRET. */
void interrupt_entry(unsigned vector, void (*entry)(void), unsigned dpl);

#endif
