"""`datastores check`: how far each store can be used, and what is in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from datastores import Workspace
from datastores.check import check
from datastores.drivers.network import Endpoint, Stage, reach
from tests.cli.conftest import Run
from tests.services.postgresql import Database, Login

STAGES = ["name", "tcp", "tls", "sign-in", "read", "write"]


def stores_of(folder: Path, login: Login, **fields: Any) -> dict[str, Any]:
    """Return a workspace with one store on PostgreSQL, the password in the environment."""
    warehouse = {
        "type": "postgresql",
        "server_name": login.host,
        "port": login.port,
        "database_name": login.database,
        "ca_bundle": str(login.ca_file),
        "credentials": {"username": login.username, "password": "env:PG_PASSWORD"},
    }
    return {"datastores": {"warehouse": {**warehouse, **fields}}}


def test_stores_on_this_machine_are_read_and_written(run: Run, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    found = run("check", "--json")
    assert found.code == 0
    for record, name in zip(found.records, ["files", "warehouse"], strict=True):
        assert record["store"] == name
        assert [record[stage] for stage in STAGES] == ["-", "-", "-", "-", "ok", "ok"]
        assert record["ok"]
        assert record["error"] is None
    left = [one for one in sorted(folder.rglob("*")) if one not in before and one.is_file()]
    assert not [one for one in left if "check" in one.name]


def test_a_folder_that_takes_nothing_fails_its_stage(run: Run, folder: Path) -> None:
    # A file where the store's folder should be.
    (folder / "files").write_text("")
    found = run("check", "files")
    assert found.code == 1
    assert "files: " in found.out


def test_postgresql_says_as_whom_it_signs_in(
    run: Run, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_PASSWORD", database.owner.password)
    (folder / "datastores.yaml").write_text(yaml.safe_dump(stores_of(folder, database.owner)))
    [record] = run("check", "--json").records
    assert [record[stage] for stage in STAGES] == [
        *("ok", "ok", "ok", database.owner.username, "ok", "ok")
    ]
    assert database.run("SELECT nspname FROM pg_namespace WHERE nspname = '_datastores'") == []
    found = run("check")
    assert found.code == 0
    assert database.owner.database in found.out


@pytest.mark.parametrize(
    ("role", "fields", "stage", "words"),
    [
        ("owner", {"port": 1}, Stage.TCP, "refused"),
        ("owner", {"ca_bundle": None}, Stage.TLS, "not trusted"),
        ("owner", {"database_name": "nowhere"}, Stage.SIGN_IN, "nowhere"),
        ("clerk", {}, Stage.WRITE, "GRANT CREATE ON DATABASE"),
    ],
)
def test_the_first_stage_that_fails_says_what_to_do(
    folder: Path,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    fields: dict[str, Any],
    stage: Stage,
    words: str,
) -> None:
    login: Login = getattr(database, role)
    monkeypatch.setenv("PG_PASSWORD", login.password)
    with Workspace.from_mapping(stores_of(folder, login, **fields)) as workspace:
        found = check(workspace["warehouse"])
    assert not found.ok
    assert found.stages[-1].stage == stage
    assert found.word(stage) == "no"
    assert words in str(found.error)
    assert found.error is not None
    assert found.error.store == "warehouse"


def test_a_wrong_password_and_a_server_without_tls(
    folder: Path, database: Database, postgresql_without_tls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_PASSWORD", "wrong")
    with Workspace.from_mapping(stores_of(folder, database.owner)) as workspace:
        found = check(workspace["warehouse"])
    assert found.stages[-1].stage == Stage.SIGN_IN
    assert "password authentication failed" in str(found.error)
    port = postgresql_without_tls.admin.port
    with Workspace.from_mapping(stores_of(folder, database.owner, port=port)) as workspace:
        found = check(workspace["warehouse"])
    assert found.stages[-1].stage == Stage.TLS
    assert "offers no TLS" in str(found.error)


def test_a_name_resolves_to_a_private_address(database: Database) -> None:
    first, *_ = reach(Endpoint(host="127.0.0.1", port=database.owner.port, tls=False))
    assert first.stage == Stage.NAME
    assert first.note == "private address 127.0.0.1"
