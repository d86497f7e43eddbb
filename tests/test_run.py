"""`manage.py run` and the throw-away Postgres, for real: they start, end in order, and get over being killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from spatialflow import localdb, processes
from spatialflow.postgres_programs import LocalDatabaseError
from tests.support.launch import PROJECT, free_port

PATIENCE = 30  # seconds; everything here takes a fraction of it


class Run:
    """A `manage.py run` on a data directory and port of its own."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir, self.port = data_dir, port
        self.output = data_dir.parent / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, prefix: tuple[str, ...] = (), arguments: tuple[str, ...] = ()) -> "Run":
        """Start it and return when it serves or has ended."""
        environment = {name: text for name, text in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        environment |= {"SPATIALFLOW_DATA_DIR": str(self.data_dir), "PORT": str(self.port)}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                processes.tied([*prefix, sys.executable, "manage.py", "run", *arguments], "TERM"),
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = self.process
        eventually(lambda: "Serving " in self.said() or process.poll() is not None)
        return self

    def send(self, number: signal.Signals) -> int:
        """Signal the run and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        return self.output.read_text()

    def alive(self) -> list[processes.Process]:
        """Return what lives of this run: the servers name its directory, and PostgreSQL works in it."""
        mark = str(self.data_dir)
        return [found for found in processes.running() if mark in found.command_line or mark in found.folder]

    def pid_of(self, file: str) -> int:
        return int(self.data_dir.joinpath(file).read_text().split()[0])

    def status(self, path: str, key: str) -> int:
        """Return the HTTP status that this API key gets."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"X-API-KEY": key})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spatialflow-run-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    run = Run(folder / "var", free_port())
    yield run
    if run.process and run.process.poll() is None:
        run.send(signal.SIGTERM)
    for left in run.alive():
        os.kill(left.pid, signal.SIGKILL)
    eventually(lambda: not run.alive())


def beside_postgres(*command: str, **additions: str) -> subprocess.Popen[str]:
    """Start a command through the throw-away wrapper."""
    environment = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-m", "spatialflow.localdb", "--", *command],
        cwd=PROJECT,
        env={**environment, **additions},
        stdout=subprocess.PIPE,
        text=True,
    )


def home_of(database_url: str) -> Path:
    """Return the throw-away server's folder."""
    return Path(psycopg.conninfo.conninfo_to_dict(database_url)["host"]).parent  # type: ignore[arg-type]


TELL = "import os, time; print(os.environ['DATABASE_URL'], flush=True); "


def test_a_throw_away_server_answers_and_leaves_nothing() -> None:
    query = "import psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).execute('SHOW fsync').fetchone()[0])"
    with beside_postgres(sys.executable, "-c", f"{TELL}{query}; raise SystemExit(7)") as wrapper:
        url, fsync = wrapper.communicate(timeout=PATIENCE)[0].split()

    assert (wrapper.returncode, fsync) == (7, "off")
    assert not home_of(url).exists()
    assert not [found for found in processes.running() if str(home_of(url)) in found.command_line + found.folder]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_and_all_of_it_ends(number: signal.Signals) -> None:
    with beside_postgres(sys.executable, "-c", f"{TELL}time.sleep(60)") as wrapper:
        assert wrapper.stdout is not None
        url = wrapper.stdout.readline().strip()
        assert home_of(url).exists()
        wrapper.send_signal(number)
        wrapper.wait(PATIENCE)

    assert wrapper.returncode == (128 + number if number == signal.SIGTERM else 130)
    assert not home_of(url).exists()


def test_the_death_of_the_wrapper_ends_its_command_and_its_server() -> None:
    with beside_postgres(sys.executable, "-c", f"{TELL}time.sleep(60)") as wrapper:
        assert wrapper.stdout is not None
        home = home_of(wrapper.stdout.readline().strip())
        wrapper.kill()

    eventually(lambda: not [found for found in processes.running() if str(home) in found.command_line + found.folder])
    hour_ago = time.time() - 3600
    os.utime(home, (hour_ago, hour_ago))
    with beside_postgres("true") as following:
        pass
    assert following.returncode == 0
    assert not home.exists()


def test_a_database_that_is_named_is_used_as_it_is() -> None:
    with beside_postgres(sys.executable, "-c", TELL, DATABASE_URL="postgresql://elsewhere/db") as wrapper:
        assert wrapper.communicate(timeout=PATIENCE)[0].strip() == "postgresql://elsewhere/db"


def test_a_second_start_keeps_the_data_whatever_stands_in_the_pid_file(folder: Path) -> None:
    with localdb.server(folder) as first, psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
        marks = folder.joinpath("postgres", "postmaster.pid").read_text().splitlines()
    living_stranger = "\n".join([str(os.getppid()), *marks[1:]])
    folder.joinpath("postgres", "postmaster.pid").write_text(living_stranger)

    with localdb.server(folder) as second, psycopg.connect(second.url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("here",)]


def test_a_server_that_is_still_running_is_replaced(folder: Path) -> None:
    with localdb.server(folder) as orphan, localdb.server(folder) as second:
        assert orphan.child.wait(PATIENCE) is not None
        with psycopg.connect(second.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_interrupted_first_start_is_done_again(folder: Path) -> None:
    folder.joinpath("postgres.new").mkdir()
    folder.joinpath("postgres.new", "PG_VERSION").write_text("18\n")

    with localdb.server(folder) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("spatialflow",)


def test_the_socket_is_private_and_its_path_short() -> None:
    deep = Path("/home") / ("a" * 120) / "var"

    assert len(str(localdb.socket_directory(deep) / ".s.PGSQL.5432")) <= 107
    assert localdb.socket_directory(deep) != localdb.socket_directory(deep.parent)


def test_a_socket_folder_that_somebody_else_could_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.joinpath("trap").mkdir()
    folder.joinpath("link").symlink_to(folder / "trap")
    monkeypatch.setattr(localdb, "socket_directory", lambda data_dir: folder / "link")

    with pytest.raises(LocalDatabaseError, match="made by somebody else"), localdb.server(folder / "var"):
        pass


def test_the_first_run_shows_a_key_and_later_runs_keep_it_working(run: Run) -> None:
    run.start()
    first = run.said()
    key = re.findall(r"sf_\w+", first)[0]
    page = re.findall(r"http\S+", first)[0]
    assert page == f"http://localhost:{run.port}/sign-in"
    assert run.status("/sign-in", "") == 200
    assert f"http://127.0.0.1:{run.port}" in first
    assert re.search(r"Password  \S{12,}  \(shown this once\)", first)
    assert run.status("/api/v1/geofences", key) == 200
    assert run.send(signal.SIGTERM) == 0
    assert run.alive() == []

    run.start()
    assert "sf_" not in run.said()
    assert "changepassword owner@demo.test" in run.said()
    assert run.status("/api/v1/geofences", key) == 200
    assert run.send(signal.SIGINT) == 0
    assert run.alive() == []
    assert key not in "".join(path.read_text() for path in run.data_dir.glob("*.log"))


def test_whatever_is_killed_the_next_run_serves(run: Run) -> None:
    run.start()
    key = re.findall(r"sf_\w+", run.said())[0]
    assert run.send(signal.SIGKILL) == -9
    run.start()
    assert run.status("/api/v1/geofences", key) == 200

    os.kill(run.pid_of("server.pid"), signal.SIGKILL)  # its workers remain and hold the port
    assert run.send(signal.SIGKILL) == -9
    run.start()
    assert run.status("/api/v1/geofences", key) == 200

    os.kill(run.pid_of("postgres/postmaster.pid"), signal.SIGKILL)
    assert run.process is not None
    assert run.process.wait(PATIENCE) == 1
    assert "PostgreSQL ended unexpectedly" in run.said()
    run.start()
    assert run.status("/api/v1/geofences", key) == 200


def test_a_server_that_dies_takes_the_run_with_it(run: Run) -> None:
    run.start()
    os.kill(run.pid_of("server.pid"), signal.SIGKILL)

    assert run.process is not None
    assert run.process.wait(PATIENCE) == 1
    assert "The WSGI server ended unexpectedly" in run.said()
    assert run.alive() == []


def test_the_death_of_make_ends_the_run(run: Run) -> None:
    run.start(prefix=("sh", "-c", '"$@"; true', "make"), arguments=("--stop-with-parent",))
    assert len(run.alive()) > 3
    assert run.send(signal.SIGKILL) == -9

    eventually(lambda: not run.alive())
    eventually(lambda: run.data_dir.joinpath("run.lock").read_text() == "")


def test_a_second_run_says_who_is_running(run: Run) -> None:
    run.start()
    assert run.process is not None
    second = Run(run.data_dir, free_port())
    second.output = run.data_dir / "second.txt"
    second.start()

    assert second.process is not None
    assert second.process.wait(PATIENCE) == 1
    assert second.said().strip() == (
        f"CommandError: Already running: process {run.process.pid} serves http://127.0.0.1:{run.port}."
    )


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", run.port))
        stranger.listen()
        run.start()

    assert run.process is not None
    assert run.process.wait(PATIENCE) == 1
    assert run.said().startswith(f"CommandError: Port {run.port} cannot be used")
    assert len(run.said().splitlines()) == 1
