"""What incremental copies rely on: a bookmark changes with the rows, or neither does."""

from __future__ import annotations

import pyarrow as pa
import pytest

from datastores.drivers.base import TableDriver
from datastores.drivers.increments import Bookmark
from datastores.drivers.writing import WriteRequest
from datastores.errors import AlreadyExistsError, PreconditionFailedError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import TableCase, read, write
from datastores.testing.table_writing import NEW, OLD, SCHEMA, either_way
from datastores.values import TableName, WriteMode


def first(text: str) -> Bookmark:
    """Return a bookmark where there is none yet."""
    return Bookmark(name="orders", before=None, text=text)


class BookmarkConformance(TableCase):
    """What a copy remembers is there from the moment of its publish, and goes on from one to the next."""

    @either_way
    def test_a_bookmark_appears_with_the_rows(
        self, driver: TableDriver, table: TableName, parts: int | None
    ) -> None:
        assert driver.find_bookmark("orders") is None
        request = WriteRequest(table=table, schema=SCHEMA, parts=parts, bookmark=first("one"))
        session = driver.begin(request)
        receipt = session.write("0", OLD.to_reader())
        assert driver.find_bookmark("orders") is None
        session.publish([receipt])
        assert driver.find_bookmark("orders") == "one"
        session.publish([receipt])
        session.discard()
        write(
            driver,
            table,
            NEW,
            WriteMode.APPEND,
            parts=parts,
            bookmark=Bookmark(name="orders", before="one", text="two"),
        )
        assert driver.find_bookmark("orders") == "two"
        assert driver.find_bookmark("others") is None
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    @either_way
    @pytest.mark.parametrize("begun", [False, True], ids=["first", "later"])
    def test_of_two_that_go_on_from_one_bookmark_one_is_published(
        self, driver: TableDriver, table: TableName, parts: int | None, begun: bool
    ) -> None:
        write(driver, table, OLD, bookmark=first("one") if begun else None)
        before = "one" if begun else None
        requests = [
            WriteRequest(
                table=table,
                schema=SCHEMA,
                mode=WriteMode.APPEND,
                parts=parts,
                bookmark=Bookmark(name="orders", before=before, text=text),
            )
            for text in ("mine", "theirs")
        ]
        mine, theirs = (driver.begin(request) for request in requests)
        receipts = [session.write("0", NEW.to_reader()) for session in (mine, theirs)]
        mine.publish([receipts[0]])
        with pytest.raises(PreconditionFailedError, match="meanwhile"):
            theirs.publish([receipts[1]])
        theirs.discard()
        mine.discard()
        assert driver.find_bookmark("orders") == "mine"
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    def test_a_write_that_fails_remembers_nothing(
        self, driver: TableDriver, table: TableName
    ) -> None:
        request = WriteRequest(table=table, schema=SCHEMA, bookmark=first("one"))
        slow = driver.begin(request)
        receipt = slow.write("0", NEW.to_reader())
        write(driver, table, OLD)
        with pytest.raises(AlreadyExistsError):
            slow.publish([receipt])
        slow.discard()
        assert driver.find_bookmark("orders") is None
        assert_same_table(read(driver, table), OLD)
