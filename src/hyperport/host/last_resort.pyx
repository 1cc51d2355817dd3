# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What must work where no Python runs any more: the terminal is given back, and the process ends.

A process may die where it is, by abort() of a library or a fault in compiled code, and compiled code may hold the
interpreter for ever, so that the watchdog's thread waits for it.

Death. So the mode to go back to is kept in C, and a handler of SIGABRT and of the faults sets
it; tcsetattr() and write() are async-signal-safe (signal-safety(7)). Then the signal is raised again, with what it did
before.

A held interpreter. A thread without Python waits for the deadline that the watchdog has set, a little after its own, and
looks whether a signal has been lying in the wake-up descriptor for a second, where Python takes it out at once.
"""

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <time.h>
    #include <string.h>
    #include <termios.h>
    #include <unistd.h>

    static const int hp_deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    #define HP_DEADLY (int) (sizeof(hp_deadly) / sizeof(hp_deadly[0]))
    static struct sigaction hp_before[HP_DEADLY];
    static struct termios hp_found;
    static char hp_farewell[64];
    static volatile sig_atomic_t hp_fd = -1, hp_armed, hp_said;

    static void hp_on_death(int number)
    {
        if (hp_armed) {
            hp_armed = 0;
            if (hp_said && write(hp_fd, hp_farewell, (size_t) hp_said) < 0)
                hp_said = 0;                        /* it has gone: nothing to be done about it */
            tcsetattr(hp_fd, TCSANOW, &hp_found);
        }
        for (int i = 0; i < HP_DEADLY; i++)
            if (hp_deadly[i] == number)
                sigaction(number, &hp_before[i], NULL);
        raise(number);                              /* delivered when this handler returns; a fault comes again anyway */
    }

    static int hp_arm(int fd, const char *farewell, int length)
    {
        struct sigaction mine;
        if (hp_armed || length > (int) sizeof(hp_farewell) || tcgetattr(fd, &hp_found))
            return -1;
        memcpy(hp_farewell, farewell, (size_t) length);
        hp_said = length;
        hp_fd = fd;
        hp_armed = 1;
        memset(&mine, 0, sizeof(mine));
        mine.sa_handler = hp_on_death;
        mine.sa_flags = SA_ONSTACK;
        for (int i = 0; i < HP_DEADLY; i++)
            sigaction(hp_deadly[i], &mine, &hp_before[i]);
        return 0;
    }

    static void hp_disarm(void)
    {
        struct sigaction present;
        if (!hp_armed)
            return;
        hp_armed = 0;
        for (int i = 0; i < HP_DEADLY; i++)         /* who came after us keeps what he has set */
            if (!sigaction(hp_deadly[i], NULL, &present) && present.sa_handler == hp_on_death)
                sigaction(hp_deadly[i], &hp_before[i], NULL);
    }

    #define HP_SIGNAL_NS 900000000LL
    #define HP_TICK_MS 50
    static long long hp_end_ns;                     /* CLOCK_MONOTONIC; 0: none */
    static int hp_end_status, hp_signals = -1;

    static long long hp_now(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
    }

    static void hp_end(int status)
    {
        static const char told[] = "hyperport: the machine does not stop: compiled code holds Python; "
                                   "left without its reports\\n";
        struct pollfd err = {.fd = 2, .events = POLLOUT};
        if (hp_armed) {
            hp_armed = 0;
            tcsetattr(hp_fd, TCSANOW, &hp_found);
        }
        if (poll(&err, 1, 100) > 0 && write(2, told, sizeof(told) - 1) < 0)
            _exit(status);                          /* nobody reads it: the status is all there is to tell */
        _exit(status);
    }

    static void *hp_watch(void *nothing)
    {
        long long lies_since = 0;
        for (;;) {
            struct pollfd waiting = {.fd = __atomic_load_n(&hp_signals, __ATOMIC_SEQ_CST), .events = POLLIN};
            long long now = hp_now(), end = __atomic_load_n(&hp_end_ns, __ATOMIC_SEQ_CST);
            unsigned char number;
            if (end && now >= end)
                hp_end(__atomic_load_n(&hp_end_status, __ATOMIC_SEQ_CST));
            if (waiting.fd >= 0 && poll(&waiting, 1, 0) > 0 && waiting.revents & POLLIN) {
                lies_since = lies_since ? lies_since : now;
                if (now - lies_since > HP_SIGNAL_NS && read(waiting.fd, &number, 1) == 1 && number)
                    hp_end(128 + number);
            } else {
                lies_since = 0;
            }
            poll(NULL, 0, HP_TICK_MS);
        }
        return nothing;
    }

    static int hp_begin(void)
    {
        static pthread_t thread;
        static int begun;
        sigset_t all, before;
        if (begun)
            return 0;
        sigfillset(&all);                           /* signals are for threads with Python */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int failed = pthread_create(&thread, NULL, hp_watch, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        begun = !failed;
        return failed;
    }

    static void hp_set_end(long long ns, int status)
    {
        __atomic_store_n(&hp_end_status, status, __ATOMIC_SEQ_CST);
        __atomic_store_n(&hp_end_ns, ns, __ATOMIC_SEQ_CST);
    }

    static void hp_set_signals(int fd) { __atomic_store_n(&hp_signals, fd, __ATOMIC_SEQ_CST); }
    """
    int hp_begin()
    void hp_set_end(long long ns, int status)
    void hp_set_signals(int fd)
    int hp_arm(int fd, const char *farewell, int length)
    void hp_disarm()


def arm(int fd, bytes farewell=b""):
    """Go back to the mode that the terminal at fd has now, after writing farewell, when the process dies."""
    return hp_arm(fd, farewell, <int> len(farewell)) == 0


def disarm():
    """The terminal has been given back."""
    hp_disarm()


def begin():
    """Start the thread without Python, once for the process. False where the host has no room for it."""
    return hp_begin() == 0


def end_at(seconds, int status=0):
    """Leave with status at that time of CLOCK_MONOTONIC, whatever Python does; None: not at all."""
    hp_set_end(0 if seconds is None else <long long> (min(seconds, 1e9) * 1e9), status)


def watch_signals(int fd):
    """Leave for a signal that lies at fd, the read end of signal.set_wakeup_fd(), and is not taken; -1 ends that."""
    hp_set_signals(fd)
