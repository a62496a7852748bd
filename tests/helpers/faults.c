/* Lets one call that changes files under one folder fail, or end the process.
 *
 * Loaded with LD_PRELOAD. FAULT_ROOT names the folder. A kind of call is its name and
 * the path below the folder, where every word with a digit is a "#": process numbers,
 * random names and steps differ from run to run. fault_log(fd) writes the kind of each
 * call to a file, a line each. fault_arm(kind, n, mode) strikes the n-th call of a kind,
 * where mode is an errno, negative for one that stays from then on (a disk that is
 * full), 0 for a kill, or -1 to have the folder itself taken away before the call, under
 * the name it has with ".gone" behind. fault_struck() says whether that call came.
 *
 * fault_reading(path, at) lets every byte from there on fail to be read, of a file or of
 * all below a folder, with an I/O error. A file in memory would end the process then: so
 * fault_mapped() says whether one of them was mapped.
 */
#define _GNU_SOURCE
#include <ctype.h>
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { GONE = -1 };
static atomic_long count;
static atomic_int struck;
static int log_to = -1, mode;
static long target;
static const char *root, *armed;

void fault_log(int fd) {
  root = getenv("FAULT_ROOT");
  log_to = fd;
}

void fault_arm(const char *kind, long n, int how) {
  root = getenv("FAULT_ROOT");
  target = n;
  mode = how;
  atomic_store(&count, 0);
  armed = strdup(kind);
}

int fault_struck(void) { return atomic_load(&struck); }

static char *unread;
static off_t unread_from;
static atomic_int mapped;

void fault_reading(const char *path, long at) {
  unread = NULL;
  unread_from = at;
  atomic_store(&mapped, 0);
  atomic_store(&struck, 0);
  if (*path) unread = strdup(path);
}

int fault_mapped(void) { return atomic_load(&mapped); }

static int in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static void describe(const char *call, const char *path, char *kind) {
  char *end = stpcpy(stpcpy(kind, call), " ");
  while (*path) {
    char *start = end;
    int has_digit = 0;
    for (; in_word(*path); *end++ = *path++)
      has_digit |= isdigit((unsigned char)*path);
    if (has_digit) {
      *start = '#';
      end = start + 1;
    }
    if (*path) *end++ = *path++;
  }
  *end = 0;
}

/* Whether this call is to fail; ends the process if it is to be killed. */
static int fails(const char *call, const char *path, int needs_room) {
  char kind[PATH_MAX + 32];
  if ((log_to < 0 && !armed) || path == NULL || root == NULL ||
      strncmp(path, root, strlen(root)) || strlen(path) >= PATH_MAX)
    return 0;
  describe(call, path + strlen(root), kind);
  if (log_to >= 0) dprintf(log_to, "%s\n", kind);
  if (!armed) return 0;
  if (strcmp(kind, armed) == 0 && atomic_fetch_add(&count, 1) == target) {
    if (mode == 0) kill(getpid(), SIGKILL);
    atomic_store(&struck, 1);
    if (mode == GONE) {
      char gone[PATH_MAX];
      snprintf(gone, sizeof gone, "%s.gone", root);
      ((__typeof__(&rename))dlsym(RTLD_NEXT, "rename"))(root, gone);
      return 0;
    }
  } else if (mode == GONE) {
    return 0;
  } else if (!(mode < 0 && needs_room && atomic_load(&struck))) {
    return 0;
  }
  errno = abs(mode);
  return 1;
}

static int file_fails(const char *call, int fd, int needs_room) {
  char link[64], path[PATH_MAX];
  if (log_to < 0 && !armed) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(call, path, needs_room);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
  return file_fails("write", fd, 1) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return file_fails("write", fd, 1) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return file_fails("write", fd, 1) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
  return file_fails("write", fd, 1) ? -1 : REAL(writev)(fd, parts, number);
}
ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t at) {
  return file_fails("write", fd, 1) ? -1 : REAL(pwritev)(fd, parts, number, at);
}
static int is_unread(int fd) {
  char link[64], path[PATH_MAX];
  if (!unread || fd < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  size_t known = strlen(unread);
  return length >= (ssize_t)known && strncmp(path, unread, known) == 0;
}

/* How many bytes a read gets; -1: none, and an error. */
static ssize_t read_up_to(int fd, off_t at, size_t size) {
  if (size == 0 || !is_unread(fd)) return size;
  if (at < 0) at = lseek(fd, 0, SEEK_CUR);
  if (at + (off_t)size <= unread_from) return size;
  if (at < unread_from) return unread_from - at;
  struct stat about;
  if (fstat(fd, &about) == 0 && at >= about.st_size) return size; /* the end */
  atomic_store(&struck, 1);
  errno = EIO;
  return -1;
}

ssize_t read(int fd, void *data, size_t size) {
  ssize_t whole = read_up_to(fd, -1, size);
  return whole < 0 ? -1 : REAL(read)(fd, data, whole);
}
ssize_t pread(int fd, void *data, size_t size, off_t at) {
  ssize_t whole = read_up_to(fd, at, size);
  return whole < 0 ? -1 : REAL(pread)(fd, data, whole, at);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
  ssize_t whole = read_up_to(fd, at, size);
  return whole < 0 ? -1 : REAL(pread64)(fd, data, whole, at);
}
ssize_t readv(int fd, const struct iovec *parts, int number) {
  return read_up_to(fd, -1, SSIZE_MAX / 2) < 0 ? -1 : REAL(readv)(fd, parts, number);
}
ssize_t preadv(int fd, const struct iovec *parts, int number, off_t at) {
  return read_up_to(fd, at, SSIZE_MAX / 2) < 0 ? -1
                                               : REAL(preadv)(fd, parts, number, at);
}
void *mmap(void *address, size_t size, int bits, int flags, int fd, off_t at) {
  if (is_unread(fd)) atomic_store(&mapped, 1);
  return REAL(mmap)(address, size, bits, flags, fd, at);
}
void *mmap64(void *address, size_t size, int bits, int flags, int fd, off64_t at) {
  if (is_unread(fd)) atomic_store(&mapped, 1);
  return REAL(mmap64)(address, size, bits, flags, fd, at);
}

int fsync(int fd) { return file_fails("fsync", fd, 0) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) {
  return file_fails("fsync", fd, 0) ? -1 : REAL(fdatasync)(fd);
}
int rename(const char *from, const char *to) {
  return fails("rename", to, 0) ? -1 : REAL(rename)(from, to);
}
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
  return fails("rename", to, 0) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned how) {
  return fails("rename", to, 0) ? -1
                                : REAL(renameat2)(from_fd, from, to_fd, to, how);
}
int mkdir(const char *path, mode_t bits) {
  return fails("mkdir", path, 1) ? -1 : REAL(mkdir)(path, bits);
}
int mkdirat(int fd, const char *path, mode_t bits) {
  return fails("mkdir", path, 1) ? -1 : REAL(mkdirat)(fd, path, bits);
}
