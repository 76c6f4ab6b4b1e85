"""Which tables `copy_all` copies, where each goes, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from urllib.parse import unquote

from datastores.datastore import StorePath
from datastores.drivers.base import FileDriver, TableFacts
from datastores.errors import ConfigurationError, NotFoundError, did_you_mean, located
from datastores.formats.registry import known_ending
from datastores.location import join_path
from datastores.transfer.endpoints import table_at
from datastores.values import TableName, WriteMode

Globs = str | Sequence[str] | None

# What no folder may be named, or what a listing would skip or take for a partition or a pattern.
_UNSAFE = re.compile(r"[%/\\.*?\[\]=\x00-\x1f]|^_")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCopy:
    """One table on its way."""

    name: str
    """As patterns see it: `schema.table`."""
    source: StorePath
    table: TableName
    """As the source's driver names it."""
    target: StorePath
    columns: tuple[str, ...] | None = None
    """Which are copied; None for all."""
    notes: tuple[str, ...] = ()
    """What a user should know of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What one call copies."""

    tables: tuple[TableCopy, ...]
    """In the order in which they are copied."""
    left_out: tuple[tuple[str, str], ...]
    """Names that the patterns meant, each with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    parts: tuple[str, ...]
    """Schema and table, or folders and table; without the ending of a file."""
    facts: TableFacts

    @property
    def name(self) -> str:
        return ".".join(one.replace("%", "%25").replace(".", "%2E") for one in self.parts)


def select(
    source: StorePath, target: StorePath, *, include: Globs, exclude: Globs, mode: WriteMode
) -> Selection:
    """Return what a call copies, from the catalogues and listings of both ends.

    Raises:
        NotFoundError: Nothing is there to be copied, or a pattern of `include` means nothing.
        ConfigurationError: Two tables would become one, or a name has no place at the target.
    """
    listed = _listed(source)
    wanted, excluded = _globs(include), _globs(exclude)
    _refuse_vain(source, wanted, [one.name for one in listed])
    chosen, left_out = [], []
    for one in listed:
        if not _matches(one.name, wanted or ("*",)) or _matches(one.name, excluded):
            continue
        if one.facts.not_its_own is not None and one.name not in wanted:
            left_out.append((one.name, one.facts.not_its_own))
        else:
            chosen.append(one)
    if not chosen:
        raise NotFoundError(
            f"no table of {source} is to be copied",
            store=source.store.name,
            advice="datastores tables lists what is there; a view is included by its whole name",
        )
    places = {one.name: _place(one, source, target) for one in chosen}
    _refuse_clashes(places)
    known = {} if _is_files(target) else {one.table: one for one in _facts(target)}
    there = {name: known.get(table_at(place)) for name, place in places.items()}
    order, late = in_order(_references(chosen, there))
    by_name = {one.name: one for one in chosen}
    exists = mode is not WriteMode.CREATE
    return Selection(
        tables=tuple(
            _table_copy(by_name[name], source, places[name], there[name] if exists else None, late)
            for name in order
        ),
        left_out=tuple(left_out),
    )


def in_order(
    references: Mapping[str, Iterable[str]],
) -> tuple[list[str], Mapping[str, set[str]]]:
    """Return names so that what others refer to comes first, else by name.

    Where some refer to each other in a circle, the first of it by name goes before what it refers to;
    the second result says of each such name what that is.
    """
    left = {name: set(references[name]) - {name} for name in sorted(references)}
    late: dict[str, set[str]] = {}
    while True:
        sorter = TopologicalSorter(left)
        try:
            sorter.prepare()
        except CycleError as error:
            # Each of the circle's names is referred to by the next one.
            circle: list[str] = error.args[1]
            at = circle.index(min(circle), 1)
            left[circle[at]].discard(circle[at - 1])
            late.setdefault(circle[at], set()).add(circle[at - 1])
            continue
        order: list[str] = []
        while sorter.is_active():
            free = sorted(sorter.get_ready())
            order += free
            sorter.done(*free)
        return order, late


def _is_files(end: StorePath) -> bool:
    return isinstance(end.store.driver, FileDriver)


def _namespace(end: StorePath) -> str | None:
    """Return the schema or folder that a place is; None for a whole store."""
    path = end.path.rstrip("/")
    if not path:
        return None
    if _is_files(end):
        return path
    if "/" in path:
        raise ConfigurationError(
            f"{end} is a table, and no store or schema",
            store=end.store.name,
            advice="Name the store or a schema of it, or copy the one table with copy",
        )
    return path.replace("%2F", "/")


def _facts(end: StorePath) -> list[TableFacts]:
    store = end.store
    with located(store=store.name, driver=store.type, operation="tables", target=str(end)):
        return store.tabular.describe_tables(_namespace(end))


def _listed(source: StorePath) -> list[_Listed]:
    found = []
    above = source.path.rstrip("/")
    for one in _facts(source):
        table = one.table
        if _is_files(source):
            inner = table.name[len(above) :].strip("/")
            inner = inner[: len(inner) - len(known_ending(inner))]
            parts = tuple(unquote(part) for part in inner.split("/"))
        else:
            parts = tuple(filter(None, (table.schema, table.name)))
        found.append(_Listed(parts=parts, facts=one))
    return found


def _place(one: _Listed, source: StorePath, target: StorePath) -> StorePath:
    """Return where a table goes."""
    if _is_files(target):
        if _is_files(source):
            inner = one.facts.table.name[len(source.path.rstrip("/")) :].lstrip("/")
        else:
            inner = "/".join(_UNSAFE.sub(_encoded, part) for part in one.parts) + "/"
        return StorePath(target.store, join_path(target.path, inner))
    schema = _namespace(target)
    *above, name = one.parts
    if len(above) > 1:
        raise ConfigurationError(
            f"{one.name} lies too deep for a table of {target.store.label}: schema.table",
            advice="Copy from the folder that holds the schemas, or leave it out with exclude",
        )
    if schema is None and not above:
        raise ConfigurationError(
            f"{one.name} has no schema, and {target} names none",
            advice=f'Name the schema: {target.store.label} / "SCHEMA"',
        )
    table = TableName(name, schema if schema is not None else above[0])
    place = StorePath(target.store, _path(table))
    if table_at(place) != table:
        raise ConfigurationError(
            f"{one.name} would be named {table} in {target.store.label}, which no URL can say",
            advice="Copy it with a name of its own, or leave it out with exclude",
        )
    return place


def _path(table: TableName) -> str:
    parts = (table.schema, table.name) if table.schema is not None else (table.name,)
    return "/".join(part.replace("/", "%2F") for part in parts)


def _encoded(match: re.Match[str]) -> str:
    return f"%{ord(match.group()):02X}"


def _refuse_clashes(places: Mapping[str, StorePath]) -> None:
    seen: dict[str, str] = {}
    for name, place in places.items():
        # A folder and a file without an ending are one place.
        path = place.path.rstrip("/")
        if path in seen:
            raise ConfigurationError(
                f"{seen[path]} and {name} would both become {place}",
                advice="Leave one of them out with exclude, or copy to a whole store",
            )
        seen[path] = name


def _references(
    chosen: Sequence[_Listed],
    there: Mapping[str, TableFacts | None],
) -> Mapping[str, set[str]]:
    """Return which tables refer to which, at either end, as far as they are copied."""
    at_source = {one.facts.table: one.name for one in chosen}
    at_target = {facts.table: name for name, facts in there.items() if facts is not None}
    found: dict[str, set[str]] = {}
    for one in chosen:
        facts = there[one.name]
        names = {at_source.get(other) for other in one.facts.refers_to}
        names |= {at_target.get(other) for other in (facts.refers_to if facts else ())}
        found[one.name] = {name for name in names if name is not None}
    return found


def _table_copy(
    one: _Listed,
    source: StorePath,
    place: StorePath,
    there: TableFacts | None,
    late: Mapping[str, set[str]],
) -> TableCopy:
    store, table = source.store, one.facts.table
    computed = there.computed if there else ()
    columns = None
    if computed:
        with located(store=store.name, driver=store.type, operation="schema", target=str(table)):
            names = store.tabular.schema(table).names
        columns = tuple(name for name in names if name not in computed)
        computed = tuple(name for name in computed if name in names)
    path = table.name if _is_files(source) else _path(table)
    return TableCopy(
        name=one.name,
        source=StorePath(store, path),
        table=table,
        target=place,
        columns=columns if computed else None,
        notes=tuple(_notes(computed, sorted(late.get(one.name, ())))),
    )


def _notes(computed: Sequence[str], late: Sequence[str]) -> Iterator[str]:
    if computed:
        yield f"without {', '.join(computed)}, which the target computes"
    if late:
        yield f"refers to {', '.join(late)}, which comes later"


def _globs(given: Globs) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, one) for one in globs)


def _refuse_vain(source: StorePath, globs: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a pattern that means nothing: a table that is misspelled would be missed too late."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise NotFoundError(
                f"no table of {source} matches {glob!r}",
                store=source.store.name,
                advice=did_you_mean(glob, names, "It has"),
            )
