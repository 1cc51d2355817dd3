# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""One watcher thread per machine: waits for the clock's alarm, for host file descriptors and for signals,
and raises the vCPU's attention. It never touches a device.

While guest code runs without the GIL, nobody else could notice Ctrl-C: Python's C-level signal handler writes to
the wake-up descriptor of signal.set_wakeup_fd(), which is watched here and ends the run (StopKind.SIGNAL), so that
the Python-level handler gets its turn on the main thread.
"""


import signal
import socket
import threading

from libc.stdint cimport uint64_t
from posix.unistd cimport close, read, write

from hyperport.time.clock cimport Clock, RealClock, host_ns, hp_alarm_close, hp_alarm_open, hp_alarm_set, hp_alarm_take
from hyperport.lines.attention cimport ATTENTION_TIMER, SIGNAL, Attention

from hyperport.errors import ConfigError, EngineError

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <poll.h>
    #include <sys/eventfd.h>
    #include <time.h>
    static inline void hp_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    static inline int hp_poll(struct pollfd *fds, int count, unsigned long long ns) {
        struct timespec t = {(time_t)(ns / 1000000000ULL), (long)(ns % 1000000000ULL)};
        return ppoll(fds, (nfds_t)count, ns == ~0ULL ? NULL : &t, NULL);
    }
    """
    cdef struct pollfd:
        int fd
        short events
        short revents
    void hp_fence() nogil
    int hp_poll(pollfd *fds, int count, unsigned long long ns) nogil
    int eventfd(unsigned initial, int flags) nogil
    int EFD_NONBLOCK
    int EFD_CLOEXEC
    short POLLIN
    short POLLHUP
    short POLLERR

cdef enum:
    MAX_WATCHED = 32
    WAKE = 0                # of the polled descriptors: look again at who is watched
    ALARM = 1               # the earliest deadline of the clock
    OTHERS = 2              # signals, if they are ours; then those of watch()

cdef uint64_t NEVER = <uint64_t> -1
cdef uint64_t RETRY_NS = 2_000_000      # look again whether the vCPU has served a deadline
cdef uint64_t PAUSE_NS = 10_000_000     # leave a descriptor alone whose reader has no room


cdef class HostEvents:
    """The watcher of one vCPU. start() and stop() may be called from any thread, once each per run."""

    cdef Attention attention
    cdef Clock clock
    cdef bint timed
    cdef int wake_fd
    cdef bint stopping
    cdef object lock
    cdef dict callbacks
    cdef dict paused
    cdef object thread
    cdef object signals
    cdef readonly int signal_seen

    def __init__(self, Attention attention not None, Clock clock not None):
        self.attention = attention
        self.clock = clock
        self.timed = isinstance(clock, RealClock)
        self.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.wake_fd < 0:
            raise ConfigError("no eventfd for the watcher: the process has too many open files")
        self.lock = threading.Lock()
        self.callbacks = {}
        self.paused = {}
        self.thread = None
        self.signals = None

    def __dealloc__(self):
        if self.wake_fd >= 0:
            close(self.wake_fd)

    cdef void wake(self) noexcept nogil:
        cdef uint64_t one = 1
        write(self.wake_fd, &one, 8)

    def watch(self, int fd, callback):
        """Call callback() on the watcher's thread whenever fd is readable or hung up.

        A callback that returns False has no room now; fd is then left alone for 10 ms. One that raises stops the run.
        """
        with self.lock:
            if len(self.callbacks) >= MAX_WATCHED - OTHERS - 1:
                raise ConfigError(f"more than {MAX_WATCHED - OTHERS - 1} host descriptors on one machine")
            self.callbacks[fd] = callback
        self.wake()

    def unwatch(self, int fd):
        """Forget fd. May be called from its own callback."""
        with self.lock:
            self.callbacks.pop(fd, None)
            self.paused.pop(fd, None)
        self.wake()

    def start(self):
        """Begin to watch; on the main thread also catch signals for as long as the run lasts."""
        if self.thread is not None:
            raise EngineError("run() was called while the guest runs: stop it first, or wait for its end")
        self.stopping = False
        self.signal_seen = 0
        if threading.current_thread() is threading.main_thread():
            self._catch_signals()
        if self.timed:
            if not hp_alarm_open(&self.clock.alarm, (<RealClock> self.clock).origin):
                self._release_signals()
                raise EngineError("no timer for the watcher: the process has too many open files")
            self.clock.rearm()
        self.thread = threading.Thread(target=self._run, name="hyperport-watcher", daemon=True)
        self.thread.start()

    def _catch_signals(self):
        """Watch the wake-up descriptor, unless somebody else already does."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if previous == -1:
            self.signals = (reader, writer)
            return
        signal.set_wakeup_fd(previous)
        reader.close()
        writer.close()

    def stop(self):
        """End the thread and give the signals back."""
        if self.thread is None:
            return
        self.stopping = True
        self.wake()
        self.thread.join()
        self.thread = None
        hp_alarm_close(&self.clock.alarm)
        self._release_signals()

    def _release_signals(self):
        if self.signals is not None:
            signal.set_wakeup_fd(-1)
            for end in self.signals:
                end.close()
            self.signals = None

    def _run(self):
        cdef pollfd fds[MAX_WATCHED]
        cdef int count, i
        cdef uint64_t timeout, drained
        while not self.stopping:
            fds[WAKE] = pollfd(self.wake_fd, POLLIN, 0)
            fds[ALARM] = pollfd(self.clock.alarm.fd, POLLIN, 0)
            count = OTHERS
            if self.signals is not None:
                fds[count] = pollfd(self.signals[0].fileno(), POLLIN, 0)
                count += 1
            first = count
            with self.lock:
                for fd in self.callbacks:
                    if fd not in self.paused:
                        fds[count] = pollfd(fd, POLLIN, 0)
                        count += 1
            timeout = PAUSE_NS if self.paused else NEVER
            with nogil:
                self.sleep(fds, count, timeout)
            if fds[WAKE].revents:
                read(self.wake_fd, &drained, 8)
            if first > OTHERS and fds[OTHERS].revents:
                self._take_signals()
            self.paused.clear()
            for i in range(first, count):
                if fds[i].revents:
                    self._call(fds[i].fd)

    cdef void sleep(self, pollfd *fds, int count, uint64_t timeout) noexcept nogil:
        """Wait for descriptors, at most timeout ns; on the way do what the alarm is for."""
        cdef uint64_t end = NEVER if timeout == NEVER else host_ns() + timeout
        cdef uint64_t now
        cdef int ready
        while True:
            ready = hp_poll(fds, count, timeout)
            if ready > 0 and fds[ALARM].revents:
                ready -= 1
                if hp_alarm_take(&self.clock.alarm):
                    self.ring()
            elif ready <= 0:
                return
            if ready:
                return
            if end != NEVER:                    # however often deadlines come
                now = host_ns()
                if now >= end:
                    return
                timeout = end - now

    cdef void ring(self) noexcept nogil:
        """The alarm has gone off: raise ATTENTION_TIMER if a deadline has come, and set it anew.

        Until the vCPU has served the deadline it is asked again and again; it may be about to lower the flag. A vCPU that
        sleeps until a deadline is not asked: then the alarm is off, see RealClock.sleep().
        """
        cdef uint64_t now, earliest, deadline
        while True:
            earliest = deadline = self.clock.next_deadline
            now = self.clock.now()
            if deadline <= now:
                self.attention.raise_flags(ATTENTION_TIMER)
                deadline = now + RETRY_NS
            hp_alarm_set(&self.clock.alarm, deadline)
            hp_fence()                          # as in rearm(): of the two, at least one sees what the other wrote
            if self.clock.next_deadline >= deadline or self.clock.next_deadline == earliest:
                return

    def _call(self, fd):
        callback = self.callbacks.get(fd)
        if callback is None:
            return
        try:
            if callback() is False:
                self.paused[fd] = True
        except Exception as error:
            from hyperport.lines.attention import StopKind
            self.unwatch(fd)
            self.attention.stop(StopKind.DEVICE_ERROR, 0, error, f"host input failed: {error}")

    def _take_signals(self):
        try:
            numbers = self.signals[0].recv(64)
        except BlockingIOError:
            return
        # Only a signal that somebody handles in Python ends the run: SIGWINCH and the like pass by.
        for number in numbers:
            if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self.signal_seen = number
                self.attention.request_stop(SIGNAL, number)
