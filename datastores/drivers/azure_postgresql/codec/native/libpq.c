/* Rows of a COPY out of the libpq that psycopg has loaded, through pointers to its functions. */

#include "codec.h"

#ifndef _WIN32
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* https://www.postgresql.org/docs/current/libpq-copy.html */
typedef struct {
    int (*get_copy_data)(void *connection, char **row, int async);
    int (*consume_input)(void *connection);
    int (*socket)(const void *connection);
    void (*freemem)(void *row);
    void *connection;
} libpq;

enum state { FULL, TRAILER, END, BROKEN, WAITING };

/* The server sends 8 KiB at a time. To wake for each of them costs more than to decode them, so the
   socket counts as readable only when it holds this much, or when the wait has lasted so long: the
   end of a COPY is always less. A wait that ends also looks whether a signal has come. */
#define WAKE_BYTES (256 * 1024)
#define WAIT_MILLISECONDS 10

typedef struct {
    uint8_t *data;
    int64_t used, size;
    int64_t *ends;
    int64_t row, rows;
    char *left; /* a row that does not fit; libpq's memory */
    int left_bytes;
} window;

static enum state read_rows(const libpq *pq, window *into) {
    int taken = 0; /* whether all that had arrived is in libpq's buffer */
    while (into->row < into->rows) {
        char *row = NULL;
        int size = pq->get_copy_data(pq->connection, &row, 1);
        if (size == -1) return END;
        if (size < 0) return BROKEN;
        if (size == 0 && !taken) {
            /* Without waiting first: TLS, too, may hold what was read off the socket before. */
            if (!pq->consume_input(pq->connection)) return BROKEN;
            taken = 1;
            continue;
        }
        if (size == 0) {
            struct pollfd one = {.fd = pq->socket(pq->connection), .events = POLLIN};
            int ready = poll(&one, 1, WAIT_MILLISECONDS);
            if (ready < 0 && errno != EINTR) return BROKEN;
            if (ready <= 0) return WAITING;
            taken = 0;
            continue;
        }
        taken = 0;
        if (size == 2 && !memcmp(row, "\xff\xff", 2)) {
            pq->freemem(row);
            return TRAILER;
        }
        if (size > into->size - into->used) {
            into->left = row;
            into->left_bytes = size;
            return FULL;
        }
        memcpy(into->data + into->used, row, (size_t)size);
        pq->freemem(row);
        into->used += size;
        into->ends[into->row++] = into->used;
    }
    return FULL;
}

/* A socket that is left so would keep libpq waiting for small answers forever. */
static void wake_at(const libpq *pq, int bytes) {
#ifdef SO_RCVLOWAT
    setsockopt(pq->socket(pq->connection), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
#else
    (void)pq, (void)bytes;
#endif
}

/* fetch((get, consume, socket, freemem), connection, data, used, ends, row)
   -> (state, used, row, a row that does not fit or None)

   State: 0 no more room, 1 the trailer was read, 2 the COPY ended, 3 libpq says why not. */
PyObject *codec_fetch(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long get, consume, socket, freemem, connection;
    long long used, row;
    Py_buffer data, ends;
    if (!PyArg_ParseTuple(args, "(KKKK)Kw*Lw*L", &get, &consume, &socket, &freemem, &connection,
                          &data, &used, &ends, &row))
        return NULL;
    libpq pq = {
        (int (*)(void *, char **, int))(uintptr_t)get,
        (int (*)(void *))(uintptr_t)consume,
        (int (*)(const void *))(uintptr_t)socket,
        (void (*)(void *))(uintptr_t)freemem,
        (void *)(uintptr_t)connection,
    };
    window into = {data.buf, used, data.len, ends.buf, row, ends.len / 8, NULL, 0};
    enum state state = BROKEN;
    PyObject *left = NULL, *result = NULL;
    if (used < 0 || used > data.len || row < 0) {
        PyErr_SetString(PyExc_ValueError, "outside the buffer");
        goto release;
    }
    wake_at(&pq, WAKE_BYTES);
    do {
        Py_BEGIN_ALLOW_THREADS;
        state = read_rows(&pq, &into);
        Py_END_ALLOW_THREADS;
    } while (state == WAITING && PyErr_CheckSignals() == 0);
    wake_at(&pq, 1);
    if (state == WAITING) goto release; /* a signal's handler has raised */
    if (into.left) {
        left = PyBytes_FromStringAndSize(into.left, into.left_bytes);
        pq.freemem(into.left);
        if (left == NULL) goto release;
    }
    result = Py_BuildValue("(iLLO)", (int)state, (long long)into.used, (long long)into.row,
                           left ? left : Py_None);
release:
    Py_XDECREF(left);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&data);
    return result;
}
#endif
