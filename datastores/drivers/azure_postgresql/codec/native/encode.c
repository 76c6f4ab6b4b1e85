/* The buffers of Arrow arrays -> binary COPY. */

#include "codec.h"

/* As src/include/datatype/timestamp.h of PostgreSQL has them; layout.py has the source. */
#define FIRST_DAY (-2451507)
#define LAST_DAY 2145031948
#define FIRST_MICROSECOND INT64_C(-211813488000000000)

typedef struct {
    column_shape shape;
    int64_t first; /* the row of the buffers where the array begins */
    Py_buffer validity, values, offsets; /* of KIND_OTHER: sizes, and where starts are put */
} column;

static int is_valid(const column *one, int64_t row) {
    const uint8_t *bits = one->validity.buf;
    row += one->first;
    return bits == NULL || bits[row >> 3] >> (row & 7) & 1;
}

static int groups_of(const numeric_shape *shape) { return shape->top - shape->bottom + 1; }

static int wire_width(const column_shape *shape) {
    return shape->kind == KIND_NUMERIC ? NUMERIC_HEADER_BYTES + 2 * groups_of(&shape->numeric)
                                       : shape->wire_width;
}

static const int32_t *offsets_of(const column *one) {
    return (const int32_t *)one->offsets.buf + one->first;
}

/* The bytes that a column's values take at most, without their length words; -1 if something is
   amiss. */
static int64_t measure(const column *one, int64_t rows) {
    int64_t reach = one->first + rows, bytes = 0;
    if (one->first < 0 || (one->validity.buf && one->validity.len < (reach + 7) / 8)) return -1;
    if (one->shape.kind == KIND_OTHER) {
        const int64_t *sizes = one->values.buf;
        if (one->values.len < 8 * rows || one->offsets.len < 8 * rows) return -1;
        for (int64_t row = 0; row < rows; row++) {
            if (sizes[row] > INT32_MAX) return -1;
            bytes += sizes[row] > 0 ? sizes[row] : 0;
        }
        return bytes;
    }
    int width = wire_width(&one->shape);
    if (width >= 0) {
        int64_t held = one->shape.kind == KIND_BOOL ? (reach + 7) / 8
                                                    : reach * one->shape.arrow_width;
        if (one->values.len < held) return -1;
        for (int64_t row = 0; row < rows; row++) bytes += is_valid(one, row) ? width : 0;
        return bytes;
    }
    if (one->offsets.len < 4 * (reach + 1)) return -1;
    const int32_t *offsets = offsets_of(one);
    int jsonb = one->shape.kind == KIND_JSONB;
    if (rows && offsets[0] < 0) return -1;
    for (int64_t row = 0; row < rows; row++) {
        if (offsets[row + 1] < offsets[row]) return -1;
        if (is_valid(one, row)) bytes += (int64_t)offsets[row + 1] - offsets[row] + jsonb;
    }
    if (offsets[rows] > one->values.len) return -1;
    /* What lies under a NULL is looked at too: Python then knows which it was. */
    if (one->shape.kind != KIND_BYTES && offsets[rows] > offsets[0] &&
        memchr((const char *)one->values.buf + offsets[0], 0, (size_t)(offsets[rows] - offsets[0])))
        return -1;
    return bytes;
}

/* The digits of a number that does not fit 64 bits, from the last; no if there are more. */
static int put_long_digits(const numeric_shape *shape, uint32_t *limb, int limbs, uint8_t *last) {
    static const uint32_t factors[] = {1, 10, 100, 1000};
    uint64_t carry = 0;
    for (int at = 0; at < limbs; at++) {
        uint64_t grown = (uint64_t)limb[at] * factors[shape->padding] + carry;
        limb[at] = (uint32_t)grown;
        carry = grown >> 32;
    }
    limb[limbs++] = (uint32_t)carry;
    for (int group = groups_of(shape); group > 0; group--, last -= 2) {
        uint64_t rest = 0;
        while (limbs && !limb[limbs - 1]) limbs--;
        for (int at = limbs - 1; at >= 0; at--) {
            rest = rest << 32 | limb[at];
            limb[at] = (uint32_t)(rest / NUMERIC_BASE);
            rest %= NUMERIC_BASE;
        }
        store16(last, (uint16_t)rest);
    }
    for (int at = 0; at < limbs; at++)
        if (limb[at]) return 0;
    return 1;
}

/* Whether the first digit is one that the precision has room for. */
static int fits(const numeric_shape *shape, const uint8_t *first) {
    return !shape->first_limit || load16(first) < shape->first_limit;
}

static int encode_numeric(const numeric_shape *shape, const uint8_t *from, uint8_t *to) {
    static const uint64_t factors[] = {1, 10, 100, 1000};
    int limbs = shape->width / 4, groups = groups_of(shape);
    uint32_t limb[DECIMAL_LIMBS + 1];
    memcpy(limb, from, (size_t)shape->width);
    int negative = (int)(limb[limbs - 1] >> 31);
    if (negative) {
        uint64_t carry = 1;
        for (int at = 0; at < limbs; at++) {
            uint64_t grown = (uint64_t)(uint32_t)~limb[at] + carry;
            limb[at] = (uint32_t)grown;
            carry = grown >> 32;
        }
    }
    store16(to, (uint16_t)groups);
    store16(to + 2, (uint16_t)shape->top);
    store16(to + 4, negative ? NUMERIC_NEGATIVE : 0);
    store16(to + 6, (uint16_t)shape->scale);
    uint8_t *last = to + NUMERIC_HEADER_BYTES + 2 * (groups - 1);
    uint32_t high = 0;
    for (int at = 2; at < limbs; at++) high |= limb[at];
    uint64_t low = (uint64_t)limb[1] << 32 | limb[0];
    if (high || low > UINT64_MAX / 1000)
        return put_long_digits(shape, limb, limbs, last) && fits(shape, to + NUMERIC_HEADER_BYTES);
    low *= factors[shape->padding];
    for (int group = groups; group > 0; group--, last -= 2) {
        store16(last, (uint16_t)(low % NUMERIC_BASE));
        low /= NUMERIC_BASE;
    }
    return low == 0 && fits(shape, to + NUMERIC_HEADER_BYTES);
}

/* Drops the zeros at both ends, as the server would; returns how many bytes the number then has. */
static int without_zeros(uint8_t *number) {
    uint8_t *digits = number + NUMERIC_HEADER_BYTES;
    int first = 0, end = load16(number), weight = (int16_t)load16(number + 2);
    while (end > 0 && !load16(digits + 2 * (end - 1))) end--;
    while (first < end && !load16(digits + 2 * first)) first++;
    memmove(digits, digits + 2 * first, (size_t)(2 * (end - first)));
    store16(number, (uint16_t)(end - first));
    store16(number + 2, (uint16_t)(end ? weight - first : 0));
    return NUMERIC_HEADER_BYTES + 2 * (end - first);
}

/* One value that is not NULL, and its length word; NULL if PostgreSQL has no such value. */
static inline uint8_t *encode_value(const column *one, int64_t row, uint8_t *to) {
    const uint8_t *values = one->values.buf;
    const uint8_t *from = values + (one->first + row) * one->shape.arrow_width;
    int width = one->shape.wire_width;
    store32(to, (uint32_t)width);
    to += 4;
    switch (one->shape.kind) {
        case KIND_BOOL: {
            int64_t bit = one->first + row;
            *to = values[bit >> 3] >> (bit & 7) & 1;
            break;
        }
        case KIND_TWO_BYTES: {
            GET(uint16_t, from, value);
            store16(to, value);
            break;
        }
        case KIND_FOUR_BYTES: {
            GET(uint32_t, from, value);
            store32(to, value);
            break;
        }
        case KIND_EIGHT_BYTES: {
            GET(uint64_t, from, value);
            store64(to, value);
            break;
        }
        case KIND_UUID:
            memcpy(to, from, 16);
            break;
        case KIND_BYTES:
        case KIND_TEXT:
        case KIND_JSONB: {
            const int32_t *offsets = offsets_of(one) + row;
            int prefix = one->shape.kind == KIND_JSONB;
            int32_t size = offsets[1] - offsets[0];
            if (size == INT32_MAX) return NULL;
            store32(to - 4, (uint32_t)(size + prefix));
            if (prefix) *to++ = JSONB_VERSION;
            if (size) memcpy(to, values + offsets[0], (size_t)size);
            width = size;
            break;
        }
        case KIND_DATE: {
            GET(int32_t, from, days);
            if (days < FIRST_DAY + EPOCH_DAYS || days > LAST_DAY + EPOCH_DAYS) return NULL;
            store32(to, (uint32_t)(days - EPOCH_DAYS));
            break;
        }
        case KIND_TIME: {
            GET(int64_t, from, time);
            if (time < 0 || time >= DAY_MICROSECONDS) return NULL;
            store64(to, (uint64_t)time);
            break;
        }
        case KIND_TIMESTAMP: {
            GET(int64_t, from, time);
            if (time < FIRST_MICROSECOND + EPOCH_MICROSECONDS) return NULL;
            store64(to, (uint64_t)(time - EPOCH_MICROSECONDS));
            break;
        }
        case KIND_INTERVAL: {
            GET(uint32_t, from, months);
            GET(uint32_t, from + 4, days);
            GET(int64_t, from + 8, nanoseconds);
            if (nanoseconds % 1000) return NULL;
            store64(to, (uint64_t)(nanoseconds / 1000));
            store32(to + 8, days);
            store32(to + 12, months);
            break;
        }
        case KIND_NUMERIC:
            if (!encode_numeric(&one->shape.numeric, from, to)) return NULL;
            width = without_zeros(to);
            store32(to - 4, (uint32_t)width);
            break;
        case KIND_OTHER:
            return NULL;
    }
    return to + width;
}

/* Returns the end of what was written, or NULL. */
static uint8_t *encode_rows(const column *columns, int count, int64_t rows, uint8_t *out) {
    uint8_t *to = out;
    for (int64_t row = 0; row < rows; row++) {
        store16(to, (uint16_t)count);
        to += 2;
        for (const column *one = columns; one < columns + count; one++) {
            if (one->shape.kind == KIND_OTHER) {
                int64_t size = ((const int64_t *)one->values.buf)[row];
                ((int64_t *)one->offsets.buf)[row] = to - out;
                to += 4 + (size > 0 ? size : 0);
            } else if (is_valid(one, row)) {
                if (!(to = encode_value(one, row, to))) return NULL;
            } else {
                store32(to, UINT32_MAX);
                to += 4;
            }
        }
    }
    return to;
}

static PyObject *encode(const column *columns, int count, int64_t rows) {
    int64_t total = rows * 2;
    Py_BEGIN_ALLOW_THREADS;
    for (int at = 0; total >= 0 && at < count; at++) {
        int64_t bytes = measure(columns + at, rows);
        total = bytes < 0 ? -1 : total + bytes + 4 * rows;
    }
    Py_END_ALLOW_THREADS;
    if (total < 0) Py_RETURN_NONE;
    PyObject *out = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (out == NULL) return NULL;
    uint8_t *to = (uint8_t *)PyByteArray_AsString(out), *end;
    Py_BEGIN_ALLOW_THREADS;
    end = encode_rows(columns, count, rows, to);
    Py_END_ALLOW_THREADS;
    if (end == NULL) {
        Py_DECREF(out);
        Py_RETURN_NONE;
    }
    if (PyByteArray_Resize(out, (Py_ssize_t)(end - to)) < 0) Py_CLEAR(out);
    return out;
}

static int take_buffer(PyObject *from, Py_buffer *buffer, int flags) {
    return from == Py_None || PyObject_GetBuffer(from, buffer, flags) == 0;
}

static int take_column(PyObject *shape, PyObject *item, column *one) {
    PyObject *validity, *values, *offsets;
    long long first;
    if (!read_shape(shape, &one->shape)) return 0;
    if (!PyArg_ParseTuple(item, "LOOO", &first, &validity, &values, &offsets)) return 0;
    one->first = first;
    int flags = one->shape.kind == KIND_OTHER ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    return take_buffer(validity, &one->validity, PyBUF_SIMPLE) &&
           take_buffer(values, &one->values, PyBUF_SIMPLE) &&
           take_buffer(offsets, &one->offsets, flags);
}

/* encode(rows, shapes, [(first, validity, values, offsets)]) -> bytearray or None */
PyObject *codec_encode(PyObject *module, PyObject *args) {
    (void)module;
    long long rows;
    PyObject *shapes, *arrays, *result = NULL;
    if (!PyArg_ParseTuple(args, "LO!O!", &rows, &PyTuple_Type, &shapes, &PyTuple_Type, &arrays))
        return NULL;
    int count = (int)PyTuple_Size(shapes);
    if (rows < 0 || PyTuple_Size(arrays) != count) {
        PyErr_SetString(PyExc_ValueError, "as many arrays as shapes are needed");
        return NULL;
    }
    column *columns = PyMem_Calloc((size_t)count + 1, sizeof(column));
    int good = columns != NULL;
    if (!good) PyErr_NoMemory();
    for (int at = 0; good && at < count; at++)
        good = take_column(PyTuple_GetItem(shapes, at), PyTuple_GetItem(arrays, at), columns + at);
    if (good) result = encode(columns, count, rows);
    for (int at = 0; columns && at < count; at++) {
        PyBuffer_Release(&columns[at].validity);
        PyBuffer_Release(&columns[at].values);
        PyBuffer_Release(&columns[at].offsets);
    }
    PyMem_Free(columns);
    return result;
}
