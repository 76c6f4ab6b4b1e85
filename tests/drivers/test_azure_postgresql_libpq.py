"""The compiled codec on a server: rows out of psycopg's own libpq, and what ends them early."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastores.drivers.azure_postgresql.codec import Decoder, Layout, decode
from datastores.drivers.azure_postgresql.codec.layout import Column
from datastores.errors import DatastoreError, DriverError
from tests.drivers.postgresql_codec import compiled
from tests.services.postgresql import Database

NUMBER: list[Column] = [("n", Layout(kind="int4", arrow=pa.int32()))]
TEXT: list[Column] = [("t", Layout(kind="text", arrow=pa.string()))]


def copied(
    connection: psycopg.Connection[tuple[object, ...]],
    codec: type[decode.Decoder],
    query: str,
    of: list[Column],
    batch_rows: int = 1000,
) -> pa.Table:
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()) as copy:
        found = list(codec(of, batch_rows).batches(copy))
    schema = pa.schema([(name, layout.arrow) for name, layout in of])
    return pa.Table.from_batches(found, schema)


def test_libpq_is_the_one_of_psycopg() -> None:
    assert compiled.libpq.functions() is not None


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 70_000])
def test_reads_all_rows(database: Database, codec: type[decode.Decoder], rows: int) -> None:
    with database.owner.connect() as connection:
        query = f"SELECT n::int4 FROM generate_series(1, {rows}) AS n"
        found = copied(connection, codec, query, NUMBER)
        assert found["n"].to_pylist() == list(range(1, rows + 1))
        # The connection is free again.
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
def test_rows_larger_than_a_batch(database: Database, codec: type[decode.Decoder]) -> None:
    query = (
        "SELECT repeat('x', n) FROM unnest(ARRAY[5, 9000000, 9000000, 20000000, 0, 40000000, 3])"
        " AS n"
    )
    with database.owner.connect() as connection:
        found = copied(connection, codec, query, TEXT)
    sizes = [len(value) for value in found["t"].to_pylist()]
    assert sizes == [5, 9_000_000, 9_000_000, 20_000_000, 0, 40_000_000, 3]


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
def test_an_error_in_the_middle(database: Database, codec: type[decode.Decoder]) -> None:
    query = "SELECT (100000 / (30000 - n))::int4 FROM generate_series(1, 50000) AS n"
    with database.owner.connect() as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            copied(connection, codec, query, NUMBER)
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
def test_a_connection_that_is_ended(database: Database, codec: type[decode.Decoder]) -> None:
    query = (
        "SELECT CASE WHEN n = 2000 THEN pg_terminate_backend(pg_backend_pid())::int4 ELSE n END "
        "FROM generate_series(1, 5000000) AS n"
    )
    with database.owner.connect() as connection, pytest.raises(psycopg.OperationalError):
        copied(connection, codec, query, NUMBER)


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
def test_a_reader_that_stops(database: Database, codec: type[decode.Decoder]) -> None:
    statement = (
        b"COPY (SELECT n::int4 FROM generate_series(1, 500000) AS n) TO STDOUT (FORMAT binary)"
    )
    with database.owner.connect() as connection:
        with (  # noqa: PT012  # what ends the COPY is the error
            pytest.raises(InterruptedError),
            connection.cursor().copy(statement) as copy,
        ):
            assert next(codec(NUMBER, 10).batches(copy)).num_rows == 10
            raise InterruptedError
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("codec", [decode.Decoder, compiled.Decoder])
def test_an_answer_that_is_no_binary_copy(database: Database, codec: type[decode.Decoder]) -> None:
    with (
        database.owner.connect() as connection,
        pytest.raises(DriverError, match="no binary COPY"),
        connection.cursor().copy(b"COPY (SELECT 1) TO STDOUT") as copy,
    ):
        list(codec(NUMBER, 10).batches(copy))


_COLUMNS = (
    ("a", Layout(kind="int4", arrow=pa.int32())),
    ("b", Layout(kind="text", arrow=pa.string())),
    ("c", Layout(kind="numeric", arrow=pa.decimal128(30, 3))),
    ("d", Layout(kind="array", arrow=pa.list_(pa.int16()), element=Layout(kind="int2", arrow=pa.int16()), element_oid=21, dimensions=1)),
    ("e", Layout(kind="jsonb", arrow=pa.json_())),
    ("f", Layout(kind="timestamp", arrow=pa.timestamp("us"))),
)  # fmt: skip


@pytest.fixture
def messages(database: Database) -> list[bytes]:
    query = (
        "SELECT n::int4, repeat('é', n), (n / 7.0)::numeric(30,3), array_fill(n::int2, array[n]), "
        "to_jsonb(n), 'epoch'::timestamp + n * interval '1 day' FROM generate_series(0, 9) n "
        "UNION ALL SELECT null, null, null, null, null, null"
    )
    statement = f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()
    with database.owner.connect() as connection, connection.cursor().copy(statement) as copy:
        return [bytes(message) for message in copy]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_never_more_than_an_error(
    messages: list[bytes], data: st.DataObject
) -> None:
    [whole] = Decoder(_COLUMNS, 100).batches(messages)
    assert whole.num_rows == 11
    damaged = list(messages)
    at = data.draw(st.integers(0, len(damaged) - 1))
    one = bytearray(damaged[at])
    match data.draw(st.sampled_from(["flip", "cut", "grow", "drop"])):
        case "flip":
            one[data.draw(st.integers(0, len(one) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            damaged[at] = bytes(one)
        case "cut":
            damaged[at] = bytes(one[: data.draw(st.integers(0, len(one) - 1))])
        case "grow":
            damaged[at] = bytes(one) + data.draw(st.binary(min_size=1, max_size=20))
        case _:
            del damaged[at:]
    try:
        for batch in Decoder(_COLUMNS, 100).batches(damaged):
            batch.validate(full=True)
    except DatastoreError:
        pass
