"""What every test stands on: folders of its own, no network, and skips that are accounted for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytest_plugins = ["tests.services.plugin", "tests.transfer.plugin"]

# The time of one example says more about the machine than about the code.
settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "long",
    max_examples=1_000,
    deadline=None,
    stateful_step_count=200,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts in turn: tests
# that press it would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

ALLOWED_SKIPS: tuple[str, ...] = (
    # What a driver says that it does not promise.
    "append is not declared",
    "declared as visible file by file",
    "the mode is not declared",
    "upsert is not declared",
    # A kernel or filesystem without an atomic exchange, which the test takes away.
    "where no two folders can be exchanged",
    # What only a privileged process may do: a full disk, a process stopped in a system call.
    "may not mount here",
    "may not trace here",
)
"""How the reasons begin for which a test may be skipped even where `CI` is set."""

_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost", "", None)


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if host not in _LOCAL_HOSTS:
        raise RuntimeError(f"a test reached for the network: {host}")


def pytest_configure() -> None:
    """Refuse connections to other machines for the rest of the process."""
    sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own home folder; nothing of the user's settings or data is seen or touched."""
    for name in [name for name in os.environ if name.startswith("DATASTORES_")]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    places = {"DATA": ".local/share", "CONFIG": ".config", "CACHE": ".cache", "STATE": ".state"}
    for word, place in places.items():
        monkeypatch.setenv(f"XDG_{word}_HOME", str(folder / place))
    return folder


@pytest.fixture(scope="session")
def exporter() -> Iterator[InMemorySpanExporter]:
    """What keeps the spans of a process, which has one provider for good."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skip under `CI`, unless its reason is listed above."""
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and os.environ.get("CI"):
        # A skip's report is (path, line, "Skipped: REASON").
        shown = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = shown.removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped in CI, and not allowed to be: {reason}"
    return report
