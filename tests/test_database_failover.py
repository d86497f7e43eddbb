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
LOGIN = "/api/v1/auth/login"
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


def furnish(url: str, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Set the database up; return the headers with a key of its owner, and what the owner signs in with."""
    manage(url, folder, "migrate", "--no-input", "--verbosity=0")
    owner = ["--workspace-slug", "acme", "--workspace-name", "Acme", "--plan", "business", "--email", "owner@acme.test"]
    made = json.loads(manage(url, folder, "bootstrap", *owner, "--json"))
    return {"X-API-KEY": made["api_key"]}, {"email": "owner@acme.test", "password": made["password"]}


def test_the_service_follows_the_primary(nodes: tuple[Node, Node], tmp_path: Path):
    primary, standby = nodes
    places = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"  # the one that may not be written to comes first
    url = f"postgresql://postgres@{places}/spatialflow"
    headers, login = furnish(url, tmp_path)

    with launch(url) as server:
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


def test_a_server_that_takes_no_writes_is_an_outage_until_it_does_again(nodes: tuple[Node, Node], tmp_path: Path):
    """As a primary does that was replaced while it kept its connections, or whose disk is full at some providers."""
    primary, _ = nodes
    url = f"postgresql://postgres@127.0.0.1:{primary.port}/spatialflow"
    headers, login = furnish(url, tmp_path)

    with launch(url) as server:
        assert statuses_of(server, headers) == {200}
        take_writes(primary, False)
        refused = [call(server, "POST", FENCES, FENCE, headers), call(server, "POST", LOGIN, login)] * 4
        take_writes(primary, True)

        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "5")}
        assert {answer.body["error_code"] for answer in refused} == {"unavailable"}
        assert "Traceback" not in server.log.read_text()
        assert statuses_of(server, headers) == {200}  # in every thread
        assert call(server, "POST", FENCES, FENCE, headers).status == 201


def test_before_a_standby_everything_is_refused_until_it_is_promoted(nodes: tuple[Node, Node], tmp_path: Path):
    primary, standby = nodes
    headers, login = furnish(f"postgresql://postgres@127.0.0.1:{primary.port}/spatialflow", tmp_path)

    with launch(f"postgresql://postgres@127.0.0.1:{standby.port}/spatialflow") as server:
        refused = [call(server, "GET", FENCES, headers=headers), call(server, "POST", LOGIN, login)]
        primary.crash()
        standby.say("SELECT pg_promote()")

        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "5")}
        assert statuses_of(server, headers) == {200}
        assert call(server, "POST", LOGIN, login).status == 200


def take_writes(node: Node, does: bool) -> None:
    node.say(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if does else 'on'}")
    node.say("SELECT pg_reload_conf()")
    time.sleep(0.2)  # every session reads it before its next statement
