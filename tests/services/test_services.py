"""The test services keep their promises: they start, answer, stop, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobServiceClient

from tests.services import compose
from tests.services.azurite import Azurite, find_azurite
from tests.services.certificates import Certificates
from tests.services.postgresql import Database, OwnServer, PostgreSQL, find_postgresql
from tests.services.process import MissingServiceError, ServerProcess, accepts

ROOT = Path(__file__).parents[2]


def processes_in(folder: str) -> list[psutil.Process]:
    """Return the processes whose command line names a folder."""
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if any(folder in part for part in one.info["cmdline"] or ())
    ]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestProcesses:
    def test_nothing_is_left_after_close(self) -> None:
        server = OwnServer(None)
        folder = str(server.process.folder)
        server.start()
        server.start()
        assert server.process.pid in {one.pid for one in processes_in(folder)}
        server.close()
        server.close()
        assert not processes_in(folder)
        assert not Path(folder).exists()

    def test_nothing_is_left_after_a_failed_start(self) -> None:
        server = ServerProcess(
            "broken", lambda *_: ["/bin/sh", "-c", "echo because >&2; exit 3"], answers=accepts
        )
        with pytest.raises(MissingServiceError, match="because"):
            server.start()
        server.close(signal.SIGKILL)
        assert not server.folder.exists()

    def test_nothing_is_left_after_the_run_is_killed(self) -> None:
        """A killed test run cannot stop what it started: the supervisor does."""
        code = (
            "import sys, time\n"
            "from tests.services.postgresql import OwnServer\n"
            "server = OwnServer(None)\n"
            "server.start()\n"
            "print(server.process.folder, flush=True)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            folder = run.stdout.readline().strip()
            assert processes_in(folder)
            run.kill()
        wait_until(lambda: not processes_in(folder) and not Path(folder).exists())

    def test_nothing_is_left_after_ctrl_c_or_a_failure(self, tmp_path: Path) -> None:
        test = tmp_path / "test_interrupted.py"
        test.write_text(
            "import os, signal\n"
            "def test_failing(postgresql):\n"
            "    print('FOLDER', postgresql.server.process.folder)\n"
            "    assert False\n"
            "def test_interrupted(postgresql):\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
        )
        options = ["-p", "tests.services.plugin", "-p", "no:randomly", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(test)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "1 failed" in done.stdout
        assert "KeyboardInterrupt" in done.stdout
        (folder,) = {
            line.split()[1] for line in done.stdout.splitlines() if line.startswith("FOLDER")
        }
        assert not processes_in(folder)
        assert not Path(folder).exists()


class TestFinding:
    def test_an_address_is_taken_first(self, postgresql: PostgreSQL) -> None:
        admin = postgresql.admin
        url = f"postgresql://{admin.username}:{admin.password}@{admin.host}:{admin.port}/postgres?sslrootcert={admin.ca_file}"
        found = find_postgresql(None, url)
        with found.database() as database:
            assert database.run("select 1") == [(1,)]
        with pytest.raises(MissingServiceError, match="not the tests' to stop"):
            found.stop()
        found.close()
        with postgresql.admin.connect() as connection:
            assert connection.execute(
                "select count(*) from pg_roles where rolname = %s", [database.owner.username]
            ).fetchone() == (0,)

    def test_an_address_of_azurite(self, azurite_tls: Azurite) -> None:
        found = find_azurite(None, f"{azurite_tls.server.address}/#{azurite_tls.ca_file}")
        with found.container() as container:
            assert container.exists()

    def test_what_is_missing_is_named(self) -> None:
        """As a user who may not install, with an empty cache and no Docker engine."""
        code = (
            "import os\n"
            "from tests.services.process import MissingServiceError\n"
            "from tests.services.azurite import find_azurite\n"
            "if os.geteuid() == 0:\n"
            "    os.setuid(65534)\n"
            "try:\n"
            "    find_azurite(None, None)\n"
            "except MissingServiceError as error:\n"
            "    print(error)\n"
        )
        with tempfile.TemporaryDirectory() as cache:
            Path(cache).chmod(0o777)
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={"XDG_CACHE_HOME": cache, "PATH": "/nowhere"},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert "Azurite is missing" in done.stdout
        assert "DATASTORES_TEST_AZURITE=" in done.stdout
        assert "Docker" in done.stdout

    def test_containers_are_started_and_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
    ) -> None:
        """What the docker program is asked, by one that only writes it down: no engine is here."""
        program, log = tmp_path / "docker", tmp_path / "log"
        program.write_text(f'#!/bin/sh\necho "$AZURITE_PORT $(ls $TLS_FOLDER) $@" >> {log}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert compose.why_not() is None
        log.unlink()
        container = compose.Container(
            "azurite-tls", port_variable="AZURITE_PORT", certificates=certificates
        )
        container.start()
        container.kill()
        container.close()
        text = " ".join(log.read_text().split())
        assert text.count(f"{container.port} authority.pem server.key server.pem compose") == 3
        project = f"--file {compose.FILE} --project-name datastores-tests-{os.getpid()}-azurite-tls"
        for order in ("up --detach --wait azurite-tls", "kill azurite-tls", "down --volumes"):
            assert f"{project} {order}" in text
        program.write_text("#!/bin/sh\nexit 1\n")
        assert compose.why_not() == "no Docker engine answers"
        with pytest.raises(MissingServiceError, match="up failed"):
            container.start()

    def test_compose_has_every_server(self) -> None:
        """No engine is needed to see that each service is healthy by a check and on loopback."""
        services = yaml.safe_load(compose.FILE.read_text())["services"]
        assert {
            "azurite",
            "azurite-tls",
            "postgresql",
            "postgresql-without-tls",
            "mysql",
            "sql-server",
        } == set(services)
        for service in services.values():
            assert service["healthcheck"]["test"]
            assert all(port.startswith("127.0.0.1:") for port in service["ports"])


class TestPostgreSQL:
    def test_each_test_has_a_database(self, postgresql: PostgreSQL, database: Database) -> None:
        database.run("create table t (x int)")
        with postgresql.database() as other:
            assert other.run("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            other.owner.connect()

    def test_rights(self, database: Database) -> None:
        database.run("create table t (x int)")
        database.run("insert into t values (1)")
        with database.clerk.connect() as connection:
            assert connection.execute("update t set x = 2 returning x").fetchall() == [(2,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("create table other (x int)")
        with (
            database.stranger.connect() as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select * from t")

    def test_passwords_are_asked(self, database: Database) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            database.owner.connect(password="wrong")  # noqa: S106

    def test_tls_is_verified(self, database: Database, certificates: Certificates) -> None:
        assert database.run("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == [(True,)]
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            database.owner.connect(sslrootcert=str(certificates.stranger))

    def test_without_tls(
        self, postgresql_without_tls: PostgreSQL, certificates: Certificates
    ) -> None:
        with postgresql_without_tls.database() as database:
            assert database.run("select 1") == [(1,)]
            with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
                database.owner.connect(
                    sslmode="verify-full", sslrootcert=str(certificates.authority)
                )

    def test_stopped_and_started_again(self, postgresql: PostgreSQL, database: Database) -> None:
        database.run("create table t as select 1 as x")
        with database.owner.connect() as connection:
            postgresql.stop()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            database.owner.connect()
        postgresql.start()
        assert database.run("select x from t") == [(1,)]


class TestAzurite:
    def test_wrong_key(self, azurite: Azurite) -> None:
        credential = {"account_name": azurite.account_name, "account_key": "d3Jvbmc="}
        with (
            BlobServiceClient(azurite.account_url, credential=credential) as client,
            pytest.raises(HttpResponseError) as caught,
        ):
            client.get_account_information()
        assert caught.value.status_code == 403

    def test_sas(self, azurite: Azurite) -> None:
        with azurite.container() as container:
            with BlobServiceClient(azurite.account_url, credential=azurite.sas()) as client:
                client.get_container_client(container.container_name).upload_blob("a", b"1")
            expired = azurite.sas(lifetime=timedelta(hours=-1))
            with BlobServiceClient(azurite.account_url, credential=expired) as client:
                with pytest.raises(HttpResponseError) as caught:
                    client.get_container_client(container.container_name).upload_blob("b", b"1")
                assert caught.value.status_code == 403
            assert [one.name for one in container.list_blobs()] == ["a"]

    def test_tokens_over_tls(self, azurite_tls: Azurite) -> None:
        verify = str(azurite_tls.ca_file)
        for token, accepted in ((azurite_tls.token(), True), (azurite_tls.token(exp=1), False)):
            with BlobServiceClient(
                azurite_tls.account_url, credential=token, connection_verify=verify
            ) as client:
                if accepted:
                    client.get_account_information()
                else:
                    with pytest.raises(ClientAuthenticationError):
                        client.get_account_information()

    def test_stopped_and_started_again(self, azurite: Azurite) -> None:
        with azurite.container() as container:
            container.upload_blob("a", b"1")
            azurite.stop()
            assert not accepts(azurite.port)
            azurite.start()
            assert not container.exists()


def test_a_container_that_is_asked_for_is_not_replaced_by_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an engine that is an error, though this machine has the programs."""
    monkeypatch.setenv("PATH", "/nowhere")
    for find in (find_postgresql, find_azurite):
        with pytest.raises(MissingServiceError, match="container was asked for"):
            find(None, "docker")
