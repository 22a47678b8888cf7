/*
 * The benchmark's baseline: a responder on libfcgi that serves files from one folder and computes no placement.
 *
 *   cc -O2 -o responder responder.c -lfcgi -lpthread
 *   responder SOCKET ROOT [THREADS]
 *
 * It takes the file's name from REQUEST_URI, without its query and without decoding it. The environment variable MODE
 * chooses how the file is delivered:
 *
 *   mapped   (the default) mapped into memory and sent by the responder
 *   read     read into memory and sent by the responder
 *   accel    named to nginx in X-Accel-Redirect, under ACCEL_PREFIX (default: /_files)
 *   sendfile named to lighttpd or Apache in X-Sendfile; with VALIDATORS set, ETag and Last-Modified are said as well,
 *            which Apache needs
 *
 * If SOCKET is "-", the socket is file descriptor 0: a web server has started this.
 *
 * Each thread accepts for itself, as libfcgi's own threaded example does. libfcgi copies what it is given into a buffer
 * of 8 KiB, whose size cannot be chosen, and writes that whenever it is full: a file of 4 KiB leaves in one write, one of
 * 32 KiB in five.
 */
#include <fcgiapp.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *root;
static const char *accel_prefix;
static int listening;
static int accel;
static int sendfile;
static int validators;
static int reading;

static const char *content_type(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot == NULL) return "application/octet-stream";
    if (strcmp(dot, ".jpg") == 0) return "image/jpeg";
    if (strcmp(dot, ".png") == 0) return "image/png";
    if (strcmp(dot, ".gif") == 0) return "image/gif";
    if (strcmp(dot, ".webp") == 0) return "image/webp";
    return "application/octet-stream";
}

static void status(FCGX_Request *request, const char *line)
{
    FCGX_FPrintF(request->out, "Status: %s\r\n\r\n", line);
}

static void answer(FCGX_Request *request)
{
    const char *uri = FCGX_GetParam("REQUEST_URI", request->envp);
    const char *method = FCGX_GetParam("REQUEST_METHOD", request->envp);
    char path[4096], modified[64];
    struct stat st;
    struct tm tm;
    size_t length;
    void *bytes;
    int fd, printed;

    if (uri == NULL || uri[0] != '/' || strstr(uri, "..") != NULL) {
        status(request, "400 Bad Request");
        return;
    }
    length = strcspn(uri, "?");
    printed = snprintf(path, sizeof path, "%s%.*s", root, (int) length, uri);
    if (printed < 0 || (size_t) printed >= sizeof path) {
        status(request, "414 URI Too Long");
        return;
    }
    if (accel) {
        /* Whether the file exists is looked at here too, as a responder must before it says 200. */
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            status(request, "404 Not Found");
            return;
        }
        FCGX_FPrintF(request->out, "Status: 200 OK\r\nContent-Type: %s\r\nX-Accel-Redirect: %s%.*s\r\n\r\n",
                     content_type(path), accel_prefix, (int) length, uri);
        return;
    }
    if (sendfile) {
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            status(request, "404 Not Found");
            return;
        }
        FCGX_FPrintF(request->out, "Status: 200 OK\r\nContent-Type: %s\r\nX-Sendfile: %s\r\n", content_type(path), path);
        if (validators) {
            gmtime_r(&st.st_mtime, &tm);
            strftime(modified, sizeof modified, "%a, %d %b %Y %H:%M:%S GMT", &tm);
            FCGX_FPrintF(request->out, "Last-Modified: %s\r\nETag: \"%lx-%lx\"\r\n", modified, (long) st.st_size,
                         (long) st.st_mtime);
        }
        FCGX_PutStr("\r\n", 2, request->out);
        return;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) close(fd);
        status(request, "404 Not Found");
        return;
    }
    gmtime_r(&st.st_mtime, &tm);
    strftime(modified, sizeof modified, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    FCGX_FPrintF(request->out,
                 "Status: 200 OK\r\nContent-Type: %s\r\nContent-Length: %ld\r\nLast-Modified: %s\r\n"
                 "ETag: \"%lx-%lx\"\r\n\r\n",
                 content_type(path), (long) st.st_size, modified, (long) st.st_mtime, (long) st.st_size);
    if (st.st_size > 0 && (method == NULL || strcmp(method, "HEAD") != 0)) {
        if (reading) {
            static __thread char *buffer;
            static __thread size_t room;

            if (room < (size_t) st.st_size) {
                free(buffer);
                room = (size_t) st.st_size;
                buffer = malloc(room);
                if (buffer == NULL) abort();
            }
            if (pread(fd, buffer, (size_t) st.st_size, 0) == st.st_size)
                FCGX_PutStr(buffer, (int) st.st_size, request->out);
        } else {
            bytes = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
            if (bytes != MAP_FAILED) {
                FCGX_PutStr(bytes, (int) st.st_size, request->out);
                munmap(bytes, (size_t) st.st_size);
            }
        }
    }
    close(fd);
}

static void *serve(void *unused)
{
    FCGX_Request request;

    (void) unused;
    FCGX_InitRequest(&request, listening, 0);
    while (FCGX_Accept_r(&request) >= 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *mode = getenv("MODE");
    long threads = argc > 3 ? strtol(argv[3], NULL, 10) : 64;
    pthread_t thread;
    long n;

    if (argc < 3 || threads < 1) {
        fprintf(stderr, "usage: %s SOCKET ROOT [THREADS]\n", argv[0]);
        return 2;
    }
    root = argv[2];
    accel = mode != NULL && strcmp(mode, "accel") == 0;
    sendfile = mode != NULL && strcmp(mode, "sendfile") == 0;
    validators = getenv("VALIDATORS") != NULL;
    reading = mode != NULL && strcmp(mode, "read") == 0;
    accel_prefix = getenv("ACCEL_PREFIX") != NULL ? getenv("ACCEL_PREFIX") : "/_files";
    FCGX_Init();
    if (strcmp(argv[1], "-") != 0) {
        unlink(argv[1]);
        umask(0); /* the web server may run as another user */
        listening = FCGX_OpenSocket(argv[1], 1024);
        if (listening < 0) {
            perror(argv[1]);
            return 1;
        }
    }
    for (n = 1; n < threads; n++) {
        if (pthread_create(&thread, NULL, serve, NULL) != 0) {
            perror("pthread_create");
            return 1;
        }
    }
    serve(NULL);
    return 0;
}
