/*
 * The benchmark's baseline for synced writes: what three copies of an object cost the disk, and nothing else.
 *
 *   cc -O2 -o three_copies three_copies.c -lpthread
 *   three_copies ROOT ROOT ROOT RUN COUNT AT_ONCE BYTES
 *
 * Each root gets COUNT files RUN/NN/NNNNNN.jpg, sixteen folders in all, by the calls with which webdfs changes a root
 * for one upload (src/store: the methods of `Calls`, in their order): create under tmp/, write, set the attribute of an
 * upload, close; open, set the attribute of a replica, set the mtime, sync the file, rename it into place, sync its
 * folder, and once for each folder the folder above. Left out is everything that only looks: locks, what was there
 * before, free space. There is no network, no checksum, and the disk is all there is to wait for.
 *
 * AT_ONCE threads write an object each, its three copies one after the other.
 *
 * Prints objects per second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ROOTS 3
#define FOLDERS 16
#define ATTRIBUTE "user.webdfs"

struct root {
    int handle;
    atomic_int folder_synced[FOLDERS];
    atomic_int run_synced;
};

static struct root roots[ROOTS];
static atomic_long next;
static const char *run;
static long count;
static char *bytes;
static size_t length;

static void die(const char *what, const char *path)
{
    fprintf(stderr, "three_copies: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void sync_folder(int root, const char *path)
{
    int folder = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0 || fsync(folder) != 0) die("sync", path);
    close(folder);
}

static void make_folder(int root, const char *path)
{
    if (mkdirat(root, path, 0755) != 0 && errno != EEXIST) die("make", path);
}

static void set_attribute(int file, const char *path, const char *value)
{
    if (fsetxattr(file, ATTRIBUTE, value, strlen(value), 0) != 0) die("set the attribute of", path);
}

static void prepare(struct root *root, const char *tmp, const char *path)
{
    char value[256];
    int file = openat(root->handle, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (file < 0) die("create", tmp);
    if (write(file, bytes, length) != (ssize_t) length) die("write", tmp);
    snprintf(value, sizeof value, "1 %zu 00000000 %s", length, path);
    set_attribute(file, tmp, value);
    close(file);
}

static void commit(struct root *root, const char *tmp, const char *folder, const char *path)
{
    char value[64];
    struct timespec times[2];
    int file = openat(root->handle, tmp, O_RDWR | O_CLOEXEC);

    if (file < 0) die("open", tmp);
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[1] = times[0];
    snprintf(value, sizeof value, "1 %ld%09ld 00000000", (long) times[0].tv_sec, times[0].tv_nsec);
    set_attribute(file, tmp, value);
    if (futimens(file, times) != 0) die("set the mtime of", tmp);
    if (fsync(file) != 0) die("sync", tmp);
    if (renameat(root->handle, tmp, root->handle, path) != 0) {
        make_folder(root->handle, run);
        make_folder(root->handle, folder);
        if (renameat(root->handle, tmp, root->handle, path) != 0) die("rename", path);
    }
    close(file);
    sync_folder(root->handle, folder);
}

static void copy(struct root *root, long number)
{
    char tmp[64], folder[128], path[192];
    int bucket = (int) (number % FOLDERS);

    snprintf(tmp, sizeof tmp, "tmp/%032lx", number);
    snprintf(folder, sizeof folder, "%s/%02d", run, bucket);
    snprintf(path, sizeof path, "%s/%06ld.jpg", folder, number);
    prepare(root, tmp, path);
    commit(root, tmp, folder, path);
    if (!atomic_load(&root->folder_synced[bucket])) {
        sync_folder(root->handle, run);
        atomic_store(&root->folder_synced[bucket], 1);
    }
    if (!atomic_load(&root->run_synced)) {
        sync_folder(root->handle, ".");
        atomic_store(&root->run_synced, 1);
    }
}

static void *store_objects(void *unused)
{
    long number;
    int r;

    (void) unused;
    while ((number = atomic_fetch_add(&next, 1)) < count)
        for (r = 0; r < ROOTS; r++) copy(&roots[r], number);
    return NULL;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    pthread_t *threads;
    double begun;
    long at_once, n;
    int r;

    if (argc != 8) {
        fprintf(stderr, "usage: %s ROOT ROOT ROOT RUN COUNT AT_ONCE BYTES\n", argv[0]);
        return 2;
    }
    run = argv[4];
    count = strtol(argv[5], NULL, 10);
    at_once = strtol(argv[6], NULL, 10);
    length = strtoul(argv[7], NULL, 10);
    bytes = malloc(length);
    threads = calloc((size_t) at_once, sizeof *threads);
    if (bytes == NULL || threads == NULL) die("allocate", "memory");
    memset(bytes, 'x', length);
    for (r = 0; r < ROOTS; r++) {
        roots[r].handle = open(argv[1 + r], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (roots[r].handle < 0) die("open", argv[1 + r]);
        make_folder(roots[r].handle, "tmp");
    }
    begun = seconds();
    for (n = 0; n < at_once; n++)
        if (pthread_create(&threads[n], NULL, store_objects, NULL) != 0) die("start", "a thread");
    for (n = 0; n < at_once; n++) pthread_join(threads[n], NULL);
    printf("%.1f\n", (double) count / (seconds() - begun));
    return 0;
}
