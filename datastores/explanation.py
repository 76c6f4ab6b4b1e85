"""How a store signs in: which credentials it has, where each came from, and what became of it."""

from __future__ import annotations

import dataclasses
import json
import textwrap
import time
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from datastores.check import STAGES, Outcome, check_store
from datastores.datastore import Datastore
from datastores.display import html_table, visible
from datastores.drivers.azure_config import AzureConfig
from datastores.errors import DatastoreError
from datastores.identity import SECRET_SETTINGS, named
from datastores.secrets import KeyVault, Resolver, Secret, SecretRef
from datastores.sign_in import attempts

_STAGES = STAGES[: STAGES.index("sign-in") + 1]
_WIDTH = 99
_INDENT = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing on the way to a sign-in."""

    what: str
    """A setting by its key in the workspace file, a vault, a credential of a chain, or a stage of `check`."""
    outcome: Outcome
    said: str
    """What is known of it, or why it failed; never a secret."""
    level: int = 0
    """How deep it lies: what it took to get something stands below it, one deeper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How one store signs in, step by step in the order of trying. Prints as a few lines."""

    store: str
    type: str
    place: str
    source: str | None
    """The workspace file; None for a store that was made in code."""
    steps: tuple[Step, ...]
    failures: tuple[DatastoreError, ...]
    """What failed, once each."""

    def to_dict(self) -> dict[str, Any]:
        """Return all but the errors themselves as plain values."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        del plain["failures"]
        return plain | {"steps": [dataclasses.asdict(one) for one in self.steps]}

    def to_json(self) -> str:
        """Return the same as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @override
    def __str__(self) -> str:
        where = f"datastores.{self.store} of {self.source}" if self.source else "made in code"
        named = [f"{_INDENT * one.level}{one.what}" for one in self.steps]
        wide = max(map(len, named), default=0)
        lines = [visible(f"{self.store}  {self.type}  {self.place}  ({where})"), ""]
        for name, one in zip(named, self.steps, strict=True):
            head = f"{name.ljust(wide)}  {one.outcome:<3} "
            room = max(20, _WIDTH - len(head))
            first, *more = textwrap.wrap(visible(one.said), room, break_long_words=False) or [""]
            lines += [f"{head} {first}".rstrip(), *(f"{' ' * len(head)} {line}" for line in more)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [("\u2003" * one.level + one.what, one.outcome, one.said) for one in self.steps]
        return html_table(("", "", "found"), rows, caption=f"{self.store} ({self.type})")


def explain(store: Datastore) -> Explanation:
    """Say which credentials a store has, what became of each, and whether it can sign in.

    Costs a connection, and a request for each secret and token that is not kept. Raises nothing of
    a service.
    """
    looked = _Look()
    config = store.config
    for one in dataclasses.fields(config):
        choices = one.metadata.get("choices", ())
        value = getattr(config, one.name)
        # What goes with an identity is worth a line only where it is said.
        if choices and (value or one.name == "identity" or set(choices) != {"identity"}):
            nested = "credentials." if store.source and one.metadata["nested"] else ""
            looked.at_field(f"{nested}{one.name}", value)
        if one.name == "identity" and isinstance(config, AzureConfig):
            looked.at_identity(config)
    looked.at_service(store)
    return Explanation(
        store=store.label,
        type=store.type,
        place=store.driver.place,
        source=store.source,
        steps=tuple(looked.steps),
        failures=tuple({str(one): one for one in looked.failures}.values()),
    )


class _Look:
    """What was found so far."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.failures: list[DatastoreError] = []

    def at_field(self, what: str, value: object) -> None:
        match value:
            case None:
                self._add(what, Outcome.NOT_TRIED, "not set")
            case Secret():
                self._add(what, Outcome.OK, "a literal")
            case SecretRef():
                self._at_reference(what, value, 0)
            case _:
                self._add(what, Outcome.OK, str(value))

    def at_service(self, store: Datastore) -> None:
        found = check_store(store, stages=_STAGES)
        if set(found.outcomes.values()) == {Outcome.NOT_TRIED}:
            self._add("sign-in", Outcome.NOT_TRIED, "none is needed")
            return
        for stage, outcome in found.outcomes.items():
            if failure := found.failures.get(stage):
                self._fail(stage, failure, 0)
            else:
                self._add(stage, outcome, found.details.get(stage, ""))

    def _at_reference(self, what: str, ref: SecretRef, level: int) -> None:
        began = time.monotonic()
        try:
            facts = Resolver().describe(ref)
        except DatastoreError as error:
            self._fail(what, error, level)
        else:
            took = time.monotonic() - began
            age = facts.age_seconds
            read = f"fetched in {took * 1000:.0f} ms" if age <= took else f"read {age:.0f} s ago"
            self._add(what, Outcome.OK, f"{facts}, {read}", level)
        if ref.key_vault is not None:
            self._at_vault(f"vaults.{ref.vault}", ref.key_vault, level + 1)

    def _at_vault(self, what: str, vault: KeyVault, level: int) -> None:
        """Ask its credential, whose own secret comes first."""
        who = named(vault.credential)
        self._add(what, Outcome.OK, f"{vault.url}, where {who} signs in", level)
        for setting in SECRET_SETTINGS:
            if isinstance(ref := getattr(vault.credential, setting, None), SecretRef):
                self._at_reference(setting, ref, level + 1)
        self._at_credential(vault.credential, f"https://{vault.resource}", level + 1)

    def at_identity(self, config: AzureConfig) -> None:
        """Ask who signs in at the service, if somebody is to."""
        if (credential := config.signs_in()) is not None:
            try:
                self._at_credential(credential, config.resource, 1)
            finally:
                config.close_signed_in(credential)

    def _at_credential(self, credential: Any, resource: str, level: int) -> None:
        """Ask whoever is asked for a token, in that order."""
        try:
            tried = attempts(credential, f"{resource}/.default")
        except DatastoreError as error:
            self._fail(named(credential), error, level)
            return
        for one in tried:
            outcome = Outcome.OK if one.failure is None else Outcome.FAILED
            self._add(one.credential, outcome, one.failure or "has a token", level)

    def _add(self, what: str, outcome: Outcome, said: str, level: int = 0) -> None:
        self.steps.append(Step(what=what, outcome=outcome, said=said, level=level))

    def _fail(self, what: str, error: DatastoreError, level: int) -> None:
        self.failures.append(error)
        self._add(what, Outcome.FAILED, error.message, level)
