from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.drivers.sql.dialect import Dialect
from datastores.drivers.sql.parameters import bind_named, tokens
from datastores.errors import ConfigurationError

DIALECT = Dialect(engine="test", placeholder="${name}")


@pytest.mark.parametrize(
    ("sql", "bound"),
    [
        ("select :a", "select $a"),
        ("select :a+:a, x=:a", "select $a+$a, x=$a"),
        ("select (:a)", "select ($a)"),
        ("select '2020'::date, :a", "select '2020'::date, $a"),
        ("select x::a, :a", "select x::a, $a"),
        ("select ':a', 'it''s :a', :a", "select ':a', 'it''s :a', $a"),
        ("select E'\\':a', :a", "select E'\\':a', $a"),
        ('select ":a", ":a"":a", :a', 'select ":a", ":a"":a", $a'),
        ("select 1 -- :a\n, :a", "select 1 -- :a\n, $a"),
        ("select 1 /* :a\n */, :a", "select 1 /* :a\n */, $a"),
        ("select $$ :a $$, $x$ $$ :a $x$, :a", "select $$ :a $$, $x$ $$ :a $x$, $a"),
        ("select l[1:a], l[:a]", "select l[1:a], l[$a]"),
        ("select {'k':a}, :a", "select {'k':a}, $a"),
        ("select f(x := :a)", "select f(x := $a)"),
        ("select 12:34, :a", "select 12:34, $a"),
    ],
)
def test_only_parameters_are_replaced(sql: str, bound: str) -> None:
    assert bind_named(sql, {"a": 1}, DIALECT) == (bound, {"a": 1})


@given(st.text("aE':\"-/*$;\n\\ x1[]"))
def test_the_tokens_are_the_whole_text(sql: str) -> None:
    assert "".join(text for _, text in tokens(sql)) == sql


@pytest.mark.parametrize(("given_values", "named"), [({}, ":a"), ({"a": 1, "b": 2}, ":b")])
def test_a_missing_and_an_unused_parameter_are_named(
    given_values: dict[str, int], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        bind_named("select :a", given_values, DIALECT)
