"""Workspaces: found, read strictly, written without secrets."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest

from datastores import Datastore, Workspace
from datastores.errors import (
    ConfigurationError,
    DatastoreWarning,
    NotFoundError,
    UnknownSchemeError,
)
from datastores.location import Location
from datastores.secrets import Resolver, Secret

GOOD = """
default: files
datastores:
  files:
    type: local
    path: ./data
    description: what the team shares
    tags: {team: sales}
  scratch:
    type: memory
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "datastores.yaml"
    path.write_text(GOOD)
    return path


def test_it_is_a_mapping_of_datastores(file: Path) -> None:
    workspace = Workspace.load(file)
    assert list(workspace) == ["files", "scratch"]
    assert workspace.default is workspace["files"]
    assert workspace["files"].type == "local"
    assert workspace["files"].driver.place == str(file.parent / "data")
    assert "what the team shares" in repr(workspace)
    assert "<table>" in workspace._repr_html_()


def test_what_it_writes_it_reads_again(file: Path, tmp_path: Path) -> None:
    workspace = Workspace.load(file)
    again = tmp_path / "again.yaml"
    workspace.save(again)
    assert Workspace.load(again).to_mapping() == workspace.to_mapping()
    assert list(tmp_path.iterdir()) == [file, again] or len(list(tmp_path.iterdir())) == 2


def test_the_order_in_which_it_is_found(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    config = tmp_path / "config" / "datastores"
    for folder in (elsewhere, config):
        folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DATASTORES_FILE", raising=False)
    monkeypatch.chdir(elsewhere)

    with pytest.raises(NotFoundError) as caught:
        Workspace.load()
    assert "./datastores.yaml" in caught.value.message
    assert str(config / "datastores.yaml") in caught.value.message

    (config / "datastores.yaml").write_text("datastores: {user: {type: memory}}")
    assert list(Workspace.load()) == ["user"]
    (elsewhere / "datastores.yaml").write_text("datastores: {here: {type: memory}}")
    assert list(Workspace.load()) == ["here"]
    monkeypatch.setenv("DATASTORES_FILE", str(file))
    assert list(Workspace.load()) == ["files", "scratch"]
    monkeypatch.setenv("DATASTORES_FILE", str(tmp_path / "missing.yaml"))
    with pytest.raises(NotFoundError, match=r"missing\.yaml"):
        Workspace.load()
    assert list(Workspace.load(elsewhere / "datastores.yaml")) == ["here"]


def test_the_embedded_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("DATASTORES_FILE", "embedded")
    workspace = Workspace.load()
    assert list(workspace) == ["files", "warehouse"]
    assert workspace["files"].driver.place == str(tmp_path / "datastores" / "files")
    assert list(tmp_path.iterdir()) == []
    assert pickle.loads(pickle.dumps(workspace["files"])).name == "files"  # ours


def test_one_azure_ml_document_is_a_workspace(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("$schema: https://example.invalid/x.json\nname: one\ntype: memory\n")
    assert Workspace.load(path).default.name == "one"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("datastores: {a: {type: locale, path: x}}", UnknownSchemeError, "Did you mean 'local'"),
        ("datastores: {a: {type: local, pth: x}}", ConfigurationError, "Did you mean 'path'"),
        ("datastores: {a: {type: local}}", ConfigurationError, "path must be given"),
        ("datastores: {a: {type: local, path: 3}}", ConfigurationError, "not of type str"),
        ("datastores: {a: {path: x}}", ConfigurationError, "a mapping with a type"),
        ("datastores: {a: {typ: local}}", ConfigurationError, "It has 'typ': did you mean 'type'"),
        ("datastore: {}", ConfigurationError, "Did you mean 'datastores'"),
        ("datastores: []\n", ConfigurationError, "mapping from names"),
        ("datastores:\n  a: {type: memory}\n  a: {type: memory}", ConfigurationError, "twice"),
        ("x: &x 1\ndatastores: *x", ConfigurationError, "aliases are not read"),
        ("datastores: *x", ConfigurationError, "aliases are not read"),
        ("datastores: {a: {type: !!int x}}", ConfigurationError, "tags are not read"),
        ("? [a]\n: 1", ConfigurationError, "line 1, column 3: a key is a text"),
        ("datastores:\n\ta: 1", ConfigurationError, "Indent with spaces"),
        ("x: 0b_", ConfigurationError, "is not YAML: ValueError"),
        (f"x: {'1' * 5_000}", ConfigurationError, "is not YAML: ValueError"),
        ("[" * 2_000, ConfigurationError, "is not YAML: RecursionError"),
        ("default: [a]", ConfigurationError, "['a'] is not a datastore name"),
        ("default: 7\ndatastores: {7: {type: memory}}", ConfigurationError, "7 is not a datastore"),
        ("datastores: {a: {type: memory, name: b}}", ConfigurationError, "names it 'b'"),
        ("datastores: {a: {type: [local]}}", ConfigurationError, "Such as type: local"),
        (
            "vaults: {A: {identity: default}, a: {identity: default}}",
            ConfigurationError,
            "capitals",
        ),
        ("vaults: {a: {identity: [default]}}", ConfigurationError, "['default'] is not known"),
        ("datastores: [", ConfigurationError, "line 1"),
        ("", ConfigurationError, "holds no datastores"),
        ("datastores: {'a/b': {type: memory}}", ConfigurationError, "not a datastore name"),
        ("default: b\ndatastores: {a: {type: memory}}", NotFoundError, "no datastore named 'b'"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    path = tmp_path / "datastores.yaml"
    path.write_text(text)
    with pytest.raises(error) as caught:
        Workspace.load(path)
    assert words in str(caught.value)


def test_names_are_texts_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "datastores.yaml"
    names = ["no", "007", "1.10", "0x1", "1", "2026-13-45"]
    entries = "".join(f"  {name}: {{type: memory, description: {name}}}\n" for name in names)
    path.write_text(f"datastores:\n{entries}")
    workspace = Workspace.load(path)
    assert list(workspace) == names
    assert workspace["2026-13-45"].description == "2026-13-45"
    workspace.save(path)
    assert list(Workspace.load(path)) == names


@pytest.mark.parametrize(
    "written", ["!hunter2", "!hunter2!x", "&hunter2 x", "*hunter2", "!!hunter2"]
)
def test_an_error_shows_no_password_that_looks_like_yaml(tmp_path: Path, written: str) -> None:
    path = tmp_path / "datastores.yaml"
    store = f"{{type: postgresql, credentials: {{password: {written} }}}}"
    path.write_text(f"datastores: {{a: {store}}}")
    with pytest.raises(ConfigurationError, match="line 1") as caught:
        Workspace.load(path)
    assert "hunter2" not in str(caught.value)
    assert "in quotes" in str(caught.value)


def test_a_secret_file_is_beside_the_workspace_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "password.txt").write_text("secret\n")
    store = (
        "{type: postgresql, server_name: h, database_name: d, credentials: "
        "{username: u, password: 'file:password.txt'}}"
    )
    (place / "datastores.yaml").write_text(f"datastores: {{pg: {store}}}")
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.load("place/datastores.yaml")
    [ref] = workspace["pg"].config.secret_refs().values()
    assert Resolver().resolve(ref) == Secret("secret")
    assert "file:password.txt" in workspace.to_yaml()
    [again] = pickle.loads(pickle.dumps(workspace["pg"])).config.secret_refs().values()
    assert again == ref


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="~nobody-of-this-name/x: no such user"):
        Datastore(type="local", path="~nobody-of-this-name/x")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "datastores.yaml"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        Workspace.load(path)
    # A file, which no process may read from its beginning.
    with pytest.raises(ConfigurationError, match="cannot be read: Input/output error"):
        Workspace.load("/proc/self/mem")


def test_a_typo_in_a_name(file: Path) -> None:
    workspace = Workspace.load(file)
    with pytest.raises(NotFoundError, match="Did you mean 'files'"):
        workspace["fils"]
    with pytest.raises(NotFoundError, match="files, scratch"):
        workspace.locate("datastore://warehouse/x")
    assert "fils" not in workspace


def test_a_long_azure_ml_url_matches_no_unbound_store(file: Path) -> None:
    url = "azureml://subscriptions/s/resourcegroups/g/workspaces/prod/datastores/files/paths/x"
    with pytest.raises(ConfigurationError, match="prod"):
        Workspace.load(file).locate(url)
    assert Workspace.load(file).locate("azureml://datastores/files/paths/x").path == "x"
    assert Workspace.load(file).locate(Location("files", "y")).path == "y"


def test_stores_pickle_as_file_and_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Workspace.load(file)["files"]
    monkeypatch.chdir("/")
    again: Datastore = pickle.loads(pickle.dumps(store))  # ours
    assert again.name == "files"
    assert again.driver.place == store.driver.place


def test_a_workspace_without_a_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no default"):
        _ = Workspace.from_mapping({"datastores": {"a": {"type": "memory"}}}).default


def test_no_warning_without_literals(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DatastoreWarning)
        Workspace.load(file)
