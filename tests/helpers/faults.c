/* Lets the n-th call that changes files under one folder fail, or end the process.
 *
 * Loaded with LD_PRELOAD. FAULT_ROOT names the folder; fault_arm(n, mode) begins to
 * count, where mode is an errno, negative for one that stays from then on (a disk that
 * is full), or 0 for a kill. fault_count() says how many calls there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long count;
static long target = -1;
static int mode;
static const char *root;

void fault_arm(long n, int how) {
  root = getenv("FAULT_ROOT");
  target = n;
  mode = how;
  atomic_store(&count, 0);
}

long fault_count(void) { return atomic_load(&count); }

/* Whether this call is to fail; ends the process if it is to be killed. */
static int fails(const char *path, int needs_room) {
  if (target < 0 || path == NULL || root == NULL || strncmp(path, root, strlen(root)))
    return 0;
  long number = atomic_fetch_add(&count, 1);
  if (number == target && mode == 0) kill(getpid(), SIGKILL);
  if (number == target || (mode < 0 && number > target && needs_room)) {
    errno = mode < 0 ? -mode : mode;
    return 1;
  }
  return 0;
}

static int file_fails(int fd, int needs_room) {
  char link[64], path[PATH_MAX];
  if (target < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(path, needs_room);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
  return file_fails(fd, 1) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return file_fails(fd, 1) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return file_fails(fd, 1) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
  return file_fails(fd, 1) ? -1 : REAL(writev)(fd, parts, number);
}
ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t at) {
  return file_fails(fd, 1) ? -1 : REAL(pwritev)(fd, parts, number, at);
}
int fsync(int fd) { return file_fails(fd, 0) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return file_fails(fd, 0) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
  return fails(to, 0) ? -1 : REAL(rename)(from, to);
}
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
  return fails(to, 0) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned how) {
  return fails(to, 0) ? -1 : REAL(renameat2)(from_fd, from, to_fd, to, how);
}
int mkdir(const char *path, mode_t bits) {
  return fails(path, 1) ? -1 : REAL(mkdir)(path, bits);
}
int mkdirat(int fd, const char *path, mode_t bits) {
  return fails(path, 1) ? -1 : REAL(mkdirat)(fd, path, bits);
}
