"""URLs in and out, and paths in normal form. Pure text: nothing here opens or looks up anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_to_bytes

from typing_extensions import override

from datastores.errors import ConfigurationError, PermissionDeniedError, UnknownSchemeError

SCHEME = "datastore"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_AZURE_ML_SHORT = re.compile(r"azureml://datastores/([^/]+)(?:/paths/(.*))?/?", re.IGNORECASE)
_AZURE_ML_LONG = re.compile(
    r"azureml://subscriptions/([^/]+)/resourcegroups/([^/]+)/"
    r"(?:providers/Microsoft\.MachineLearningServices/)?"
    r"workspaces/([^/]+)/datastores/([^/]+)(?:/paths/(.*))?/?",
    re.IGNORECASE,
)
# Words that carry a secret in a query string or a connection string: SAS, tokens, passwords, keys.
_SECRET_PARAMETER = re.compile(
    r"(?:^|[?&;#])\s*(sig|se|sv|sas_?token|token|access_?token|password|passwd|pwd|secret|client_?secret|"
    r"account_?key|shared_?access_?key|shared_?access_?signature|api_?key|key)\s*=",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
# A text without a scheme is repeated only if it can be no user:password@host or key=value.
_HARMLESS = re.compile(r"[\w./ \-]*")
# Kept readable in printed URLs: what RFC 3986 allows in a path, and glob characters; without `&`
# and `;`, since a file named `a&key=1` would read back as a URL with a key in it.
_SAFE_IN_PATH = "/!$'()*+,=:@-._~[]"


@dataclass(frozen=True, slots=True)
class AzureMLWorkspace:
    """The Azure ML workspace that a long `azureml://` URL names."""

    subscription: str
    resource_group: str
    name: str


@dataclass(frozen=True, slots=True)
class Location:
    """A path in a named datastore: what `datastore://NAME/PATH` says."""

    store: str
    path: str
    """In normal form and not percent-encoded; a trailing slash, kept, says that it is a folder."""
    azure_ml: AzureMLWorkspace | None = None
    """Set if the URL was a long `azureml://` one: it matches only a store bound to that workspace."""

    @classmethod
    def parse(cls, url: str) -> Location:
        """Read a `datastore://` or `azureml://datastores` URL.

        Raises:
            ConfigurationError: Malformed, or it carries a secret. The message shows no part of
                the URL after the name.
            UnknownSchemeError: Another scheme, or none.
        """
        refuse_secrets(url)
        scheme, separator, rest = url.partition("://")
        if not separator or not _SCHEME.fullmatch(scheme):
            shown = repr(url) if _HARMLESS.fullmatch(url) else "this text"
            raise UnknownSchemeError(f"{shown} is not a URL", advice=f"Write {SCHEME}://NAME/PATH")
        _refuse_undecodable(url)
        if scheme.lower() == "azureml":
            return _parse_azure_ml(url)
        if scheme.lower() != SCHEME:
            raise UnknownSchemeError(
                f"no datastore URL has the scheme {scheme!r}",
                advice=f"Known are {SCHEME}://NAME/PATH and azureml://datastores/NAME/paths/PATH",
            )
        name, _, path = rest.partition("/")
        return cls(check_name(name), normalize_path(_decode(path)))

    @override
    def __str__(self) -> str:
        # A file on disk may have a name that is no text: shown, and refused where it is read back.
        path = quote(self.path, safe=_SAFE_IN_PATH, errors="surrogateescape")
        return f"{SCHEME}://{self.store}/{path}"

    def __truediv__(self, path: str) -> Location:
        return Location(self.store, join_path(self.path, path), self.azure_ml)


def _refuse_undecodable(url: str) -> None:
    try:
        unquote_to_bytes(url).decode()
    except UnicodeError:
        raise ConfigurationError(
            "a URL with percent-encoded bytes that are not UTF-8 is refused",
            advice="Percent-encode the UTF-8 form of the name",
        ) from None


def check_name(name: object) -> str:
    """Return a datastore's name unchanged, or refuse it: a number is not the text that was written."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a datastore name",
            advice="A name begins with a letter or digit and holds letters, digits, '_', '-' and '.'",
        )
    return name


def normalize_path(path: str) -> str:
    """Return a path relative to a store's root: no leading, double or dot segment.

    A trailing slash stays. `..`, backslashes and NUL are refused, since one service or another
    would read them as a way out of the root.
    """
    if "\\" in path or "\0" in path:
        raise PermissionDeniedError(
            f"the path {path!r} holds a backslash or NUL", advice="Separate folders with '/'"
        )
    segments = [segment for segment in path.split("/") if segment not in {"", "."}]
    if ".." in segments:
        raise PermissionDeniedError(
            f"the path {path!r} leads out of the store",
            advice="Write the path from the store's root, without '..'",
        )
    normal = "/".join(segments)
    return f"{normal}/" if normal and path.endswith(("/", "/.")) else normal


def join_path(folder: str, path: str) -> str:
    """Return `path` inside `folder`, in normal form."""
    return normalize_path(f"{folder}/{path}")


def refuse_secrets(url: str) -> None:
    """Raise if a URL carries a user, password, key or signature; the message does not repeat it."""
    _, separator, rest = url.partition("://")
    authority = rest.partition("/")[0] if separator else ""
    # A password with a slash in it puts the '@' after the first one; no name holds a colon.
    if "@" in authority or ":" in authority:
        raise ConfigurationError(
            "a URL with credentials before '@' is refused",
            advice="Name a datastore in the workspace file, whose secret is a reference",
        )
    if _SECRET_PARAMETER.search(url):
        raise ConfigurationError(
            "a URL with a key, token or signature in it is refused",
            advice="Name a datastore in the workspace file, whose secret is a reference",
        )


def _decode(path: str) -> str:
    # A slash inside a segment stays `%2F`, so that it parts no folders; `TableName.from_path`
    # reads it. In a file store no name can hold one.
    return unquote(re.sub("%2f", "%252F", path, flags=re.IGNORECASE))


def _parse_azure_ml(url: str) -> Location:
    if match := _AZURE_ML_SHORT.fullmatch(url):
        name, path = match.groups()
        return Location(check_name(name), normalize_path(_decode(path or "")))
    if match := _AZURE_ML_LONG.fullmatch(url):
        subscription, group, workspace, name, path = match.groups()
        bound = AzureMLWorkspace(subscription, group, workspace)
        return Location(check_name(name), normalize_path(_decode(path or "")), bound)
    raise ConfigurationError(
        "this azureml:// URL names no datastore",
        advice="Write azureml://datastores/NAME/paths/PATH; data assets and registries are not read",
    )
