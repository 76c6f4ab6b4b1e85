"""The workspace file itself: where it is looked for, and what its YAML may hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import yaml
from typing_extensions import override

from datastores.errors import ConfigurationError, NotFoundError

VARIABLE = "DATASTORES_FILE"
FILE_NAME = "datastores.yaml"
EMBEDDED = "embedded"

# A workspace file is written by hand; anything larger is not one.
MAX_FILE_BYTES = 1 << 20


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
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes")
    content: Any = None
    problem = " holds no datastores"
    # Raised below, where the parser's error and its frames, which hold the text, are gone.
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506  # safe
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = f"{line}: {error.problem}"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = f" is not YAML: {type(error).__name__}"
    if isinstance(content, Mapping):
        return content
    del content
    raise ConfigurationError(f"{path}{problem}", advice="Begin it with: datastores:")


def folder_of(source: str | None) -> Path:
    """Return what a workspace's paths are relative to."""
    return Path.cwd() if source in {None, EMBEDDED} else Path(str(source)).parent


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without what a workspace never needs and hides mistakes: repeated keys, aliases."""

    @override
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=mark)
        return super().compose_node(parent, index)

    @override
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands here twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
