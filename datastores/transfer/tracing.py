"""OpenTelemetry spans of a copy, where `opentelemetry-api` is installed; elsewhere nothing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from datastores import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

# Adds attributes to a span, but for those that are None.
Describe = Callable[..., None]


@contextlib.contextmanager
def span(name: str) -> Iterator[Describe]:
    """Trace the block as the span `datastores.NAME`; an error that ends it is recorded there.

    Attributes are described as `datastores.ATTRIBUTE`: the conventions for databases (`db.*`) know
    one end, and a copy has two. They hold no value of a row.
    """
    tracer = _tracer()
    if tracer is None:
        yield lambda **_: None
        return
    with tracer.start_as_current_span(f"datastores.{name}") as current:

        def describe(**attributes: str | int | None) -> None:
            for key, value in attributes.items():
                if value is not None:
                    current.set_attribute(f"datastores.{key}", value)

        try:
            yield describe
        except BaseException as error:
            # https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/#error-type
            current.set_attribute("error.type", type(error).__qualname__)
            raise


def carried() -> Mapping[str, str]:
    """Return what names the current span to another process."""
    carrier: dict[str, str] = {}
    if _tracer() is not None:
        from opentelemetry import propagate

        propagate.inject(carrier)
    return carrier


@contextlib.contextmanager
def continued(carrier: Mapping[str, str]) -> Iterator[None]:
    """Let the block's spans belong to the one that was carried here."""
    if _tracer() is None:
        yield
        return
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


@functools.cache
def _tracer() -> Tracer | None:
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None
    # Also right for an exporter that is set up later: until then it is a proxy.
    return trace.get_tracer("datastores", __version__)
