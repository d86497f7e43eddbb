"""The service under measurement: its data, and granian as a deployment runs it; and the Postgres of everybody."""

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bench.jobs import OURS, jobs
from bench.peers.fences import FENCES
from bench.servers import Target, ask, free_port, output, serving
from spatialflow import localdb

SLUG = "bench"


@contextmanager
def durable_database() -> Iterator[localdb.Server]:
    """Run a Postgres with its data on disk and fsync on; nothing remains afterwards."""
    with temporary_folder() as folder, localdb.server(folder) as database:
        yield database


def seed(settings: dict[str, str], keys: int) -> dict[str, Any]:
    """Migrate, bootstrap and fill the service's database; return the credentials."""
    project_output("migrate", "--no-input", settings=settings)
    bootstrapped = json.loads(
        project_output(
            *("bootstrap", "--workspace-slug", SLUG, "--workspace-name", "Bench", "--plan", "enterprise"),
            *("--email", "owner@bench.test", "--json"),
            settings=settings,
        )
    )
    credentials: dict[str, Any] = json.loads(output([sys.executable, "-m", "bench.seed", SLUG, str(keys)], settings))
    return {**credentials, "owner_key": bootstrapped["api_key"]}


@contextmanager
def service(
    name: str, database: localdb.Server, settings: dict[str, str], credentials: dict[str, Any], *, workers: int
) -> Iterator[Target]:
    """Run the service and yield it."""
    with granian("spatialflow.wsgi:application", workers, settings, "/api/v1/health") as (port, process, started_in):
        yield Target(name, port, process.pid, database.child.pid, jobs(credentials, OURS), started_in)


@contextmanager
def bare(*, workers: int) -> Iterator[Target]:
    """Run an application that does nothing, under the same server."""
    with granian("bench.bare:application", workers, {}, "/") as (port, process, _):
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


def production_settings(database_url: str) -> dict[str, str]:
    """Return the settings of a deployment behind one proxy."""
    return {
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


def project_output(*arguments: str, settings: dict[str, str]) -> str:
    return output([sys.executable, "manage.py", *arguments], settings)


def granian(
    application: str, workers: int, settings: dict[str, str], path: str
) -> AbstractContextManager[tuple[int, subprocess.Popen[bytes], float]]:
    """Serve a WSGI application on a free port, as the Dockerfile does."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", "4", "--no-ws", "--log-level", "warning"]
    command += ["--workers-kill-timeout", "3", application]
    return serving(command, settings, port, path)


def add_geofences(port: int, key: str) -> None:
    """Make the page: 20 fences of a few corners each."""
    headers = {"X-API-KEY": key, "Content-Type": "application/json"}
    for fence in FENCES:
        status = ask(port, "POST", "/api/v1/geofences", json.dumps(fence), headers)
        if status != 201:
            raise SystemExit(f"A geofence could not be made: status {status}.")
