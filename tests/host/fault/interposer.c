// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A library that stands between a process and libc (LD_PRELOAD) and lets one call of one function fail. harness.py
 * builds and steers it. Nothing of it is in the product: compiled backends and Python's os module call libc anyway.
 *
 * fault_begin() starts to count the calls of each function of NAMES; fault_arm() also says that the nth call of one of
 * them, from 1 on, is to fail: with an errno, or short (half of what was asked for), or as the end (0). Calls of
 * descriptors below 3 are left alone. Allocations are counted only if they come from the product's own code, for
 * Python has its own answer to those that fail.
 *
 * Without a harness, a range of a file can be made unreadable: FAULT_FILE=/path and FAULT_RANGE=first-end, in bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SHORT = -1, END = -2 }; /* in place of an errno */

#define NAMES(X)                                                                                                      \
    X(open) X(read) X(write) X(pread) X(pwrite) X(readv) X(writev) X(fdatasync) X(fsync) X(lseek) X(ftruncate)        \
    X(flock) X(fstat) X(fcntl) X(close) X(link) X(unlink) X(rename) X(socket) X(connect) X(bind) X(listen) X(accept)  \
    X(send) X(sendmsg) X(recv) X(recvmsg) X(poll) X(ioctl) X(pipe) X(malloc) X(calloc) X(realloc)   \
    X(tcgetattr) X(tcsetattr) X(eventfd) X(socketpair)

#define INDEX(name) I_##name,
enum function { NAMES(INDEX) FUNCTIONS };
#define TEXT(name) #name,
static const char *const texts[FUNCTIONS] = {NAMES(TEXT)};

static atomic_long counts[FUNCTIONS];
static atomic_int counting;
static atomic_int armed = -1;
static atomic_long victim;
static atomic_int how;
static atomic_int hits;

static int index_of(const char *name)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (strcmp(texts[i], name) == 0)
            return i;
    return -1;
}

void fault_begin(void)
{
    for (int i = 0; i < FUNCTIONS; i++)
        counts[i] = 0;
    hits = 0;
    armed = -1;
    counting = 1;
}

int fault_arm(const char *name, long nth, int kind)
{
    int i = index_of(name);
    if (i < 0)
        return -1;
    fault_begin();
    victim = nth;
    how = kind;
    armed = i;
    return 0;
}

/* Stop; how many calls have failed. */
int fault_end(void)
{
    counting = 0;
    armed = -1;
    return hits;
}

long fault_count(const char *name)
{
    int i = index_of(name);
    return i < 0 ? -1 : counts[i];
}

const char *fault_name(int i)
{
    return i >= 0 && i < FUNCTIONS ? texts[i] : NULL;
}

/* 0: go on; else an errno, SHORT or END. */
static int fault(enum function i)
{
    if (!counting)
        return 0;
    long n = ++counts[i];
    if (armed != (int) i || n != victim)
        return 0;
    hits++;
    return how;
}

#define REAL(type, name, ...)                                                                                         \
    static type (*real)(__VA_ARGS__);                                                                                 \
    if (!real)                                                                                                        \
        real = (type(*)(__VA_ARGS__)) dlsym(RTLD_NEXT, name)

static int bad_range(int fd, off64_t offset, size_t size)
{
    static int known;
    static const char *file;
    static long long first, end;
    char link[32], path[PATH_MAX];
    if (!known) {
        const char *range = getenv("FAULT_RANGE");
        file = getenv("FAULT_FILE");
        if (file && (!range || sscanf(range, "%lld-%lld", &first, &end) != 2))
            abort();
        known = 1;
    }
    if (!file || offset >= end || offset + (off64_t) size <= first)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strcmp(path, file) == 0;
}

/* Functions that take a size and move bytes. */
#define MOVER(function, name, buffer, symbol, extra, pass)                                                            \
    ssize_t symbol(int fd, buffer data, size_t size extra);                                                           \
    ssize_t symbol(int fd, buffer data, size_t size extra)                                                            \
    {                                                                                                                 \
        REAL(ssize_t, #symbol, int, buffer, size_t extra);                                                            \
        int kind = fd < 3 ? 0 : fault(I_##function);                                                                  \
        if (kind > 0) {                                                                                               \
            errno = kind;                                                                                             \
            return -1;                                                                                                \
        }                                                                                                             \
        if (kind == END)                                                                                              \
            return 0;                                                                                                 \
        if (kind == SHORT && size > 1)                                                                                \
            size /= 2;                                                                                                \
        name;                                                                                                         \
        return real(fd, data, size pass);                                                                             \
    }
#define COMMA ,
#define CHECK_RANGE                                                                                                   \
    if (bad_range(fd, offset, size)) {                                                                                \
        errno = EIO;                                                                                                  \
        return -1;                                                                                                    \
    }

MOVER(read, (void) 0, void *, read, , )
MOVER(write, (void) 0, const void *, write, , )
MOVER(pread, CHECK_RANGE, void *, pread, COMMA off_t offset, COMMA offset)
MOVER(pread, CHECK_RANGE, void *, pread64, COMMA off64_t offset, COMMA offset)
MOVER(pwrite, (void) 0, const void *, pwrite, COMMA off_t offset, COMMA offset)
MOVER(pwrite, (void) 0, const void *, pwrite64, COMMA off64_t offset, COMMA offset)
MOVER(send, (void) 0, const void *, send, COMMA int flags, COMMA flags)
MOVER(recv, (void) 0, void *, recv, COMMA int flags, COMMA flags)

/* What a compiler that checks buffers calls instead: the same, with the buffer's size at the end. */
ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
    if (size > room)
        abort();
    return read(fd, data, size);
}

ssize_t __pread64_chk(int fd, void *data, size_t size, off64_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t size, off64_t offset, size_t room)
{
    if (size > room)
        abort();
    return pread64(fd, data, size, offset);
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
    if (size > room)
        abort();
    return recv(fd, data, size, flags);
}

/* All others fail or are done. condition: calls that are left alone. */
#define CALL(type, function, symbol, condition, parameters, ...)                                                      \
    type symbol parameters;                                                                                           \
    type symbol parameters                                                                                            \
    {                                                                                                                 \
        static type(*real) parameters;                                                                                \
        if (!real)                                                                                                    \
            real = (type(*) parameters) dlsym(RTLD_NEXT, #symbol);                                                    \
        int kind = (condition) ? 0 : fault(I_##function);                                                             \
        if (kind > 0) {                                                                                               \
            errno = kind;                                                                                             \
            return (type) -1;                                                                                         \
        }                                                                                                             \
        return real(__VA_ARGS__);                                                                                     \
    }

CALL(ssize_t, readv, readv, fd < 3, (int fd, const struct iovec *parts, int count), fd, parts, count)
CALL(ssize_t, writev, writev, fd < 3, (int fd, const struct iovec *parts, int count), fd, parts, count)
CALL(ssize_t, sendmsg, sendmsg, 0, (int fd, const struct msghdr *message, int flags), fd, message, flags)
CALL(ssize_t, recvmsg, recvmsg, 0, (int fd, struct msghdr *message, int flags), fd, message, flags)
CALL(int, fdatasync, fdatasync, 0, (int fd), fd)
CALL(int, fsync, fsync, 0, (int fd), fd)
CALL(off_t, lseek, lseek, fd < 3, (int fd, off_t offset, int whence), fd, offset, whence)
CALL(off64_t, lseek, lseek64, fd < 3, (int fd, off64_t offset, int whence), fd, offset, whence)
CALL(int, ftruncate, ftruncate, 0, (int fd, off_t size), fd, size)
CALL(int, ftruncate, ftruncate64, 0, (int fd, off64_t size), fd, size)
CALL(int, flock, flock, 0, (int fd, int operation), fd, operation)
struct stat;
struct stat64;
CALL(int, fstat, fstat, fd < 3, (int fd, struct stat *to), fd, to)
CALL(int, fstat, fstat64, fd < 3, (int fd, struct stat64 *to), fd, to)
CALL(int, link, link, 0, (const char *from, const char *to), from, to)
CALL(int, link, linkat, 0, (int a, const char *from, int b, const char *to, int flags), a, from, b, to, flags)
CALL(int, unlink, unlink, 0, (const char *path), path)
CALL(int, rename, rename, 0, (const char *from, const char *to), from, to)
CALL(int, socket, socket, 0, (int domain, int type, int protocol), domain, type, protocol)
CALL(int, connect, connect, 0, (int fd, const struct sockaddr *to, socklen_t size), fd, to, size)
CALL(int, bind, bind, 0, (int fd, const struct sockaddr *to, socklen_t size), fd, to, size)
CALL(int, listen, listen, 0, (int fd, int backlog), fd, backlog)
CALL(int, accept, accept, 0, (int fd, struct sockaddr *from, socklen_t *size), fd, from, size)
CALL(int, accept, accept4, 0, (int fd, struct sockaddr *from, socklen_t *size, int flags), fd, from, size, flags)
CALL(int, poll, poll, 0, (struct pollfd *set, nfds_t count, int timeout), set, count, timeout)
struct termios;
CALL(int, tcgetattr, tcgetattr, 0, (int fd, struct termios *mode), fd, mode)
CALL(int, tcsetattr, tcsetattr, 0, (int fd, int when, const struct termios *mode), fd, when, mode)
CALL(int, eventfd, eventfd, 0, (unsigned value, int flags), value, flags)
CALL(int, socketpair, socketpair, 0, (int domain, int type, int protocol, int ends[2]), domain, type, protocol, ends)
CALL(int, pipe, pipe, 0, (int ends[2]), ends)
CALL(int, pipe, pipe2, 0, (int ends[2], int flags), ends, flags)

/* close() gives the descriptor back whatever it answers, as Linux does. */
int close(int fd)
{
    REAL(int, "close", int);
    int kind = fd < 3 ? 0 : fault(I_close);
    int done = real(fd);
    if (kind > 0) {
        errno = kind;
        return -1;
    }
    return done;
}

#define OPENER(symbol, parameters, ...)                                                                               \
    int symbol parameters;                                                                                            \
    int symbol parameters                                                                                             \
    {                                                                                                                 \
        static int(*real) parameters;                                                                                 \
        if (!real)                                                                                                    \
            real = (int(*) parameters) dlsym(RTLD_NEXT, #symbol);                                                     \
        int kind = fault(I_open);                                                                                     \
        if (kind > 0) {                                                                                               \
            errno = kind;                                                                                             \
            return -1;                                                                                                \
        }                                                                                                             \
        mode_t mode = 0;                                                                                              \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                          \
            va_list list;                                                                                             \
            va_start(list, flags);                                                                                    \
            mode = va_arg(list, mode_t);                                                                              \
            va_end(list);                                                                                             \
        }                                                                                                             \
        return real(__VA_ARGS__, mode);                                                                               \
    }

OPENER(open, (const char *path, int flags, ...), path, flags)
OPENER(open64, (const char *path, int flags, ...), path, flags)
OPENER(openat, (int folder, const char *path, int flags, ...), folder, path, flags)
OPENER(openat64, (int folder, const char *path, int flags, ...), folder, path, flags)

#define CONTROLLER(function, symbol, type)                                                                            \
    int symbol(int fd, type request, ...);                                                                            \
    int symbol(int fd, type request, ...)                                                                             \
    {                                                                                                                 \
        REAL(int, #symbol, int, type, ...);                                                                           \
        va_list list;                                                                                                 \
        va_start(list, request);                                                                                      \
        void *argument = va_arg(list, void *);                                                                        \
        va_end(list);                                                                                                 \
        int kind = fd < 3 ? 0 : fault(I_##function);                                                                  \
        if (kind > 0) {                                                                                               \
            errno = kind;                                                                                             \
            return -1;                                                                                                \
        }                                                                                                             \
        return real(fd, request, argument);                                                                           \
    }

CONTROLLER(fcntl, fcntl, int)
CONTROLLER(fcntl, fcntl64, int)
CONTROLLER(ioctl, ioctl, unsigned long)

/* Allocations of the product's own code. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static int refuses(enum function i, void *caller)
{
    Dl_info info;
    if (!counting || !dladdr(caller, &info) || !info.dli_fname || !strstr(info.dli_fname, "/hyperport/"))
        return 0;
    return fault(i) > 0;
}

#define ALLOCATOR(symbol, parameters, ...)                                                                            \
    void *symbol parameters                                                                                           \
    {                                                                                                                 \
        if (refuses(I_##symbol, __builtin_return_address(0))) {                                                       \
            errno = ENOMEM;                                                                                           \
            return NULL;                                                                                              \
        }                                                                                                             \
        return __libc_##symbol(__VA_ARGS__);                                                                          \
    }

ALLOCATOR(malloc, (size_t size), size)
ALLOCATOR(calloc, (size_t count, size_t size), count, size)
ALLOCATOR(realloc, (void *old, size_t size), old, size)
