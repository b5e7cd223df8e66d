"""A PostgreSQL server for the tests: Debian's, on loopback, gone when the tests are."""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services import HOST, START_SECONDS, free_port, running

USER = "nobody"
"""Who the server is when the tests are root: PostgreSQL refuses to be root itself."""
OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class NoServerError(Exception):
    """There is no PostgreSQL here; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and its superuser."""

    port: int
    password: str

    def new_database(self, driver: str = "psycopg") -> str:
        """Make an empty database, and name it as SQLAlchemy does."""
        database = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {database}")
        return f"postgresql+{driver}://goa:{self.password}@{HOST}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        import psycopg  # noqa: PLC0415

        conninfo = f"host={HOST} port={self.port} user=goa dbname=postgres"
        with psycopg.connect(conninfo, password=self.password, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """Make an empty cluster, serve it, and take all of it away at the end.

    Raises:
        NoServerError: PostgreSQL or its driver is not installed.
    """
    binaries = _binaries()
    try:
        import psycopg  # noqa: PLC0415
    except ImportError as error:
        raise NoServerError(f"no driver: {error}; pip install 'goa[postgres]'") from None
    # Not among pytest's folders, wherever a test has temporary files: those are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="goa-postgresql-", dir="/tmp"))
    server = Server(port=free_port(), password=secrets.token_hex(8))
    (folder / "password").write_text(server.password)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, USER)
    data = str(folder / "data")
    settings = [f"-c{name}={value}" for name, value in OPTIONS.items()]
    try:
        # A locale that every Debian has, so that order and messages are the same everywhere.
        made = [f"-D{data}", "--username=goa", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        password = f"--pwfile={folder / 'password'}"
        _run([str(binaries / "initdb"), *made, password, "--no-sync"])
        argv = [str(binaries / "postgres"), f"-D{data}", f"-p{server.port}", *settings]
        with running(_unprivileged(argv), folder / "log"):
            try:
                _wait(server, folder / "log", psycopg.OperationalError)
                yield server
            finally:
                # At once, although the tests' own connections are still open.
                _run([str(binaries / "pg_ctl"), f"-D{data}", "stop", "--mode=immediate"])
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    found = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise NoServerError("PostgreSQL is not installed; apt-get install postgresql")
    return max(found, key=lambda path: float(path.parts[4])).parent


def _unprivileged(argv: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(argv)
    group = subprocess.run(
        ["/usr/bin/id", "--group", USER], check=True, capture_output=True, text=True
    )
    change = [f"--reuid={USER}", f"--regid={group.stdout.strip()}", "--clear-groups"]
    return ["/usr/bin/setpriv", *change, "--", *argv]


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(
        _unprivileged(argv), cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _wait(server: Server, log: Path, refusal: type[Exception]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return server.execute("SELECT 1")
        except refusal:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
