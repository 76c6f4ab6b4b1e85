/* Binary COPY -> the buffers of Arrow arrays. */

#include "codec.h"

typedef struct {
    column_shape shape;
    int64_t nulls, bytes;
    uint8_t *validity; /* NULL if no value is */
    uint8_t *values;
    int32_t *offsets;
    int32_t used; /* bytes of a column of varying width */
    int64_t *starts, *sizes; /* of KIND_OTHER, in place of values */
    PyObject *owners[3];
} column;

/* Checks every length, and adds up what each column will need. */
static int measure(const uint8_t *data, int64_t length, const int64_t *ends, int64_t rows,
                   column *columns, int count) {
    int64_t at = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t end = ends[row];
        if (end > length || end - at < 2 || load16(data + at) != count) return 0;
        at += 2;
        for (column *one = columns; one < columns + count; one++) {
            if (end - at < 4) return 0;
            int32_t size = (int32_t)load32(data + at);
            at += 4;
            if (size < 0) {
                if (size != -1) return 0;
                one->nulls++;
                continue;
            }
            if (size > end - at) return 0;
            if (one->shape.wire_width >= 0 && size != one->shape.wire_width) return 0;
            /* Its version is left out, and the bytes are counted without it below. */
            if (one->shape.kind == KIND_JSONB && size < 1) return 0;
            one->bytes += size;
            at += size;
        }
        if (at != end) return 0;
    }
    for (column *one = columns; one < columns + count; one++)
        if (one->shape.wire_width < 0 && one->bytes > INT32_MAX) return 0;
    return 1;
}

/* The digits of a number that 64 bits hold, down to the shape's lowest weight. */
static int sum_short(const numeric_shape *shape, const uint8_t *digits, int count, int weight,
                     uint64_t *total) {
    static const uint64_t cuts[] = {1, 10, 100, 1000};
    uint64_t sum = 0;
    for (int at = 0; at < count; at++) {
        uint32_t digit = load16(digits + 2 * at);
        if (digit >= NUMERIC_BASE) return 0;
        sum = sum * NUMERIC_BASE + digit;
    }
    for (int power = weight - count; power >= shape->bottom; power--) sum *= NUMERIC_BASE;
    if (shape->padding) {
        uint64_t cut = cuts[shape->padding];
        if (sum % cut) return 0;
        sum /= cut;
    }
    *total = sum;
    return 1;
}

/* Of a longer number each 32 bits are a limb, lowest first. */
static int sum_long(const numeric_shape *shape, const uint8_t *digits, int count, int weight,
                    uint32_t *limb) {
    static const uint32_t cuts[] = {1, 10, 100, 1000};
    for (int power = weight; power >= shape->bottom; power--) {
        int index = weight - power;
        uint32_t digit = index < count ? load16(digits + 2 * index) : 0;
        uint32_t base = NUMERIC_BASE;
        if (digit >= NUMERIC_BASE) return 0;
        if (power == shape->bottom && shape->padding) {
            uint32_t cut = cuts[shape->padding];
            if (digit % cut) return 0;
            digit /= cut;
            base /= cut;
        }
        uint64_t carry = digit;
        for (int at = 0; at < shape->width / 4; at++) {
            uint64_t grown = (uint64_t)limb[at] * base + carry;
            limb[at] = (uint32_t)grown;
            carry = grown >> 32;
        }
    }
    return 1;
}

static int decode_numeric(const numeric_shape *shape, const uint8_t *from, int32_t size,
                          uint8_t *to) {
    if (size < NUMERIC_HEADER_BYTES) return 0;
    int count = (int16_t)load16(from), weight = (int16_t)load16(from + 2);
    int sign = load16(from + 4);
    const uint8_t *digits = from + NUMERIC_HEADER_BYTES;
    if (sign != 0 && sign != NUMERIC_NEGATIVE) return 0;
    if (count < 0 || size != NUMERIC_HEADER_BYTES + 2 * count) return 0;
    memset(to, 0, (size_t)shape->width);
    if (count == 0) return 1;
    if (weight > shape->top || weight - count + 1 < shape->bottom) return 0;
    if (weight == shape->top && shape->first_limit && load16(digits) >= shape->first_limit)
        return 0;
    if (weight - shape->bottom < 4) {
        uint64_t total;
        if (!sum_short(shape, digits, count, weight, &total)) return 0;
        int64_t value = sign ? -(int64_t)total : (int64_t)total;
        memcpy(to, &value, 8);
        if (value < 0) memset(to + 8, 0xFF, (size_t)shape->width - 8);
        return 1;
    }
    uint32_t limb[DECIMAL_LIMBS] = {0};
    if (!sum_long(shape, digits, count, weight, limb)) return 0;
    if (sign) {
        uint64_t carry = 1;
        for (int at = 0; at < shape->width / 4; at++) {
            uint64_t grown = (uint64_t)(uint32_t)~limb[at] + carry;
            limb[at] = (uint32_t)grown;
            carry = grown >> 32;
        }
    }
    memcpy(to, limb, (size_t)shape->width);
    return 1;
}

static int decode_interval(const uint8_t *from, uint8_t *to) {
    int64_t microseconds = (int64_t)load64(from), limit = INT64_MAX / 1000;
    if (microseconds > limit || microseconds < -limit) return 0;
    PUT(int32_t, to, load32(from + 12));
    PUT(int32_t, to + 4, load32(from + 8));
    PUT(int64_t, to + 8, microseconds * 1000);
    return 1;
}

/* One value that is not NULL; `measure` has seen that its bytes are there. */
static inline int decode_value(column *one, int64_t row, const uint8_t *from, int32_t size) {
    uint8_t *to = one->values + row * one->shape.arrow_width;
    switch (one->shape.kind) {
        case KIND_BOOL:
            if (*from) one->values[row >> 3] |= (uint8_t)(1 << (row & 7));
            return 1;
        case KIND_TWO_BYTES:
            PUT(uint16_t, to, load16(from));
            return 1;
        case KIND_FOUR_BYTES:
            PUT(uint32_t, to, load32(from));
            return 1;
        case KIND_EIGHT_BYTES:
            PUT(uint64_t, to, load64(from));
            return 1;
        case KIND_UUID:
            memcpy(to, from, 16);
            return 1;
        case KIND_JSONB:
            if (*from != JSONB_VERSION) return 0;
            from++;
            size--;
            /* fall through */
        case KIND_BYTES:
        case KIND_TEXT:
            memcpy(one->values + one->used, from, (size_t)size);
            one->used += size;
            return 1;
        case KIND_DATE: {
            int32_t days = (int32_t)load32(from);
            if (days == INT32_MIN || days > INT32_MAX - EPOCH_DAYS) return 0;
            PUT(int32_t, to, days + EPOCH_DAYS);
            return 1;
        }
        case KIND_TIME: {
            int64_t time = (int64_t)load64(from);
            if (time < 0 || time >= DAY_MICROSECONDS) return 0;
            PUT(int64_t, to, time);
            return 1;
        }
        case KIND_TIMESTAMP: {
            int64_t time = (int64_t)load64(from);
            if (time == INT64_MIN || time > INT64_MAX - EPOCH_MICROSECONDS) return 0;
            PUT(int64_t, to, time + EPOCH_MICROSECONDS);
            return 1;
        }
        case KIND_INTERVAL:
            return decode_interval(from, to);
        case KIND_NUMERIC:
            return decode_numeric(&one->shape.numeric, from, size, to);
        case KIND_OTHER:
            return 1;
    }
    return 0;
}

static int decode_rows(const uint8_t *data, int64_t rows, column *columns, int count) {
    const uint8_t *at = data;
    for (int64_t row = 0; row < rows; row++) {
        at += 2;
        for (column *one = columns; one < columns + count; one++) {
            int32_t size = (int32_t)load32(at);
            at += 4;
            if (one->shape.kind == KIND_OTHER) {
                one->starts[row] = at - data;
                one->sizes[row] = size;
            } else if (size >= 0) {
                if (one->validity) one->validity[row >> 3] |= (uint8_t)(1 << (row & 7));
                if (!decode_value(one, row, at, size)) return 0;
            } else if (one->shape.arrow_width)
                memset(one->values + row * one->shape.arrow_width, 0,
                       (size_t)one->shape.arrow_width);
            if (one->offsets) one->offsets[row + 1] = one->used;
            if (size > 0) at += size;
        }
    }
    return 1;
}

static int all_ascii(const uint8_t *values, int32_t size) {
    uint8_t seen = 0;
    for (int32_t at = 0; at < size; at++) seen |= values[at];
    return seen < 0x80;
}

static uint8_t *allocate(column *one, int place, int64_t size) {
    one->owners[place] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    return one->owners[place] ? (uint8_t *)PyBytes_AsString(one->owners[place]) : NULL;
}

/* New bytes objects, which nobody else has yet and which are therefore written to. */
static int allocate_column(column *one, int64_t rows) {
    int64_t bits = (rows + 7) / 8;
    if (one->shape.kind == KIND_OTHER) {
        one->starts = (int64_t *)(void *)allocate(one, 0, 8 * rows);
        one->sizes = (int64_t *)(void *)allocate(one, 1, 8 * rows);
        return one->starts && one->sizes;
    }
    if (one->nulls) {
        if (!(one->validity = allocate(one, 0, bits))) return 0;
        memset(one->validity, 0, (size_t)bits);
    }
    int64_t size = one->shape.kind == KIND_BOOL ? bits
                   : one->shape.arrow_width     ? rows * one->shape.arrow_width
                                                : one->bytes;
    if (one->shape.kind == KIND_JSONB) size -= rows - one->nulls;
    if (!(one->values = allocate(one, 1, size))) return 0;
    if (one->shape.kind == KIND_BOOL) memset(one->values, 0, (size_t)size);
    if (!one->shape.arrow_width && one->shape.kind != KIND_BOOL) {
        one->offsets = (int32_t *)(void *)allocate(one, 2, 4 * (rows + 1));
        if (!one->offsets) return 0;
        one->offsets[0] = 0;
    }
    return 1;
}

static PyObject *result_of(column *columns, int count) {
    PyObject *result = PyList_New(count);
    for (int at = 0; result && at < count; at++) {
        column *one = columns + at;
        PyObject *parts[3];
        for (int place = 0; place < 3; place++)
            parts[place] = one->owners[place] ? one->owners[place] : Py_None;
        int ascii = one->shape.kind < KIND_TEXT || one->shape.kind > KIND_JSONB ||
                    all_ascii(one->values, one->used);
        PyObject *item = Py_BuildValue("(LOOOO)", (long long)one->nulls, parts[0], parts[1],
                                       parts[2], ascii ? Py_True : Py_False);
        if (!item || PyList_SetItem(result, at, item) < 0) Py_CLEAR(result);
    }
    return result;
}

static PyObject *decode(const Py_buffer *data, const Py_buffer *ends, column *columns, int count) {
    int64_t rows = ends->len / (int64_t)sizeof(int64_t);
    int good;
    Py_BEGIN_ALLOW_THREADS;
    good = measure(data->buf, data->len, ends->buf, rows, columns, count);
    Py_END_ALLOW_THREADS;
    if (!good) Py_RETURN_NONE;
    for (int at = 0; at < count; at++)
        if (!allocate_column(columns + at, rows)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    good = decode_rows(data->buf, rows, columns, count);
    Py_END_ALLOW_THREADS;
    if (!good) Py_RETURN_NONE;
    return result_of(columns, count);
}

/* decode(data, ends, shapes) -> [(nulls, validity, values, offsets, ascii)] or None */
PyObject *codec_decode(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer data, ends;
    PyObject *shapes, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*O!", &data, &ends, &PyTuple_Type, &shapes)) return NULL;
    int count = (int)PyTuple_Size(shapes);
    column *columns = PyMem_Calloc((size_t)count + 1, sizeof(column));
    int good = columns != NULL;
    if (!good) PyErr_NoMemory();
    for (int at = 0; good && at < count; at++)
        good = read_shape(PyTuple_GetItem(shapes, at), &columns[at].shape);
    if (good) result = decode(&data, &ends, columns, count);
    for (int at = 0; columns && at < count; at++)
        for (int place = 0; place < 3; place++) Py_XDECREF(columns[at].owners[place]);
    PyMem_Free(columns);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&data);
    return result;
}
