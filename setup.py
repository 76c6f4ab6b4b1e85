"""The one thing that pyproject.toml cannot say: how the compiled codec is built."""

from pathlib import Path

from setuptools import Extension, setup

CODEC = "datastores/drivers/azure_postgresql/codec"

setup(
    ext_modules=[
        Extension(
            f"{CODEC.replace('/', '.')}._compiled",
            sources=sorted(str(path) for path in Path(CODEC, "native").glob("*.c")),
            depends=[f"{CODEC}/native/codec.h"],
            py_limited_api=True,
            # Without a compiler the Python codec does the same, more slowly.
            optional=True,
        )
    ],
    # The stable ABI: one wheel serves every Python from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
