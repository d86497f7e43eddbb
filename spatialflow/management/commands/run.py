"""`manage.py run`: the whole service on this machine, in one foreground process that owns everything it starts.

Database, migrations, a demo workspace, the WSGI server, and a message that says how to use it. For one machine, on
loopback; docker-compose.yml shows what a deployment does instead.
"""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from spatialflow import localdb, processes
from spatialflow.migration_lock import the_only_migration
from spatialflow.postgres_programs import LocalDatabaseError

HOST = "127.0.0.1"
WORKSPACE = "demo"
OWNER = "owner@demo.test"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REQUEST_PATIENCE = 10  # seconds that running requests get to finish
SERVER_STOP = ((signal.SIGTERM, REQUEST_PATIENCE + 5.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True)
class Demo:
    """What `bootstrap` answered; password and key are None unless they are new."""

    email: str
    password: str | None
    api_key: str | None


class Command(BaseCommand):
    help = "Serve the API on this machine, with a local PostgreSQL unless DATABASE_URL is set. Ctrl-C stops everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--stop-with-parent", action="store_true", help="Stop when the process that started this ends."
        )

    def handle(self, **options: Any) -> None:
        parent = os.getppid() if options["stop_with_parent"] else None
        for number in STOP_SIGNALS:
            signal.signal(number, stop)
        with ExitStack() as stack:
            stack.enter_context(the_only_run())
            check_port_is_free()
            database = None if settings.DATABASE_URL else stack.enter_context(local_database())
            demo = self.prepare_database()
            try:
                server = stack.enter_context(wsgi_server())
                wait_until_healthy(server)
            finally:
                self.say_what_is_new(demo)
            self.say_how_to_use(demo)
            wait_for_an_end(server, database, parent)

    def prepare_database(self) -> Demo:
        """Migrate and bootstrap; of two runs at one database, the second waits and then finds all done."""
        with ExitStack() as stack:
            stack.callback(connections.close_all)
            try:
                stack.enter_context(the_only_migration(connection))
            except OperationalError as error:
                raise CommandError(f"The database does not answer: {str(error).strip().splitlines()[-1]}") from None
            try:
                executor = MigrationExecutor(connection)
                if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                    call_command("migrate", interactive=False)
                for model in apps.get_models():
                    model._base_manager.first()  # asks for every column
                return bootstrap()
            except DatabaseError as error:
                raise CommandError(f"The database does not fit this code: {str(error).splitlines()[0]}.") from None

    def say_what_is_new(self, demo: Demo) -> None:
        """Print what cannot be shown again, also when the server then fails."""
        if demo.password:
            self.say(f"Owner     {demo.email}", f"Password  {demo.password}  (shown this once)")
        if demo.api_key:
            self.say(f"API key   {demo.api_key}  (shown this once)")

    def say_how_to_use(self, demo: Demo) -> None:
        if not demo.password:
            python = os.path.relpath(sys.executable, settings.BASE_DIR)
            self.say(
                f"Owner     {demo.email}",
                f"Password  as shown at the first run; {python} manage.py changepassword {demo.email} sets a new one",
            )
        key = demo.api_key or "YOUR_API_KEY"
        self.say(
            f"Sign in   {settings.PUBLIC_URL}/sign-in in a browser, with this email and password",
            f"Or        POST {address()}/api/v1/auth/login with them, for programs",
            f"Try       curl -H 'X-API-KEY: {key}' {address()}/api/v1/geofences",
            f"Serving   {address()}  (Ctrl-C stops)",
        )

    def say(self, *lines: str) -> None:
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """End the run in good order, once: whoever presses Ctrl-C again must not break the cleaning up."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def address() -> str:
    return f"http://{HOST}:{settings.PORT}"


@contextmanager
def the_only_run() -> Iterator[None]:
    """Hold the data directory's lock, and end what an earlier run that was killed left running.

    With DATABASE_URL the port is all that two runs could quarrel about, so then the lock is the port's.
    """
    name = f"run-{settings.PORT}.lock" if settings.DATABASE_URL else "run.lock"
    try:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        lock = settings.DATA_DIR.joinpath(name).open("a+")
    except OSError as error:
        raise CommandError(f"The data directory cannot be used: {error}.") from None
    with lock:
        _take(lock.fileno(), settings.DATA_DIR / name)
        _note(lock.fileno(), f"process {os.getpid()} serves {address()}")
        try:
            processes.end(servers_left_running, SERVER_STOP)
        except processes.ProcessesRemainError as error:
            raise CommandError(str(error)) from None
        try:
            yield
        finally:
            _note(lock.fileno(), "")


def _take(lock: int, path: Path) -> None:
    """Lock the file; a run that is just ending (its file is empty then) gets the time that it needs for that."""
    patience = time.monotonic() + 3
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text()
            if time.monotonic() > patience + (0 if holder else REQUEST_PATIENCE + 30):
                raise CommandError(f"Already running: {holder or 'a run that is stopping'}.") from None
            time.sleep(0.1)


def _note(lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.write(lock, text.encode())


def servers_left_running() -> list[processes.Process]:
    """Return the processes of WSGI servers started for this data directory: their command line names its pid file."""
    mark = f"--pid-file {pid_file()} "
    return [
        process for process in processes.running() if "granian" in process.command_line and mark in process.command_line
    ]


def pid_file() -> Path:
    name = f"server-{settings.PORT}.pid" if settings.DATABASE_URL else "server.pid"
    return Path(settings.DATA_DIR) / name


def check_port_is_free() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Port {settings.PORT} cannot be used ({error.strerror}): choose another, as in PORT=8001 make run."
            ) from None


@contextmanager
def local_database() -> Iterator[localdb.Server]:
    try:
        with localdb.server(settings.DATA_DIR) as database:
            yield database
    except LocalDatabaseError as error:
        raise CommandError(str(error)) from None


def bootstrap() -> Demo:
    """Make the demo workspace with its owner and API key, once; afterwards it is its owner's."""
    if apps.get_model("accounts", "Workspace").objects.filter(slug=WORKSPACE).exists():
        return Demo(OWNER, None, None)
    output = StringIO()
    call_command(
        "bootstrap",
        workspace_slug=WORKSPACE,
        workspace_name="Demo",
        plan="business",
        email=OWNER,
        json=True,
        stdout=output,
    )
    answer = json.loads(output.getvalue())
    return Demo(answer["email"], answer["password"], answer["api_key"])


@contextmanager
def wsgi_server() -> Iterator[subprocess.Popen[bytes]]:
    """Run granian with its workers in a process group of their own, and end all of it afterwards."""
    pid_file().unlink(missing_ok=True)
    arguments = {
        "--interface": "wsgi",
        "--host": HOST,
        "--port": settings.PORT,
        "--workers": settings.WORKERS,
        "--blocking-threads": settings.BLOCKING_THREADS,
        "--workers-kill-timeout": REQUEST_PATIENCE,
        "--pid-file": pid_file(),
        "--log-level": "warning",
    }
    command = [sys.executable, "-m", "granian", "--no-ws", "--respawn-failed-workers"]
    for name, value in arguments.items():
        command += [name, str(value)]
    server = subprocess.Popen(
        processes.tied([*command, "spatialflow.wsgi:application"], "TERM"),
        stdin=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        start_new_session=True,  # Ctrl-C is for us, who stop it in order
    )
    try:
        yield server
    finally:
        stop_server(server)
        pid_file().unlink(missing_ok=True)


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """End granian and its workers, which finish the requests they have.

    A worker that was forked this very moment misses the signal, so those that remain get it once more. (Not more often:
    a third signal makes granian 2.8 hang until its requests are killed.) A granian that was killed leaves its workers.
    """
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=1)
    processes.end(servers_left_running, SERVER_STOP)
    server.wait()


def wait_until_healthy(server: subprocess.Popen[bytes]) -> None:
    """Return when the API is ready; raises CommandError when it is not, the server ends, or 60 seconds pass."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise CommandError("The WSGI server ended before it answered; its reason stands above.")
        visit = HTTPConnection(HOST, settings.PORT, timeout=5)
        try:
            visit.request("GET", "/api/v1/health/ready", headers={"Host": settings.ALLOWED_HOSTS[0]})
            status = visit.getresponse().status
        except (OSError, HTTPException):
            status = None  # not yet
        finally:
            visit.close()
        if status == 200:
            return
        if status:
            raise CommandError(f"The API is not ready (it answers {status}); its reason stands above.")
        time.sleep(0.05)
    raise CommandError(f"The WSGI server does not answer on {address()}.")


def wait_for_an_end(server: subprocess.Popen[bytes], database: localdb.Server | None, parent: int | None) -> None:
    """Wait for a signal (which ends the run by SystemExit) or for the end of something that this run needs."""
    while True:
        if server.poll() is not None:
            raise CommandError(f"The WSGI server ended unexpectedly (code {server.returncode}).")
        if database and database.child.poll() is not None:
            log = settings.DATA_DIR / "postgres.log"
            raise CommandError(f"PostgreSQL ended unexpectedly (code {database.child.returncode}); see {log}.")
        if parent is not None and (os.getppid() != parent or wants_to_stop(parent)):
            return
        time.sleep(0.25)


def wants_to_stop(parent: int) -> bool:
    """Say whether a signal has told `make` to stop.

    Ctrl-C reaches us directly. But an interrupt sent to make alone is not passed on: make blocks the signal and waits
    for us, for ever. Linux shows the blocked signals.
    """
    try:
        blocked = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{parent}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return blocked is not None and any(int(blocked[1], 16) & 1 << number - 1 for number in STOP_SIGNALS)
