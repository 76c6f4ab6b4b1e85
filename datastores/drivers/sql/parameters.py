"""Named parameters in SQL text: `:name` outside strings, quoted names, comments and casts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from datastores.drivers.sql.dialect import Dialect
from datastores.errors import ConfigurationError

_TOKEN = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*')
    | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<dollar>(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag))
    | (?P<line>--[^\n]*)
    | (?P<block>/\*.*?\*/)
    # Not `::` casts, `[1:n]` slices or `{'key':value}`: a parameter follows a space or operator.
    | (?P<parameter>(?<![\w:'"\)\]]):(?P<key>[A-Za-z_]\w*))
    | (?P<end>;)
    | (?P<other>\w+|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) for every piece of a statement; together they are the whole text.

    Kinds: text, escaped, name, dollar, line, block, parameter, end, other.
    """
    for match in _TOKEN.finditer(sql):
        kind = next(name for name in match.groupdict() if match[name] is not None)
        yield kind, match[0]


def rewrite(sql: str, change: Mapping[str, Callable[[str], str]]) -> str:
    """Return the text with the pieces of some kinds changed."""
    return "".join(change[kind](text) if kind in change else text for kind, text in tokens(sql))


def bind_named(
    sql: str, parameters: Mapping[str, Any], dialect: Dialect
) -> tuple[str, dict[str, Any]]:
    """Return the text with the engine's placeholders, and the values to bind.

    Raises:
        ConfigurationError: A parameter without a value, or a value without its parameter.
    """
    used = {text[1:]: None for kind, text in tokens(sql) if kind == "parameter"}
    missing = [name for name in used if name not in parameters]
    unused = [name for name in parameters if name not in used]
    if missing or unused:
        what = f"no value for :{missing[0]}" if missing else f"no :{unused[0]} in the query"
        raise ConfigurationError(
            what, advice=f"The query's parameters are {', '.join(used) or 'none'}"
        )
    bound = rewrite(sql, {"parameter": lambda text: dialect.parameter(text[1:])})
    return bound, {name: parameters[name] for name in used}
