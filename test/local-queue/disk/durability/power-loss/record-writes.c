/*
 * Preloaded into a process (LD_PRELOAD), records what it writes to the files below RECORD_FOLDER, and when it has it
 * flushed, in RECORD_LOG: a record each of
 *   kind (1 byte), offset (8), length (4), length of the path (2), path, bytes
 * Kinds: w write, t truncate to the offset, s flushed, d removed. A write is recorded before it is made, a flush after it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void append(char kind, uint64_t offset, const void *data, uint32_t length, const char *path) {
  static int log = -1;
  uint16_t size = strlen(path);
  char head[15];
  pthread_mutex_lock(&lock);
  if (log < 0) log = syscall(SYS_openat, AT_FDCWD, getenv("RECORD_LOG"), O_CREAT | O_APPEND | O_WRONLY, 0600);
  head[0] = kind;
  memcpy(head + 1, &offset, 8);
  memcpy(head + 9, &length, 4);
  memcpy(head + 13, &size, 2);
  struct iovec parts[] = {{head, sizeof head}, {(void *)path, size}, {(void *)data, length}};
  syscall(SYS_writev, log, parts, 3);
  pthread_mutex_unlock(&lock);
}

/* The path of a file that is to be recorded. */
static int is_recorded(int fd, char *path) {
  const char *folder = getenv("RECORD_FOLDER");
  char link[64] = "/proc/self/fd/";
  char digits[16];
  int count = 0;
  if (folder == NULL || fd < 3) return 0;
  for (int rest = fd; rest > 0 || count == 0; rest /= 10) digits[count++] = '0' + rest % 10;
  for (int index = 0; index < count; index++) link[14 + index] = digits[count - 1 - index];
  link[14 + count] = 0;
  ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return strncmp(path, folder, strlen(folder)) == 0;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  char path[PATH_MAX];
  if (is_recorded(fd, path)) append('w', offset, data, length, path);
  return syscall(SYS_pwrite64, fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
  return pwrite64(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length) {
  char path[PATH_MAX];
  /* Only the ledger is written so, at its end. */
  if (is_recorded(fd, path)) append('w', UINT64_MAX, data, length, path);
  return syscall(SYS_write, fd, data, length);
}

int ftruncate64(int fd, off64_t size) {
  char path[PATH_MAX];
  if (is_recorded(fd, path)) append('t', size, NULL, 0, path);
  return syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int flushed(int fd, long call) {
  char path[PATH_MAX];
  int result = syscall(call, fd);
  if (result == 0 && is_recorded(fd, path)) append('s', 0, NULL, 0, path);
  return result;
}

int fsync(int fd) { return flushed(fd, SYS_fsync); }

int fdatasync(int fd) { return flushed(fd, SYS_fdatasync); }

int unlink(const char *path) {
  const char *folder = getenv("RECORD_FOLDER");
  if (folder != NULL && strncmp(path, folder, strlen(folder)) == 0) append('d', 0, NULL, 0, path);
  return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
