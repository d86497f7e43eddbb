"""What `health/ready` says while a part fails: a 503 that names it, soon, and 200 again by itself. `health` asks
nothing of anybody.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from bench.service import temporary_folder
from spatialflow import localdb, processes
from tests.support.launch import PROJECT, Server, Valkey, launch
from tests.support.race import Answer, call

WELL = {"database": "ok", "migrations": "ok", "counter_store": "ok"}
DOWN = {"database": "fails", "migrations": "not asked", "counter_store": "not asked"}


@pytest.fixture(scope="module")
def database() -> Iterator[localdb.Server]:
    """A Postgres of our own, to be stopped; nothing is migrated."""
    with temporary_folder() as folder, localdb.server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def api(database: localdb.Server) -> Iterator[Server]:
    with launch(database.url, workers=1) as running:
        yield running


@contextmanager
def hanging(*pids: int) -> Iterator[None]:
    """Let processes stand still for as long as this lasts: they keep their sockets open and say nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def ready(server: Server) -> Answer:
    return call(server, "GET", "/api/v1/health/ready")


def ready_within(server: Server, seconds: float) -> Answer:
    """Ask until it is ready or the time is over."""
    deadline = time.monotonic() + seconds
    while (answer := ready(server)).status != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def assert_alive(server: Server) -> None:
    began = time.monotonic()
    assert call(server, "GET", "/api/v1/health").body == {"status": "healthy", "service": "spatialflow-api"}
    assert time.monotonic() - began < 1


def migrate(database: localdb.Server) -> None:
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=PROJECT, env={**os.environ, "DATABASE_URL": database.url}, check=True)


def test_a_database_without_our_tables_is_not_ready_until_it_is_migrated(database: localdb.Server, api: Server):
    answer = ready(api)

    assert (answer.status, answer.headers["retry-after"], len(answer.headers["x-request-id"])) == (503, "5", 32)
    assert answer.body == {
        "detail": "This process is not ready: migrations, counter_store.",
        "error_code": "not_ready",
        "status": "not_ready",
        "checks": {"database": "ok", "migrations": "unapplied", "counter_store": "fails"},
    }
    assert_alive(api)

    migrate(database)

    answer = ready(api)
    assert (answer.status, answer.body) == (200, {"status": "ready", "checks": WELL})


def test_one_migration_that_is_missing_is_enough_and_one_too_many_is_not(database: localdb.Server, api: Server):
    migrate(database)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('sso', '9999_newer', now())")
        assert ready(api).status == 200
        latest = connection.execute("SELECT max(id) FROM django_migrations WHERE app = 'geofences'").fetchone()
        connection.execute("UPDATE django_migrations SET app = 'elsewhere' WHERE id = %s", latest)

        answer = ready(api)

        assert (answer.status, answer.body["checks"]) == (503, {**WELL, "migrations": "unapplied"})
        connection.execute("UPDATE django_migrations SET app = 'geofences' WHERE id = %s", latest)
    assert ready(api).status == 200


def test_a_postgres_that_hangs_is_named_within_seconds(database: localdb.Server, api: Server):
    migrate(database)
    assert ready(api).status == 200
    parent = database.child.pid
    cluster = next(process.folder for process in processes.running() if process.pid == parent)
    with hanging(*(process.pid for process in processes.running() if process.folder == cluster)):
        began = time.monotonic()

        answer = ready(api)

        assert (answer.status, answer.body["checks"]) == (503, DOWN)
        assert time.monotonic() - began < 8
        assert_alive(api)
    assert ready_within(api, 8).body == {"status": "ready", "checks": WELL}


@pytest.mark.django_db(transaction=True)
def test_without_redis_postgres_counts_and_it_is_ready_all_the_same(redis_server: Server, redis_store: Valkey):
    assert ready(redis_server).body["checks"] == WELL
    with hanging(redis_store._process.pid):
        began = time.monotonic()

        answer = ready(redis_server)

        assert (answer.status, answer.body["checks"]) == (200, {**WELL, "counter_store": "fallback"})
        assert time.monotonic() - began < 3
    assert ready(redis_server).body["checks"] == WELL


def test_a_postgres_that_is_gone_is_named_at_once(database: localdb.Server, api: Server):
    database.child.send_signal(signal.SIGINT)
    database.child.wait(30)
    began = time.monotonic()

    answer = ready(api)

    assert (answer.status, answer.body["detail"]) == (503, "This process is not ready: database.")
    assert time.monotonic() - began < 3
    assert_alive(api)
