"""A primary with a standby: the address names both, and the service follows the primary without a restart."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.launch import PROJECT, launch
from tests.support.race import at_once, call
from tests.support.replicated_postgres import Node, primary_and_standby

FENCES = "/api/v1/geofences"
REFRESH = "/api/v1/auth/refresh"
FENCE = {"name": "Yard", "geometry": {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 100}}


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    with primary_and_standby() as both:
        yield both


def manage(url: str, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "DATABASE_URL": url, "SPATIALFLOW_DATA_DIR": str(folder)}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def statuses_of(server: str, headers: dict[str, str]) -> set[int]:
    """Return how it answers on all of its threads."""
    return set(at_once(16, lambda _: call(server, "GET", FENCES, headers=headers).status))


def test_the_service_follows_the_primary(nodes: tuple[Node, Node], tmp_path: Path):
    primary, standby = nodes
    places = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"  # the one that may not be written to comes first
    url = f"postgresql://postgres@{places}/spatialflow?target_session_attrs=read-write"
    manage(url, tmp_path, "migrate", "--no-input", "--verbosity=0")
    owner = ["--workspace-slug", "acme", "--workspace-name", "Acme", "--plan", "business", "--email", "owner@acme.test"]
    made = json.loads(manage(url, tmp_path, "bootstrap", *owner, "--json"))
    headers = {"X-API-KEY": made["api_key"]}

    with launch(url) as server:
        login = {"email": "owner@acme.test", "password": made["password"]}
        pair = call(server, "POST", "/api/v1/auth/login", login).body
        assert statuses_of(server, headers) == {200}
        fence = call(server, "POST", FENCES, FENCE, headers)
        assert fence.status == 201, fence.body

        primary.crash()
        assert call(server, "GET", FENCES, headers=headers).status == 503
        standby.say("SELECT pg_promote()")
        promoted = time.monotonic()
        statuses = set()
        while (status := call(server, "GET", FENCES, headers=headers).status) != 200:
            statuses.add(status)
            assert time.monotonic() - promoted < 10

        assert statuses <= {503}
        assert statuses_of(server, headers) == {200}  # in every thread
        kept = call(server, "GET", f"{FENCES}/{fence.body['id']}", headers=headers)
        assert (kept.status, kept.body["name"]) == (200, "Yard")
        assert call(server, "POST", REFRESH, {"refresh_token": pair["refresh_token"]}).status == 200
