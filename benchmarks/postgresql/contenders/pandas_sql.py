"""pandas, through SQLAlchemy and psycopg."""

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy
from psycopg.adapt import PyFormat, Transformer


def read(url: str, table: str) -> int:
    return len(pd.read_sql(f"SELECT * FROM {table}", _engine(url)))


def from_parquet(url: str, file: str, table: str) -> None:
    pd.read_parquet(file).to_sql(table, _engine(url), index=False)


def fetch(url: str, table: str) -> pa.Table:
    column = pd.read_sql(f"SELECT * FROM {table}", _engine(url))["v"]
    try:
        array = pa.Array.from_pandas(column.map(_plain, na_action="ignore"))
    except (pa.ArrowException, OverflowError):
        # What Arrow has no type for: the text that psycopg would send for it.
        texts = [None if value is None else _text(value) for value in column]
        array = pa.array(texts, pa.string())
    return pa.table({"v": array})


def store(url: str, table: str, data: pa.Table) -> None:
    data.to_pandas().to_sql(table, _engine(url), index=False)


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _text(value: Any) -> str:
    dumper = Transformer().get_dumper(value, PyFormat.TEXT)
    return bytes(dumper.dump(value) or b"").decode()


def _engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
