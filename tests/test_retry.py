"""What may pass is tried again, and nothing else; what was staged goes, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from datastores import retry
from datastores.errors import ConnectionFailedError, DataError, DatastoreError, DatastoreWarning
from datastores.retry import discarded_after, retried


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES_SECONDS", (0.001, 0.002))


class Failing:
    """Raises the errors it was given, one for each call, and then returns."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors: Iterator[BaseException] = iter(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        for error in self._errors:
            raise error
        return self.calls


def broken() -> DatastoreError:
    return ConnectionFailedError("the connection broke")


def test_what_passes_is_made_again() -> None:
    restarts: list[int] = []
    attempt = Failing(broken(), broken())
    assert retried(attempt, on_retry=lambda: restarts.append(attempt.calls)) == 3
    assert restarts == [1, 2]


def test_three_attempts_are_all_and_the_error_says_so() -> None:
    attempt = Failing(broken(), broken(), broken(), broken())
    with pytest.raises(ConnectionFailedError) as caught:
        retried(attempt)
    assert attempt.calls == 3
    assert caught.value.__notes__ == ["after 3 attempts"]


def test_what_stays_wrong_is_not_made_again() -> None:
    attempt = Failing(DataError("no such value"))
    with pytest.raises(DataError) as caught:
        retried(attempt)
    assert attempt.calls == 1
    assert not hasattr(caught.value, "__notes__")
    # Nor is it when it comes second.
    attempt = Failing(broken(), DataError("no such value"))
    with pytest.raises(DataError) as caught:
        retried(attempt)
    assert caught.value.__notes__ == ["after 2 attempts"]


def test_a_stop_ends_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES_SECONDS", (600.0,))
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    attempt = Failing(broken())
    with pytest.raises(ConnectionFailedError):
        retried(attempt, stop=stop)
    assert attempt.calls == 1


def test_staging_that_stays_is_a_note_or_a_warning() -> None:
    gone, still_there = Failing(), Failing(*(broken() for _ in range(6)))
    with discarded_after(gone, "j"):
        pass
    assert gone.calls == 1
    with (
        pytest.warns(DatastoreWarning, match="all was written, but the staging of job j"),
        discarded_after(still_there, "j"),
    ):
        pass
    assert still_there.calls == 3
    with pytest.raises(DataError) as caught, discarded_after(still_there, "j"):
        raise DataError("no such value")
    assert still_there.calls == 6
    assert caught.value.__notes__ == ["staging of job j was not removed: the connection broke"]


def test_who_presses_ctrl_c_does_not_wait() -> None:
    discard = Failing(broken())
    with pytest.raises(KeyboardInterrupt) as caught, discarded_after(discard, "j"):
        raise KeyboardInterrupt
    assert discard.calls == 1
    assert len(caught.value.__notes__) == 1
