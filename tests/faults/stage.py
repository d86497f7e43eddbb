"""Where faults are played: a durable Postgres that can be stopped and frozen, the service as it is deployed, people."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.service import production_settings, temporary_folder
from spatialflow import localdb, processes
from tests.support.launch import PROJECT, Server, first_that_starts, start, status_of, stop, wait_until
from tests.support.race import Answer, call

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who live as long as a stage
OUTAGE_ENDS_WITHIN = 5.0  # seconds after the fault is over (FA-1 of the requirements)


@dataclass
class Finding:
    """What a fault did. `broken` says in sentences what did not hold; without any, everything did."""

    fault: str
    figures: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.broken.append(sentence)


class Database:
    """A Postgres with its data on disk and fsync on, that may be stopped, frozen and started on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        """Start the server and return when it answers."""
        self.server = self._running.enter_context(localdb.server(self.folder))
        self.url = self.server.url

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT is its fast stop, SIGQUIT its immediate one, to be recovered from like a crash."""
        self.server.child.send_signal(number)
        self.server.child.wait(30)
        self._running.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let every process of the server stand still for as long as this lasts."""
        cluster = str(self.folder.joinpath("postgres").resolve())
        stopped = [process.pid for process in processes.running() if process.folder == cluster]
        assert self.server.child.pid in stopped
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def value(self, statement: str, *parameters: Any) -> Any:
        """Return the one value that a statement yields."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement, parameters).fetchone()
            assert row is not None
            return row[0]


@dataclass
class Stage:
    """The service before a database of its own."""

    database: Database
    settings: dict[str, str]
    people: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[int, str] = field(default_factory=dict)  # the refresh token of each sign-in, as it is by now

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def run(self, *arguments: str) -> str:
        """Return what a Python program of ours prints with the service's settings."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env={**os.environ, **self.settings},
            check=True,
            text=True,
            capture_output=True,
        ).stdout

    @contextmanager
    def serving(self, **settings: str) -> Iterator[Server]:
        """Run the service as the Dockerfile does, two processes that are replaced when they die."""
        environment = {**os.environ, **self.settings, **settings}
        with tempfile.TemporaryDirectory(prefix="spatialflow-stage-") as folder:
            log = Path(folder) / "server.log"
            server = first_that_starts(lambda port: serve(port, environment, log), log)
            try:
                yield server
            finally:
                stop(server.process)

    def person(self, number: int) -> dict[str, str]:
        """Return the headers of somebody signed in, from an address of their own."""
        return {"Authorization": f"Bearer {self.people[number]['access_token']}", "X-Forwarded-For": home(number)}


@contextmanager
def stage(people: int = 12, sign_ins_of_each: int = 12, folder: Path | None = None) -> Iterator[Stage]:
    """Set the stage, on a folder of the caller's or on disk, and clear it away."""
    with ExitStack() as cleared:
        database = Database(folder or cleared.enter_context(temporary_folder()))
        cleared.callback(lambda: database._running.close())
        settings = production_settings(database.url) | {"MAX_API_KEYS_PER_WORKSPACE": "100000"}
        settings["EMAIL_URL"] = "smtp://127.0.0.1:9"  # nobody listens: mail waits in its table
        found = Stage(database, settings)
        found.manage("migrate", "--no-input", "--verbosity=0")
        found.people = json.loads(found.run("-m", "tests.faults.seed", str(people), str(sign_ins_of_each)))
        found.tokens = dict(enumerate(token for person in found.people for token in person["refresh_tokens"]))
        yield found


def serve(port: int, environment: dict[str, str], log: Path) -> Server:
    """Start granian on this port and return when the API answers."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "2", "--blocking-threads", "4", "--no-ws", "--respawn-failed-workers"]
    command += ["--workers-kill-timeout", "3", "--log-level", "warning", "spatialflow.wsgi:application"]
    with log.open("wb") as output:
        process = start(command, output=output.fileno(), environment=environment)
    server = Server(f"http://127.0.0.1:{port}")
    server.log, server.process = log, process
    wait_until(lambda: status_of(port, "/api/v1/health") > 0, process, "The API")
    return server


def workers_of(server: Server) -> list[int]:
    """Return the processes that answer requests."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def home(number: int) -> str:
    """Return an address of which everybody has one: the service trusts one proxy, which these tests play."""
    return f"10.9.{number >> 8}.{number & 255}"


def timed(server: str, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[Answer, float]:
    """Return an answer and the seconds it took."""
    began = time.monotonic()
    answer = call(server, method, path, body, headers)
    return answer, time.monotonic() - began
