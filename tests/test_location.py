"""URLs and paths: what is written is what is read, nothing leads out, nothing secret is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.errors import (
    ConfigurationError,
    DatastoreError,
    PermissionDeniedError,
    UnknownSchemeError,
)
from datastores.location import AzureMLWorkspace, Location, join_path, normalize_path

SMALL = settings(max_examples=50, deadline=None)
SEGMENTS = st.text(max_size=12) | st.text("aä%? #&;=+2E.~[]*'\"\n", max_size=8)
PATHS = st.lists(SEGMENTS, max_size=5).map("/".join).filter(
    lambda path: "\\" not in path and "\0" not in path and ".." not in path.split("/")
    # A literal `%2F` in a name stands for a slash there: see the tests of table names.
    and "%2f" not in path.lower()
)  # fmt: skip


@SMALL
@given(PATHS)
def test_a_printed_location_reads_back(path: str) -> None:
    location = Location("lake", normalize_path(path))
    assert Location.parse(str(location)) == location
    assert str(location).isascii()


@SMALL
@given(PATHS)
def test_normal_form_is_final(path: str) -> None:
    normal = normalize_path(path)
    assert normalize_path(normal) == normal
    assert not normal.startswith("/")
    assert "//" not in normal


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("", ""), ("/", ""), ("a", "a"), ("/a//b", "a/b"), ("./a/./b", "a/b"), ("a/", "a/"),
        ("a/.", "a/"), ("a..b/...", "a..b/..."), (" a /b", " a /b"),
    ],
)  # fmt: skip
def test_normalize_path(path: str, normal: str) -> None:
    assert normalize_path(path) == normal


@pytest.mark.parametrize("path", ["..", "a/..", "../a", "a/../b", "a\\b", "..\\a", "a\0", "\0"])
def test_paths_that_could_lead_out(path: str) -> None:
    for call in (normalize_path, Location("lake", "in").__truediv__):
        with pytest.raises(PermissionDeniedError):
            call(path)


@pytest.mark.parametrize("escaped", ["%2e%2e/a", "a/%2E./b", "a%5Cb", "a%00", ".%2e"])
def test_escapes_do_not_hide_them(escaped: str) -> None:
    for prefix in ("datastore://lake/", "azureml://datastores/lake/paths/"):
        with pytest.raises(PermissionDeniedError):
            Location.parse(prefix + escaped)


def test_escapes_are_read_once() -> None:
    assert Location.parse("datastore://lake/a%2520b").path == "a%20b"
    assert Location.parse("datastore://lake/%252e%252e/a").path == "%2e%2e/a"
    assert Location.parse("datastore://lake/50%25%20%C3%A4.csv").path == "50% ä.csv"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        Location.parse("datastore://lake/%FF")


def test_the_forms_of_a_url() -> None:
    assert Location.parse("datastore://lake") == Location("lake", "")
    assert Location.parse("DataStore://lake/") == Location("lake", "")
    assert Location.parse("datastore://my-lake_1.x/a/b.csv") == Location("my-lake_1.x", "a/b.csv")
    assert str(Location.parse("datastore://lake/a/")) == "datastore://lake/a/"
    assert Location.parse("datastore://lake/a/") / "b" == Location("lake", "a/b")
    assert Location("lake", "") / "/b" == Location("lake", "b")
    assert join_path("", "a") == "a"


def test_azure_ml() -> None:
    short = Location.parse("azureml://datastores/lake/paths/a/b.csv")
    assert short == Location("lake", "a/b.csv")
    assert Location.parse("azureml://datastores/lake") == Location("lake", "")
    assert Location.parse("AzureML://datastores/lake/paths/") == Location("lake", "")
    bound = AzureMLWorkspace("s-1", "group", "ws")
    start = "azureml://subscriptions/s-1/resourceGroups/group/"
    for middle in ("", "providers/Microsoft.MachineLearningServices/"):
        url = f"{start}{middle}workspaces/ws/datastores/lake/paths/a%20b/"
        assert Location.parse(url) == Location("lake", "a b/", bound)
    inner = Location("lake", "a", bound) / "b"
    assert inner.azure_ml == bound


@pytest.mark.parametrize(
    "url",
    [
        "azureml:data:1",
        "azureml://data/x",
        "azureml://registries/r/data/d",
        "azureml://datastores/",
    ],
)
def test_other_azure_ml_forms(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Location.parse(url)


@pytest.mark.parametrize("url", ["s3://bucket/a", "lake/a", "", "://a", "C:/data", "a b://x"])
def test_unknown_schemes(url: str) -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        Location.parse(url)
    assert "datastore://NAME/PATH" in str(caught.value)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a%20b", "a:1"])
def test_names(name: str) -> None:
    with pytest.raises(ConfigurationError):
        Location.parse(f"datastore://{name}/a")


PLANTED = "pl4nted/+=="


@pytest.mark.parametrize(
    "url",
    [
        "datastore://user:{}@lake/a",
        "postgresql://user:pl4nted@host/db",
        "user:{}@host/db",
        "user:{}@host://x",
        "datastore://lake/a?sig={}",
        "datastore://lake/a?sv=1&SIG={}",
        "https://acme.blob.core.windows.net/c/a?se=1&sig={}",
        "datastore://lake/a#password={}",
        "datastore://lake/a;AccountKey={}",
        "AccountName=acme;AccountKey={}",
        "AccountKey={}",
        "DefaultEndpointsProtocol=https;SharedAccessSignature={};x=://y",
        "Server=tcp:x;Password = {}",
        "password={}",
    ],
)
def test_secrets_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DatastoreError) as caught:
        Location.parse(url.format(PLANTED))
    shown = f"{caught.value!s}{caught.value!r}{caught.value.context()}"
    assert "pl4nted" not in shown
    assert caught.value.__context__ is None


def test_names_that_only_look_like_words_of_secrets() -> None:
    for path in ("monkey=1/token.csv", "key=1/part.parquet", "a&key=1", "x;sig=2"):
        assert Location.parse(str(Location("lake", path))).path == path
