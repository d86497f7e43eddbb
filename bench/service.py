"""The service under measurement: its own durable Postgres, its data, and granian as a deployment runs it."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.jobs import jobs
from bench.load import Job
from spatialflow import localdb, processes

PROJECT = Path(__file__).resolve().parents[1]
SLUG = "bench"
STOP = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True)
class Target:
    """Something that answers jobs: the service, or later a peer that it is compared with."""

    name: str
    port: int
    process: int  # the server's first process; CPU time is that of its whole tree
    database: int | None = None  # the same of its database
    jobs: dict[str, Job] = field(default_factory=dict)


@contextmanager
def service(*, workers: int, keys: int) -> Iterator[Target]:
    """Run the service with its data on disk (fsync on) and yield it; nothing remains afterwards."""
    with temporary_folder() as folder, localdb.server(folder) as database:
        environment = production_environment(database.url)
        project_output("migrate", "--no-input", environment=environment)
        bootstrapped = json.loads(
            project_output(
                *("bootstrap", "--workspace-slug", SLUG, "--workspace-name", "Bench", "--plan", "enterprise"),
                *("--email", "owner@bench.test", "--json"),
                environment=environment,
            )
        )
        credentials = json.loads(output([sys.executable, "-m", "bench.seed", SLUG, str(keys)], environment))
        with granian("spatialflow.wsgi:application", workers, environment) as (port, process):
            add_geofences(port, bootstrapped["api_key"])
            yield Target("spatialflow", port, process.pid, database.child.pid, jobs(credentials))


@contextmanager
def bare(*, workers: int) -> Iterator[Target]:
    """Run an application that does nothing, under the same server."""
    with granian("bench.bare:application", workers, dict(os.environ)) as (port, process):
        yield Target("bare", port, process.pid)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder on disk (/tmp may be memory, where fsync costs nothing) that root's stand-in can enter."""
    folder = Path(tempfile.mkdtemp(prefix="spatialflow-bench-", dir="/var/tmp"))  # noqa: S108 - private by mkdtemp
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def production_environment(database_url: str) -> dict[str, str]:
    """Return the settings of a deployment behind one proxy, whatever this machine has set for the project."""
    ours = {
        "SPATIALFLOW_ENV": "production",
        "PUBLIC_URL": "https://bench.test",
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXY_COUNT": "1",
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "SECRET_KEY": secrets.token_hex(32),
        "JWT_SIGNING_KEYS": f"bench:{secrets.token_hex(32)}",
        "ENCRYPTION_KEYS": f"bench:{secrets.token_hex(32)}",
        "LOG_LEVEL": "WARNING",
    }
    return {**{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}, **ours}


def project_output(*arguments: str, environment: dict[str, str]) -> str:
    return output([sys.executable, "manage.py", *arguments], environment)


def output(command: list[str], environment: dict[str, str]) -> str:
    """Return what a command of the project prints; its complaints go to our stderr."""
    done = subprocess.run(
        processes.tied(command, "KILL"), cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:4])} failed; its reason stands above.")
    return done.stdout


@contextmanager
def granian(
    application: str, workers: int, environment: dict[str, str]
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve a WSGI application on a free port, as the Dockerfile does, and yield port and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", "4", "--no-ws", "--log-level", "warning"]
    command += ["--workers-kill-timeout", "3", application]
    process = subprocess.Popen(
        processes.tied(command, "TERM"), cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until_it_answers(port, process)
        yield port, process
    finally:
        processes.stop_child(process, STOP)


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask(port, "GET", "/api/v1/health")
            return
        except (OSError, HTTPException):
            time.sleep(0.05)
    raise SystemExit("The server does not answer; its reason stands above.")


def add_geofences(port: int, key: str) -> None:
    """Make the page: 20 fences of a few corners each."""
    for number in range(20):
        west, south = 8.0 + number / 10, 47.0
        ring = [[west, south], [west + 0.05, south], [west + 0.05, south + 0.05], [west, south + 0.05], [west, south]]
        fence = {"name": f"Depot {number}", "geometry": {"type": "Polygon", "coordinates": [ring]}}
        headers = {"X-API-KEY": key, "Content-Type": "application/json"}
        status = ask(port, "POST", "/api/v1/geofences", json.dumps(fence), headers)
        if status != 201:
            raise SystemExit(f"A geofence could not be made: status {status}.")


def ask(port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> int:
    """Return the status of one request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        return connection.getresponse().status
    finally:
        connection.close()
