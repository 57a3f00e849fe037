/*
 * A disk that forgets at a power cut whatever was not synced. Preloaded into a
 * process, it keeps beside the directory POWERCUT_DIR a second one,
 * POWERCUT_SYNCED, in which a file changes only when it is synced: what stands
 * there is what a power cut leaves.
 *
 * While a file is written nothing is kept of the data, only which bytes changed:
 * a sync copies these from the file itself. One lock is held over each write and
 * each sync, so that no byte written after a sync began is copied as synced.
 *
 * Kept simple: a file's creation is durable once the file was synced, its unlink at
 * once. Files directly in the directory only, never shared memory (-shm), and
 * no rename, since SQLite renames nothing.
 *
 * With POWERCUT_AT=n the n-th sync does not take place: the power goes then.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	char name[NAME_MAX + 1];
	off64_t low, high; /* what changed since the last sync; none if low >= high */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[32];
static const char *live, *synced;
static long syncs, cut_at;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

/* A disk that can't keep its promise must not look like one that does. */
static void broken(const char *what)
{
	fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
	_exit(70);
}

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		broken(name);
	return f;
}

__attribute__((constructor)) static void start(void)
{
	const char *at = getenv("POWERCUT_AT");

	real_write = next("write");
	real_pwrite64 = next("pwrite64");
	real_ftruncate64 = next("ftruncate64");
	real_fsync = next("fsync");
	real_fdatasync = next("fdatasync");
	real_unlink = next("unlink");
	live = getenv("POWERCUT_DIR");
	synced = getenv("POWERCUT_SYNCED");
	if (!synced)
		live = NULL;
	cut_at = at ? atol(at) : 0;
}

static int ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);
	return n >= m && strcmp(s + n - m, with) == 0;
}

/* The entry of a file by its path; NULL if it is none of ours. Needs the lock. */
static struct file *by_path(const char *path)
{
	size_t n = live ? strlen(live) : 0;
	const char *name = path + n + 1;
	struct file *f;

	if (!n || strncmp(path, live, n) != 0 || path[n] != '/' || !*name || strchr(name, '/') || strlen(name) > NAME_MAX ||
	    ends(name, "-shm") || ends(name, " (deleted)"))
		return NULL;
	for (f = files; f < files + sizeof files / sizeof *files; f++) {
		if (!*f->name)
			strcpy(f->name, name);
		if (strcmp(f->name, name) == 0)
			return f;
	}
	errno = ENFILE;
	broken("too many files");
	return NULL;
}

/* The kernel knows which file a descriptor is: no open, dup or close to follow. */
static struct file *by_fd(int fd)
{
	char proc[32], path[PATH_MAX];
	ssize_t n;

	if (!live)
		return NULL;
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof path - 1);
	if (n < 0)
		return NULL;
	path[n] = 0;
	return by_path(path);
}

static void changed(struct file *f, off64_t low, off64_t high)
{
	if (f->low >= f->high) {
		f->low = low;
		f->high = high;
		return;
	}
	if (low < f->low)
		f->low = low;
	if (high > f->high)
		f->high = high;
}

static void synced_path(const struct file *f, char *path)
{
	if (snprintf(path, PATH_MAX, "%s/%s", synced, f->name) >= PATH_MAX)
		broken("path too long");
}

/* What changed reaches the disk. Between the two ends of what changed there may be
 * bytes that did not: those are the same there already. */
static void keep(struct file *f, int fd)
{
	static char buf[1 << 16];
	char path[PATH_MAX];
	struct stat64 st;
	int to;

	if (fstat64(fd, &st) != 0)
		broken("fstat");
	synced_path(f, path);
	to = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (to < 0 || real_ftruncate64(to, st.st_size) != 0)
		broken(path);
	while (f->low < f->high && f->low < st.st_size) {
		size_t n = sizeof buf;
		ssize_t got;

		if ((off64_t)n > f->high - f->low)
			n = f->high - f->low;
		got = pread64(fd, buf, n, f->low);
		if (got <= 0 || real_pwrite64(to, buf, got, f->low) != got)
			broken(path);
		f->low += got;
	}
	f->low = f->high = 0;
	close(to);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	struct file *f;
	ssize_t done;
	int err;

	pthread_mutex_lock(&lock);
	done = real_pwrite64(fd, data, n, at);
	err = errno;
	if (done > 0 && (f = by_fd(fd)))
		changed(f, at, at + done);
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

ssize_t write(int fd, const void *data, size_t n)
{
	struct file *f;
	ssize_t done;
	int err;

	if (!live || !real_write)
		return ((ssize_t(*)(int, const void *, size_t))next("write"))(fd, data, n);
	pthread_mutex_lock(&lock);
	done = real_write(fd, data, n);
	err = errno;
	if (done > 0 && (f = by_fd(fd))) {
		off64_t end = lseek64(fd, 0, SEEK_CUR);
		changed(f, end - done, end);
	}
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}

int ftruncate64(int fd, off64_t size)
{
	struct file *f;
	struct stat64 st;
	int rc, err;

	pthread_mutex_lock(&lock);
	f = by_fd(fd);
	if (f && fstat64(fd, &st) != 0)
		broken("fstat");
	rc = real_ftruncate64(fd, size);
	err = errno;
	if (f && rc == 0)
		changed(f, size < st.st_size ? size : st.st_size, size < st.st_size ? st.st_size : size);
	pthread_mutex_unlock(&lock);
	errno = err;
	return rc;
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

static int sync_by(int (*real)(int), int fd)
{
	struct file *f;
	int rc, err;

	pthread_mutex_lock(&lock);
	f = by_fd(fd);
	if (f && ++syncs == cut_at)
		for (;;)
			kill(getpid(), SIGKILL);
	rc = real(fd);
	err = errno;
	if (f && rc == 0)
		keep(f, fd);
	pthread_mutex_unlock(&lock);
	errno = err;
	return rc;
}

int fsync(int fd)
{
	return sync_by(real_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_by(real_fdatasync, fd);
}

int unlink(const char *name)
{
	struct file *f;
	char path[PATH_MAX];
	int rc, err;

	pthread_mutex_lock(&lock);
	rc = real_unlink(name);
	err = errno;
	if (rc == 0 && (f = by_path(name))) {
		synced_path(f, path);
		if (real_unlink(path) != 0 && errno != ENOENT)
			broken(path);
		f->low = f->high = 0;
	}
	pthread_mutex_unlock(&lock);
	errno = err;
	return rc;
}
