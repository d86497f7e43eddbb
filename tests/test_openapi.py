"""The API's description is complete, and the running service answers as it says, whatever is thrown at it."""

import json
import re
from contextlib import closing

import pytest
from rest_framework.test import APIClient

from spatialflow.docs import description
from tests.support.fuzzing import (
    EXCEPTIONS,
    FAREWELLS,
    FOR_KEYS_ALONE,
    THE_SAME_FEW,
    key,
    operations,
    try_alone,
    try_as_a_person,
    try_as_a_program,
)
from tests.support.urls import api_patterns

pytest_plugins = ["tests.support.fuzzing_fixtures"]

UNDESCRIBED = {"/api/v1/openapi.json", "/api/v1/docs"}


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


@pytest.mark.django_db(transaction=True)
def test_as_a_person_nothing_crashes_and_every_answer_is_described(fuzzed_service, alice, mallory, tmp_path):
    try_as_a_person(fuzzed_service, tmp_path, alice, mallory, effort=THE_SAME_FEW)


@pytest.mark.django_db(transaction=True)
def test_as_a_program_nothing_crashes_and_every_answer_is_described(fuzzed_service, alice, mallory, tmp_path):
    try_as_a_program(fuzzed_service, tmp_path, alice, mallory, effort=THE_SAME_FEW)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asks", sorted(FOR_KEYS_ALONE))
def test_a_key_that_asks_who_somebody_is_gets_what_is_described(fuzzed_service, alice, mallory, tmp_path, asks):
    callers = key(alice, ["tokens:introspect"]), key(mallory, ["tokens:introspect"])
    try_alone(fuzzed_service, tmp_path, callers, asks, effort=THE_SAME_FEW)


def test_what_a_check_must_not_ask_is_of_operations_that_are_there():
    excepted = {name for _, _, names in EXCEPTIONS for name in names}
    assert excepted | FAREWELLS | FOR_KEYS_ALONE <= {operation["operationId"] for operation in operations()}


def test_a_chunked_body_is_described_everywhere():
    assert all("411" in operation["responses"] for operation in operations())


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
