"""What the journal promises: a job is found until it is forgotten, by whoever asks, and counts once."""

from __future__ import annotations

import pyarrow as pa

from datastores.drivers.base import TableDriver
from datastores.drivers.writing import JobState, Receipt, WriteRequest
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import TableCase, read, write
from datastores.testing.table_writing import NEW, OLD, SCHEMA, either_way
from datastores.values import TableName, WriteMode

JOB = "a-job_1"


def request_for(table: TableName, parts: int | None) -> WriteRequest:
    """Return an append that a later call may go on from."""
    return WriteRequest(
        table=table,
        schema=SCHEMA,
        mode=WriteMode.APPEND,
        parts=parts,
        job=JOB,
        journal="what the caller keeps",
    )


def kept(receipts: tuple[Receipt, ...]) -> list[tuple[str, int, str]]:
    """Return what a journal has to keep of receipts."""
    return [(one.part, one.rows, one.note) for one in receipts]


class JournalConformance(TableCase):
    """Jobs in the journal of the target's own service."""

    def test_there_is_no_job_at_first(self, driver: TableDriver, table: TableName) -> None:
        write(driver, table, OLD)
        assert driver.find_job(JOB) is None
        assert driver.jobs() == []
        driver.forget_job(JOB)

    @either_way
    def test_a_job_is_found_until_it_is_forgotten(
        self, driver: TableDriver, table: TableName, parts: int | None
    ) -> None:
        write(driver, table, OLD)
        session = driver.begin(request_for(table, parts))
        receipt = session.write("0", NEW.to_reader(), lambda: "of the part")
        entry = driver.find_job(JOB)
        assert entry is not None
        assert (entry.state, entry.journal) == (JobState.WRITING, "what the caller keeps")
        assert driver.jobs() == [entry]
        session.publish([receipt])
        entry = driver.find_job(JOB)
        assert entry is not None
        assert (entry.state, entry.journal) == (JobState.PUBLISHED, "what the caller keeps")
        assert kept(entry.receipts) == [("0", len(NEW), "of the part")]
        assert [one.job for one in driver.jobs()] == [JOB]
        session.leave()
        driver.forget_job(JOB)
        assert driver.find_job(JOB) is None
        assert list(self.staging_left(driver)) == []
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    def test_another_call_goes_on_from_the_parts(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        halves = NEW.slice(0, 1), NEW.slice(1)
        first = driver.begin(request_for(table, None))
        first.write("0", halves[0].to_reader(), lambda: "first")
        first.leave()
        second = driver.begin(request_for(table, None))
        entry = driver.find_job(JOB)
        assert entry is not None
        assert kept(entry.receipts) == [("0", 1, "first")]
        second.publish([*entry.receipts, second.write("1", halves[1].to_reader())])
        second.discard()
        assert driver.find_job(JOB) is None
        assert list(self.staging_left(driver)) == []
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    def test_of_two_attempts_the_first_is_entered(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        session = driver.begin(request_for(table, None))
        first = session.write("0", NEW.to_reader(), lambda: "first")
        again = session.write("0", OLD.to_reader(), lambda: "again")
        assert kept((again,)) == kept((first,))
        session.publish([again])
        session.discard()
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    def test_a_part_that_was_taken_back_is_written_anew(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        session = driver.begin(request_for(table, None))
        session.write("0", OLD.to_reader(), lambda: "stale")
        session.forget("0")
        session.forget("no such part")
        receipt = session.write("0", NEW.to_reader(), lambda: "fresh")
        assert receipt.note == "fresh"
        session.publish([receipt])
        session.discard()
        assert list(self.staging_left(driver)) == []
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))
