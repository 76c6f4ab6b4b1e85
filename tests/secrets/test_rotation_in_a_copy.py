"""A copy that is running while its secrets are changed, and the vault updated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import datastores
from datastores import Datastore
from datastores.secrets import KeyVault
from tests.secrets.stores import NEW, REFUSED, Blob, Change, store_of
from tests.services.azurite import AzuriteOnDisk
from tests.services.key_vault import Vault
from tests.services.postgresql import Database
from tests.services.proxy import Proxy
from tests.transfer.between_parts import BetweenParts

Open = Callable[..., KeyVault]


@pytest.fixture
def azurite_on_disk() -> Iterator[AzuriteOnDisk]:
    """An emulator of the test's own, whose account key can be regenerated."""
    azurite = AzuriteOnDisk()
    try:
        azurite.start()
        yield azurite
    finally:
        azurite.close()


class Rotation:
    """A copy of 40,000 rows from PostgreSQL to a folder of Parquet, and what is changed in its middle."""

    def __init__(
        self, database: Database, vault: Vault, change_password: Change, patch: pytest.MonkeyPatch
    ) -> None:
        database.run("create table orders as select n as id from generate_series(1, 40000) n")
        vault.put("pg", database.owner.password)
        self._database, self._vault, self._patch = database, vault, patch
        self._change_password = change_password

    def run(self, one: KeyVault, target: Datastore, name: str, renew: Callable[[], str]) -> None:
        """Copy, and renew the password and the target's secret after the first of the parts."""

        def change() -> None:
            self._note(between, "")
            self._change_password(NEW)
            self._vault.put("pg", NEW)
            self._vault.put(name, renew())
            between.note(f"password and {name} are changed, and put into the vault")

        between = BetweenParts(self._patch, change)
        with store_of(self._database.owner, one.secret("pg")) as source:
            report = datastores.copy(
                source / "public/orders", target / "orders/", workers=4, progress=between.progress
            )
        between.note(f"published: {report.rows} rows in {report.parts} parts")
        again = self._note(between, " again")
        between.show()
        assert report.parts > 1
        assert (report.rows, target.scan("orders/").count()) == (40_000, 40_000)
        assert set(again) == {"/secrets/pg/", f"/secrets/{name}/"}
        assert len(again) == 2, "one re-read for each secret"

    def _note(self, between: BetweenParts, again: str) -> list[str]:
        log = self._vault.log()
        for entry in log:
            between.note(f"the vault is asked for {entry['path']}{again}", entry["at"])
        return [entry["path"] for entry in log]


@pytest.fixture
def rotation(
    database: Database, vault: Vault, change_password: Change, monkeypatch: pytest.MonkeyPatch
) -> Rotation:
    return Rotation(database, vault, change_password, monkeypatch)


def test_a_copy_ends_right_while_password_and_signature_are_changed(
    rotation: Rotation,
    change_signature: Callable[[str], str],
    vault: Vault,
    opened: Open,
    blob: Blob,
) -> None:
    vault.put("sas", change_signature("first"))
    one = opened()
    target = blob(sas_token=one.secret("sas"))
    rotation.run(one, target, "sas", lambda: change_signature("second"))


def test_a_copy_ends_right_while_password_and_storage_key_are_changed(
    rotation: Rotation,
    azurite_on_disk: AzuriteOnDisk,
    proxy: Callable[[int], Proxy],
    vault: Vault,
    opened: Open,
    blob_at: Blob,
) -> None:
    """Azurite reads its keys as it starts, so the account is away for a moment too."""
    through = proxy(azurite_on_disk.port)
    through.faults = REFUSED
    with azurite_on_disk.client() as service:
        service.create_container("landing")
    vault.put("key", azurite_on_disk.account_key)
    one = opened()
    target = blob_at(azurite_on_disk, "landing", through, account_key=one.secret("key"))
    rotation.run(one, target, "key", azurite_on_disk.regenerate_key)
