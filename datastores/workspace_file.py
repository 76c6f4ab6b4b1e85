"""The workspace file itself: where it is looked for, and what its YAML may hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import platformdirs
import yaml
from typing_extensions import override

from datastores.errors import ConfigurationError, NotFoundError

VARIABLE = "DATASTORES_FILE"
FILE_NAME = "datastores.yaml"
EMBEDDED = "embedded"

# A workspace file is written by hand; anything larger is not one.
MAX_FILE_BYTES = 1 << 20
_YAML_ADVICE = "Indent with spaces, and put a text with signs such as ! & * % @ : # in quotes"


def find_workspace(path: str | os.PathLike[str] | None = None) -> str:
    """Return the path of the file that `Workspace.load` reads, or `embedded`.

    Raises:
        NotFoundError: There is none; the message lists where it was looked for.
    """
    looked = [os.fspath(path)] if path is not None else _candidates()
    for place in looked:
        if place == EMBEDDED or Path(place).is_file():
            return place
    raise NotFoundError(
        f"no workspace file; looked for {', '.join(looked)}",
        advice=f"Write {FILE_NAME}, or set {VARIABLE} to a file or to '{EMBEDDED}'",
    )


def _candidates() -> list[str]:
    # The variable is an explicit choice: if its file is missing, no other one is taken instead.
    if named := os.environ.get(VARIABLE):
        return [named]
    config = platformdirs.user_config_path("datastores", appauthor=False)
    return [f"./{FILE_NAME}", str(config / FILE_NAME)]


def parse_file(path: Path) -> Mapping[str, Any]:
    """Return what a workspace file holds; an error shows nothing of it.

    Raises:
        ConfigurationError: It is not YAML, or holds no datastores.
    """
    content: Any = None
    problem, advice = " holds no datastores", "Begin it with: datastores:"
    # Raised below, where the parser's error and its frames, which hold the text, are gone.
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            problem, advice = f" is larger than {MAX_FILE_BYTES:,} bytes", "Give a workspace file"
        else:
            content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506  # safe
    except OSError as error:
        problem, advice = f" cannot be read: {error.strerror}", "Look at who may read it"
    except UnicodeDecodeError:
        problem, advice = " is not UTF-8", "Save it as UTF-8"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem, advice = f"{line}: {error.problem}", _YAML_ADVICE
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem, advice = f" is not YAML: {type(error).__name__}", _YAML_ADVICE
    if isinstance(content, Mapping):
        return content
    del content
    raise ConfigurationError(f"{path}{problem}", advice=advice)


def folder_of(source: str | None) -> Path:
    """Return what a workspace's paths are relative to."""
    return Path.cwd() if source in {None, EMBEDDED} else Path(str(source)).parent


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without what a workspace never needs and hides mistakes.

    Keys are texts as they stand, so that a store named `no` or `007` has that name, and no key
    stands twice. Tags, anchors and aliases are not read: a password may begin like one, and the
    parser's errors would show it.
    """

    # What looks like a day is a text: one that is in no calendar is no error of the parser's.
    yaml_implicit_resolvers = {  # noqa: RUF012  # the base's
        sign: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for sign, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    @override
    def scan_tag(self) -> NoReturn:
        raise self._not_read("tags")

    @override
    def scan_anchor(self, TokenClass: Any) -> NoReturn:
        raise self._not_read("anchors and aliases")

    @override
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is a text", problem_mark=key.start_mark)
            if key.value in found:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands here twice", problem_mark=key.start_mark
                )
            found[key.value] = self.construct_object(value, deep=deep)
        return found

    def _not_read(self, what: str) -> yaml.MarkedYAMLError:
        mark = self.get_mark()
        return yaml.MarkedYAMLError(problem=f"{what} are not read", problem_mark=mark)
