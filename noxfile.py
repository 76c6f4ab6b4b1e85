"""Every check, as a developer and as continuous integration runs it: `nox`, or `nox -s NAME`."""

import os
import shutil
from pathlib import Path

import nox

# The machine's own certificates, as pip uses them: a company's proxy signs with its own.
os.environ.setdefault("UV_NATIVE_TLS", "1")

PROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "build", "minimum", "tests"]


def install(session: nox.Session, group: str, *options: str) -> None:
    """Install the package as it lies here, and one of pyproject's dependency groups."""
    groups = nox.project.dependency_groups(PROJECT, group)
    session.install(*options, "-e", ".[demo,testing]", *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, import contracts and spelling."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Types of package, tests, benchmarks and examples, strictly."""
    install(session, "types")
    session.run("mypy")
    session.run("mypy", "noxfile.py", "docs", "benchmarks", "examples/toy_driver")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, on every core; `nox -s tests -- ARGUMENTS` passes arguments to pytest."""
    install(session, "tests")
    session.run("pytest", *(session.posargs or ["-n", "auto"]))


@nox.session
def minimum(session: nox.Session) -> None:
    """The tests of what stands on other packages, on the oldest versions that pyproject allows.

    `nox -s minimum -- -n auto` runs all tests on them.
    """
    if session.venv_backend != "uv":
        session.skip("only uv can install the oldest allowed versions")
    install(session, "tests", "--resolution", "lowest-direct")
    # Copies stand on our own drivers, and their faults take a third of the time.
    session.run("pytest", *(session.posargs or ["-n", "auto", "--ignore=tests/transfer"]))


@nox.session
def integration(session: nox.Session) -> None:
    """The tests, with every server in a container of `compose.yaml`; needs a Docker engine."""
    install(session, "tests")
    servers = ("POSTGRESQL", "POSTGRESQL_WITHOUT_TLS", "AZURITE", "AZURITE_TLS")
    variables = {f"DATASTORES_TEST_{server}": "docker" for server in servers}
    session.run("pytest", *(session.posargs or ["-n", "auto"]), env=variables)


@nox.session(reuse_venv=False)
def build(session: nox.Session) -> None:
    """The wheel and the source archive; the wheel alone is installed and answers."""
    session.install("build")
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    (wheel,) = folder.glob("*.whl")
    session.install(f"datastores[all] @ {wheel.as_uri()}")
    folder.joinpath("empty").mkdir()
    session.chdir(folder / "empty")
    session.run("datastores", "--version")


@nox.session
def examples(session: nox.Session) -> None:
    """The blocks of README and docs, and the toy driver: a part of `tests`, alone."""
    install(session, "tests")
    session.run("pytest", "tests/test_readme.py", "tests/test_toy_driver.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated parts of docs/ anew; a test fails while they are not current."""
    install(session, "tests")
    session.run("python", "docs/generate.py")


@nox.session
def state(session: nox.Session) -> None:
    """The property tests with many more examples; for the night."""
    install(session, "tests")
    session.run("pytest", "--hypothesis-profile=long", *(session.posargs or ["-n", "auto"]))


@nox.session
def faults(session: nox.Session) -> None:
    """Copies that are killed at every step and at 200 moments for each kind of target."""
    install(session, "tests")
    session.run("pytest", "-m", "faults", *(session.posargs or ["-n", "auto"]))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Damaged input for the compiled codec under AddressSanitizer and UBSan; Linux with gcc.

    `nox -s fuzz -- COUNT SEED`.
    """
    install(session, "tests")
    session.install(*PROJECT["build-system"]["requires"])
    folder = Path(session.create_tmp()).resolve()
    checks = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined"
    session.run(
        *("python", "setup.py", "-q", "build_ext", "--force"),
        *("--build-lib", str(folder), "--build-temp", str(folder / "objects")),
        env={
            "CC": "gcc",
            "CFLAGS": f"{checks} -fno-sanitize-recover=all -Wall -Wextra -Werror",
            "LDFLAGS": checks,
        },
    )
    (extension,) = folder.glob("**/_compiled*.so")
    # The interpreter is not instrumented, so the checks' library has to be there before it.
    libraries = [
        str(session.run("gcc", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    session.run(
        *("python", "-m", "tests.drivers.postgresql_codec_fuzz", str(extension)),
        *(session.posargs or ["100000"]),
        env={
            "LD_PRELOAD": " ".join(libraries),
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        },
    )


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Start-up time, memory of a copy, and PostgreSQL beside its peers: tables to read, not tests.

    `nox -s benchmarks -- read --rows 100000` is PostgreSQL alone, with these arguments.
    """
    install(session, "tests")
    if not session.posargs:
        session.run("python", "benchmarks/import_time.py")
        session.run("python", "benchmarks/copy_memory.py")
    session.run(
        *("python", "-m", "benchmarks.postgresql", "--peers", peers(session)),
        *(session.posargs or ["all", "--json", "postgresql.json", "--chart", "postgresql.svg"]),
    )


@nox.session
def scorecard(session: nox.Session) -> None:
    """What becomes of PostgreSQL's torture values here and in the peers; writes a page of docs/."""
    install(session, "tests")
    session.run(
        *("python", "-m", "benchmarks.postgresql.scorecard", "--peers", peers(session)),
        *("--page", "docs/drivers/azure_postgresql_scorecard.md", "--json", "scorecard.json"),
    )


@nox.session
def matrix(session: nox.Session) -> None:
    """Any store to any store: all tables, every pair, there and back; writes the page in docs/."""
    install(session, "tests")
    session.run(
        *("pytest", "tests/transfer/test_matrix.py", "--matrix", "docs/matrix.md"),
        *(session.posargs or ["-n", "auto"]),
    )


def peers(session: nox.Session) -> str:
    """Return the Python of an environment with the peers, which want a DuckDB of their own."""
    folder = Path(session.create_tmp()).resolve() / "peers"
    session.install("virtualenv")
    session.run("virtualenv", "--quiet", str(folder))
    python = str(folder / "bin" / "python")
    packages = nox.project.dependency_groups(PROJECT, "peers")
    session.run(python, "-m", "pip", "install", "--quiet", *packages, external=True)
    return python
