"""pandas, through SQLAlchemy and psycopg."""

import pandas as pd
import sqlalchemy


def read(url: str, table: str) -> int:
    return len(pd.read_sql(f"SELECT * FROM {table}", _engine(url)))


def from_parquet(url: str, file: str, table: str) -> None:
    pd.read_parquet(file).to_sql(table, _engine(url), index=False)


def _engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
