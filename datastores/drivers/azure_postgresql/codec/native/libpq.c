/* Rows of a COPY out of the libpq that psycopg has loaded, through pointers to its functions. */

#include "codec.h"

#ifndef _WIN32
#include <errno.h>
#include <poll.h>

/* https://www.postgresql.org/docs/current/libpq-copy.html */
typedef struct {
    int (*get_copy_data)(void *connection, char **row, int async);
    int (*consume_input)(void *connection);
    int (*socket)(const void *connection);
    void (*freemem)(void *row);
    void *connection;
} libpq;

enum state { FULL, TRAILER, END, BROKEN, WAITING };

/* How often a wait looks whether a signal has come. */
#define WAIT_MILLISECONDS 200

typedef struct {
    uint8_t *data;
    int64_t used, size;
    int64_t *ends;
    int64_t row, rows;
    char *left; /* a row that does not fit; libpq's memory */
    int left_bytes;
} window;

static enum state read_rows(const libpq *pq, window *into) {
    while (into->row < into->rows) {
        char *row = NULL;
        int size = pq->get_copy_data(pq->connection, &row, 1);
        if (size == -1) return END;
        if (size < 0) return BROKEN;
        if (size == 0) {
            struct pollfd one = {.fd = pq->socket(pq->connection), .events = POLLIN};
            int ready = poll(&one, 1, WAIT_MILLISECONDS);
            if (ready < 0 && errno != EINTR) return BROKEN;
            /* Also when nothing came: TLS may hold what was read off the socket before. */
            if (!pq->consume_input(pq->connection)) return BROKEN;
            if (ready <= 0) return WAITING;
            continue;
        }
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
    do {
        Py_BEGIN_ALLOW_THREADS;
        state = read_rows(&pq, &into);
        Py_END_ALLOW_THREADS;
        if (state == WAITING && PyErr_CheckSignals() < 0) goto release;
    } while (state == WAITING);
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
