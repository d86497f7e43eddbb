"""Backup and restore: a dump taken beside the running service makes a database that another server serves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from spatialflow.postgres_programs import find_programs
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import PROJECT, launch
from tests.support.race import call
from tests.support.totp import code, enrol

pytestmark = pytest.mark.django_db(transaction=True)
FENCES = "/api/v1/geofences"
FENCE = {"name": "Yard", "geometry": {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 100}}


@pytest.fixture
def restored_url(database_url: str) -> Iterator[str]:
    """The address of an empty database that nobody else uses."""
    name = f"restored_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield database_url.replace(f"/{server.info.dbname}?", f"/{name}?")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(*command: str | Path, **environment: str) -> str:
    """Return what a command printed once it has succeeded without a complaint."""
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_dump_beside_the_service_is_the_whole_service(
    alice: Actor, database_url: str, restored_url: str, tmp_path: Path
):
    """Keys, sign-ins, second factors, fences and the audit trail's chain all hold in what is restored."""
    programs, dump = find_programs(None).folder, tmp_path / "service.dump"
    secret, _ = enrol(alice)
    key = {"X-API-KEY": alice.make_key()[1]}
    place = {"PUBLIC_URL": settings.PUBLIC_URL}
    with launch(database_url, workers=1, extra_env=place) as server:
        assert call(server, "POST", FENCES, FENCE, key).status == 201
        run(programs / "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={database_url}")
        assert call(server, "POST", FENCES, {**FENCE, "name": "Later"}, key).status == 201

    script = run(programs / "pg_restore", "--file=-", dump)
    assert str(alice.user.id) in script
    for credential in (secret, key["X-API-KEY"], alice.pair.refresh_token, PASSWORD):
        assert credential not in script
    restored = ("--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={restored_url}")
    assert run(programs / "pg_restore", *restored, dump) == ""
    manage = (sys.executable, "manage.py")
    assert "The audit trail holds" in run(*manage, "verify_audit_log", DATABASE_URL=restored_url)
    assert "Nothing is under an older key" in run(*manage, "reencrypt", DATABASE_URL=restored_url)

    login = {"email": alice.user.email, "password": PASSWORD, "otp": code(secret)}
    with launch(restored_url, workers=1, extra_env=place) as server:
        assert call(server, "GET", "/api/v1/health/ready").status == 200
        assert [fence["name"] for fence in call(server, "GET", FENCES, headers=key).body["geofences"]] == ["Yard"]
        assert call(server, "POST", "/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token}).status == 200
        assert call(server, "POST", "/api/v1/auth/login", login).status == 200
    run(*manage, "verify_audit_log", DATABASE_URL=restored_url)
