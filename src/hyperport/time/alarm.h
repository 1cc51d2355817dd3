/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timer of the host (timerfd_create(2)) that two threads set: whose deadlines it tells, and who waits for it.
 *
 * `at` is what the timer is set to, in ns after `origin` by CLOCK_MONOTONIC; HP_ALARM_OFF while it is off. Both change together, under the
 * lock, so that who finds that `at` is right need not set it. A time that has passed goes off at once.
 */
#ifndef HYPERPORT_TIME_ALARM_H
#define HYPERPORT_TIME_ALARM_H

#include <pthread.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define HP_ALARM_OFF UINT64_MAX

typedef struct {
    pthread_mutex_t lock;
    uint64_t at, origin;
    int fd;                 /* readable once the time has come; -1: there is none, and nothing is ever set */
} hp_alarm;

static inline void hp_alarm_init(hp_alarm *alarm)
{
    pthread_mutex_init(&alarm->lock, NULL);
    alarm->at = HP_ALARM_OFF;
    alarm->fd = -1;
}

/* Returns 0 if the host gives no descriptor. */
static inline int hp_alarm_open(hp_alarm *alarm, uint64_t origin)
{
    alarm->origin = origin;
    alarm->at = HP_ALARM_OFF;
    alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return alarm->fd >= 0;
}

static inline void hp_alarm_close(hp_alarm *alarm)
{
    pthread_mutex_lock(&alarm->lock);
    if (alarm->fd >= 0)
        close(alarm->fd);
    alarm->fd = -1;
    pthread_mutex_unlock(&alarm->lock);
}

static inline uint64_t hp_alarm_at(const hp_alarm *alarm) { return __atomic_load_n(&alarm->at, __ATOMIC_SEQ_CST); }

static inline void hp_alarm_set(hp_alarm *alarm, uint64_t at)
{
    struct itimerspec when = {{0, 0}, {0, 0}};      /* no interval; a time of 0 is off */

    if (at != HP_ALARM_OFF) {
        when.it_value.tv_sec = (time_t)((alarm->origin + at) / 1000000000);
        when.it_value.tv_nsec = (long)((alarm->origin + at) % 1000000000);
    }
    pthread_mutex_lock(&alarm->lock);
    if (alarm->fd >= 0 && alarm->at != at) {
        __atomic_store_n(&alarm->at, at, __ATOMIC_SEQ_CST);
        timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &when, NULL);
    }
    pthread_mutex_unlock(&alarm->lock);
}

/* It has gone off: returns whether it really had, and is off then. */
static inline int hp_alarm_take(hp_alarm *alarm)
{
    uint64_t times;
    int gone;

    pthread_mutex_lock(&alarm->lock);
    gone = alarm->fd >= 0 && read(alarm->fd, &times, sizeof times) == sizeof times;
    if (gone)
        __atomic_store_n(&alarm->at, HP_ALARM_OFF, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&alarm->lock);
    return gone;
}

#endif
