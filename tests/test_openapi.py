"""The API's description is complete, and the running service answers as it says, whatever is thrown at it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from accounts.models import Workspace
from geofences.models import Geofence
from spatialflow.docs import description
from tests.support.cast import Actor
from tests.support.fences import store_fence
from tests.support.launch import Server, launch
from tests.support.oidc_issuer import issuer
from tests.support.urls import api_patterns

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "object_level_authorization",
]
UNDESCRIBED = {"/api/v1/openapi.json", "/api/v1/docs"}
# Trying these would leave nothing to try the others with.
FAREWELLS = {"logout", "saml_logout", "revoke_all_sessions", "delete_account"}


def test_every_address_of_the_api_is_described():
    described = json.loads(description())["paths"].keys()
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route, _ in api_patterns()}

    assert routes - UNDESCRIBED == set(described)


def test_the_description_is_served_without_a_credential(anyone, db):
    response = anyone.get("/api/v1/openapi.json")

    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.")
    schemes = response.json()["components"]["securitySchemes"]
    assert (schemes["ApiKey"]["name"], schemes["Bearer"]["scheme"]) == ("X-API-KEY", "bearer")


def fetch(anyone: APIClient, path: str) -> str:
    """Return a static file's text; it is streamed from an open file, which is closed."""
    with closing(anyone.get(path)) as response:
        assert response.status_code == 200, path
        return b"".join(response).decode(errors="replace")


def test_the_page_works_under_its_policy_and_without_the_internet(anyone, db):
    page = anyone.get("/api/v1/docs")
    html = page.content.decode()

    policy = page["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|https?://", html)
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        assert fetch(anyone, asset)
    assert "SwaggerUIBundle" in fetch(anyone, "/static/spatialflow/api-docs.js")


def schemathesis(server: str, folder: Path, header: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server}/api/v1/openapi.json"]
    command += ["--url", server, "--header", header, "--checks", ",".join(CHECKS), "--max-examples", "12"]
    command += ["--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color"]
    command += ["--continue-on-failure", "--warnings", "off", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, cwd=folder)


def assert_all_tried(run: subprocess.CompletedProcess[str], chosen: Callable[[dict[str, Any]], bool]) -> None:
    operations = [operation for path in json.loads(description())["paths"].values() for operation in path.values()]
    assert run.returncode == 0, run.stdout[-6000:]
    assert f"Tested: {sum(map(chosen, operations))}\n" in run.stdout


@pytest.fixture
def service(database_url: str) -> Iterator[Server]:
    """The service with Google and Apple set up, so that nothing answers that they are not."""
    with issuer() as provider:
        environment = {"PUBLIC_URL": settings.PUBLIC_URL, **provider.environment()}
        with launch(database_url, extra_env=environment) as running:
            yield running


@pytest.mark.django_db(transaction=True)
def test_as_a_person_nothing_crashes_and_every_answer_is_described(service, alice: Actor, tmp_path):
    Workspace.objects.update(plan="enterprise")

    run = schemathesis(
        service,
        tmp_path,
        f"Authorization: Bearer {alice.pair.access_token}",
        *(option for name in sorted(FAREWELLS) for option in ("--exclude-operation-id", name)),
        "--exclude-tag",
        "geofences",
    )

    def chosen(operation: dict[str, Any]) -> bool:
        return "geofences" not in operation["tags"] and operation["operationId"] not in FAREWELLS

    assert_all_tried(run, chosen)


@pytest.mark.django_db(transaction=True)
def test_as_a_program_nothing_crashes_and_every_answer_is_described(server, alice, tmp_path):
    Workspace.objects.update(plan="enterprise")

    fence = store_fence(alice)["id"]
    tmp_path.joinpath("schemathesis.toml").write_text(f'[parameters]\n"path.geofence_id" = "{fence}"\n')

    run = schemathesis(server, tmp_path, f"X-API-KEY: {alice.make_key()[1]}", "--include-tag", "geofences")

    assert_all_tried(run, lambda operation: "geofences" in operation["tags"])
    assert Geofence.objects.exclude(id=fence).filter(name="Yard").exists()  # the description's own example works


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asks", ["get_current_api_key", "introspect_token"])
def test_a_key_that_asks_who_somebody_is_gets_what_is_described(server, alice, tmp_path, asks):
    Workspace.objects.update(plan="enterprise")
    raw = alice.make_key(["tokens:introspect"])[1]

    run = schemathesis(server, tmp_path, f"X-API-KEY: {raw}", "--include-operation-id", asks)

    assert_all_tried(run, lambda operation: operation["operationId"] == asks)


def test_a_chunked_body_is_described_everywhere():
    operations = [operation for path in json.loads(description())["paths"].values() for operation in path.values()]
    assert all("411" in operation["responses"] for operation in operations)


def test_deletions_say_what_they_take_and_answer():
    document = json.loads(description())
    paths = document["paths"]
    cancelled = paths["/api/v1/workspaces/invitations/{invite_id}"]["delete"]["responses"]
    assert "application/json" in cancelled["200"]["content"] and "204" not in cancelled
    assert {"204", "404", "409"} <= paths["/api/v1/workspaces"]["delete"]["responses"].keys()
    assert "404" in paths["/api/v1/workspaces/leave"]["post"]["responses"]
    body = paths["/api/v1/auth/totp/remove"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(document["components"]["schemas"][body["$ref"].rpartition("/")[2]]["required"]) == {
        "current_password",
        "otp",
    }


def test_what_an_app_must_send_to_begin_is_described_as_needed():
    [operation] = json.loads(description())["paths"]["/api/v1/auth/sso/start"].values()

    needed = {parameter["name"] for parameter in operation["parameters"] if parameter.get("required")}
    assert needed == {"return", "workspace_slug", "code_challenge", "state"}


@pytest.mark.parametrize("path", ["/api/v1/auth/saml/logout", "/api/v1/auth/logout"])
def test_where_the_refresh_cookie_counts_is_described(path):
    described = json.loads(description())

    assert described["paths"][path]["post"]["security"] == [{"Bearer": []}, {"RefreshCookie": []}]
    assert described["components"]["securitySchemes"]["RefreshCookie"]["name"] == "spatialflow_refresh"
