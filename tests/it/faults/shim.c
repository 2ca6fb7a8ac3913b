/* Makes a disk fail and a clock jump under a program, as files in the folder
 * FAULTS say:
 *
 *   sync-fails   the Nth sync of a file below DATA fails with EIO (`N`), or it
 *                and all that follow (`N+`); counted since the file was seen
 *   full         writes to files below DATA write half, then fail with ENOSPC
 *   clock        seconds that the wall clock is ahead by
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int control(const char *name, char *text, size_t size) {
    char path[PATH_MAX];
    const char *folder = getenv("FAULTS");
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return 1;
}

static int is_data(int fd) {
    char link[64], path[PATH_MAX];
    const char *data = getenv("DATA");
    if (!data) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    /* The index promises nothing, and has its own way of failing. */
    return !strncmp(path, data, strlen(data)) && !strstr(path, "/index/");
}

static int sync_fails(int fd) {
    static atomic_long count;
    char text[32];
    if (!is_data(fd) || !control("sync-fails", text, sizeof text)) return 0;
    long nth = atol(text), now = atomic_fetch_add(&count, 1) + 1;
    return now == nth || (now > nth && strchr(text, '+'));
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    char text[32];
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (is_data(fd) && control("full", text, sizeof text)) {
        if (size > 16) return real(fd, bytes, size / 2);
        errno = ENOSPC;
        return -1;
    }
    return real(fd, bytes, size);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    char text[32];
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    if (!done && clock == CLOCK_REALTIME && control("clock", text, sizeof text))
        now->tv_sec += atol(text);
    return done;
}
