/* What the parts of the compiled codec share: columns, and big-endian numbers at any address.

   The Python modules beside this folder are the definition of right. What is done here is only
   what goes well: at the first thing that does not, a function says no, and Python does the batch
   again, finds the same and raises the error. */

#ifndef DATASTORES_CODEC_H
#define DATASTORES_CODEC_H

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Arrow's buffers are little-endian, and are written as this machine's own numbers. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the compiled codec is for little-endian machines; the Python one is used elsewhere"
#endif

enum kind {
    KIND_OTHER, /* left to Python, which is told where the values are */
    KIND_BOOL,
    KIND_TWO_BYTES,
    KIND_FOUR_BYTES,
    KIND_EIGHT_BYTES,
    KIND_UUID,
    KIND_BYTES,
    KIND_TEXT,
    KIND_JSONB,
    KIND_DATE,
    KIND_TIME,
    KIND_TIMESTAMP,
    KIND_INTERVAL,
    KIND_NUMERIC
};

/* Which base-10000 digits a numeric has; `NumericGroups` in layout.py has the words. */
typedef struct {
    int top, bottom, padding, scale;
    int first_limit; /* the digit of the highest weight is less than this; 0 if any will do */
    int width;       /* of the Arrow decimal, in bytes */
} numeric_shape;

typedef struct {
    enum kind kind;
    int wire_width;  /* in COPY; -1 if it varies */
    int arrow_width; /* of a value in Arrow; 0 if it varies or is a bit */
    numeric_shape numeric;
} column_shape;

#define DAY_MICROSECONDS INT64_C(86400000000)
#define EPOCH_DAYS 10957
#define EPOCH_MICROSECONDS (EPOCH_DAYS * DAY_MICROSECONDS)
#define NUMERIC_BASE 10000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_HEADER_BYTES 8
#define DECIMAL_LIMBS 8 /* of 32 bits, in the widest decimal */
#define JSONB_VERSION 1

static inline uint16_t load16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t load32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t load64(const uint8_t *at) {
    return (uint64_t)load32(at) << 32 | load32(at + 4);
}

static inline void store16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void store64(uint8_t *at, uint64_t value) {
    store32(at, (uint32_t)(value >> 32));
    store32(at + 4, (uint32_t)value);
}

/* In this machine's order, at any address. */
#define GET(type, from, value)                   \
    type value;                                  \
    memcpy(&value, (from), sizeof(type))
#define PUT(type, to, value)                     \
    do {                                         \
        type put_ = (type)(value);               \
        memcpy((to), &put_, sizeof(type));       \
    } while (0)

/* Reads (kind, top, bottom, padding, scale, first_limit, width); 0 with an exception set. */
int read_shape(PyObject *item, column_shape *shape);

PyObject *codec_decode(PyObject *module, PyObject *args);
PyObject *codec_encode(PyObject *module, PyObject *args);
PyObject *codec_fetch(PyObject *module, PyObject *args);

#endif
