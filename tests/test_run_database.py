"""`manage.py run` beside a database that this code cannot work with ends in a sentence before it serves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.launch import PROJECT, free_port


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """The address of a new, empty database."""
    name = f"strange_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield database_url.replace(f"/{server.info.dbname}?", f"/{name}?")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(command: str, url: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    ours = {"DATABASE_URL": url, "SPATIALFLOW_DATA_DIR": str(data_dir), "PORT": str(free_port())}
    line = [sys.executable, "manage.py", command]
    environment = {**os.environ, **ours}
    return subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE geofences_geofence DROP COLUMN name", "column geofences_geofence.name does not exist"),
        ("DROP TABLE apikeys_apikey", 'relation "apikeys_apikey" does not exist'),
    ],
)
def test_tables_that_do_not_fit_are_noticed(url: str, tmp_path: Path, change: str, reason: str) -> None:
    assert manage("migrate", url, tmp_path).returncode == 0
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(change)

    run = manage("run", url, tmp_path)

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"CommandError: The database does not fit this code: {reason}.\n"
