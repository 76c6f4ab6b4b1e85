/* The module and its table of kinds. */

#include "codec.h"

typedef struct {
    const char *name;
    enum kind kind;
    int wire_width;
    int arrow_width;
} known_kind;

/* A numeric's width in Arrow is its column's. */
static const known_kind KINDS[] = {
    {"bool", KIND_BOOL, 1, 0},
    {"int2", KIND_TWO_BYTES, 2, 2},
    {"int4", KIND_FOUR_BYTES, 4, 4},
    {"oid", KIND_FOUR_BYTES, 4, 4},
    {"float4", KIND_FOUR_BYTES, 4, 4},
    {"int8", KIND_EIGHT_BYTES, 8, 8},
    {"float8", KIND_EIGHT_BYTES, 8, 8},
    {"uuid", KIND_UUID, 16, 16},
    {"bytea", KIND_BYTES, -1, 0},
    {"text", KIND_TEXT, -1, 0},
    {"jsonb", KIND_JSONB, -1, 0},
    {"date", KIND_DATE, 4, 4},
    {"time", KIND_TIME, 8, 8},
    {"timestamp", KIND_TIMESTAMP, 8, 8},
    {"interval", KIND_INTERVAL, 16, 16},
    {"numeric", KIND_NUMERIC, -1, 0},
};
#define KIND_COUNT (sizeof KINDS / sizeof KINDS[0])

int read_shape(PyObject *item, column_shape *shape) {
    const char *name;
    numeric_shape *numeric = &shape->numeric;
    if (!PyArg_ParseTuple(item, "siiiiii", &name, &numeric->top, &numeric->bottom,
                          &numeric->padding, &numeric->scale, &numeric->first_limit,
                          &numeric->width))
        return 0;
    shape->kind = KIND_OTHER;
    shape->wire_width = -1;
    shape->arrow_width = 0;
    for (size_t at = 0; at < KIND_COUNT; at++)
        if (!strcmp(name, KINDS[at].name)) {
            shape->kind = KINDS[at].kind;
            shape->wire_width = KINDS[at].wire_width;
            shape->arrow_width = KINDS[at].arrow_width;
        }
    if (shape->kind != KIND_NUMERIC) return 1;
    shape->arrow_width = numeric->width;
    /* Weights are 16 bits, and the digits fit the decimal: checked, since loops rely on it. */
    if ((numeric->width != 16 && numeric->width != 32) || numeric->padding < 0 ||
        numeric->padding > 3 || numeric->bottom > 0 || numeric->bottom < -19 ||
        numeric->top < -1 || numeric->top > 18 || numeric->top < numeric->bottom) {
        PyErr_SetString(PyExc_ValueError, "not the shape of a decimal");
        return 0;
    }
    return 1;
}

static int add_kinds(PyObject *module) {
    PyObject *names = PyTuple_New(KIND_COUNT);
    if (names == NULL) return -1;
    for (size_t at = 0; at < KIND_COUNT; at++) {
        PyObject *name = PyUnicode_FromString(KINDS[at].name);
        if (name == NULL || PyTuple_SetItem(names, (Py_ssize_t)at, name) < 0) {
            Py_DECREF(names);
            return -1;
        }
    }
    int failed = PyModule_AddObjectRef(module, "KINDS", names);
    Py_DECREF(names);
    return failed;
}

static PyMethodDef methods[] = {
    {"decode", codec_decode, METH_VARARGS, NULL},
    {"encode", codec_encode, METH_VARARGS, NULL},
#ifndef _WIN32
    {"fetch", codec_fetch, METH_VARARGS, NULL},
#endif
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_kinds}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_compiled",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModuleDef_Init(&definition); }
