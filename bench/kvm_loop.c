/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The least that can be around KVM_RUN: what one exit for a port write costs on this host, without a VMM.
 *
 *   kvm_loop COUNT CODE...   runs CODE (bytes in hexadecimal) in flat protected mode with COUNT in ECX, to its HLT;
 *                            every port access is ignored. Prints the exits and the ns they took. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define RAM_SIZE (1u << 20)
#define CODE_AT 0x1000u

static int check(int result, const char *doing)
{
    if (result < 0) {
        perror(doing);
        exit(1);
    }
    return result;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
    struct kvm_segment segment = {.limit = 0xFFFFFFFF, .selector = selector, .type = type, .present = 1,
                                  .db = 1, .s = 1, .g = 1};
    return segment;
}

int main(int count, char **words)
{
    struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
    struct kvm_sregs sregs;
    uint64_t exits = 0;

    if (count < 3) {
        fprintf(stderr, "usage: kvm_loop COUNT BYTE...\n");
        return 2;
    }
    uint8_t *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 2; i < count; i++)
        ram[CODE_AT + (unsigned)i - 2] = (uint8_t)strtoul(words[i], NULL, 16);
    regs.rcx = strtoul(words[1], NULL, 10);

    int system = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    int vm = check(ioctl(system, KVM_CREATE_VM, 0), "a virtual machine");
    struct kvm_userspace_memory_region region = {.memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram};
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "memory");
    int vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "a vCPU");
    size_t shared = (size_t)check(ioctl(system, KVM_GET_VCPU_MMAP_SIZE, 0), "the shared page");
    struct kvm_run *run = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "registers");
    sregs.cr0 |= 1;
    sregs.cs = flat(0x10, 11);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat(0x18, 3);
    check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "registers");
    check(ioctl(vcpu, KVM_SET_REGS, &regs), "registers");

    uint64_t began = now_ns();
    do {
        check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
        exits++;
    } while (run->exit_reason == KVM_EXIT_IO);
    uint64_t took = now_ns() - began;
    if (run->exit_reason != KVM_EXIT_HLT) {
        fprintf(stderr, "kvm_loop: exit %u\n", run->exit_reason);
        return 1;
    }
    printf("%llu %llu\n", (unsigned long long)exits, (unsigned long long)took);
    return 0;
}
