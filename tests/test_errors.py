"""Whatever a client sends, it gets JSON with a sentence and a 4xx."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError, connection, connections
from django.http import Http404
from rest_framework.test import APIClient

from spatialflow.errors import exception_handler
from tests.support.pages import signed_in
from tests.support.race import call
from tests.support.urls import api_paths

METHODS = ["get", "post", "put", "patch", "delete", "options", "trace"]
FIELDS = [
    b"email",
    b"password",
    b"refresh_token",
    b"name",
    b"description",
    b"permissions",
    b"geometry",
    b"tags",
    b"metadata",
]
JUNK: dict[str, bytes] = {
    "nothing": b"",
    "half an object": b'{"email": ',
    "a list": b"[1, 2, 3]",
    "a string": b'"text"',
    "null": b"null",
    "NaN": b'{"email": NaN}',
    "NUL escaped": b'{"email": "a\\u0000b", "password": "x\\u0000", "name": "\\u0000", "refresh_token": "\\u0000"}',
    "NUL as key": b'{"\\u0000": 1}',
    "NUL raw": b'{"email": "\x00"}',
    "bad UTF-8": b'{"email": "\xff\xfe"}',
    "lone surrogate": b'{"email": "\\ud800", "name": "\\udfff", "refresh_token": "\\ud800"}',
    "UTF-16": '{"email": "a"}'.encode("utf-16"),
    "deep": b"[" * 100_000,
    "deep but valid": b"[" * 1000 + b"]" * 1000,
    "deep in every field": b"{%s}" % b",".join(b'"%s":%s%s' % (name, b"[" * 990, b"]" * 990) for name in FIELDS),
    "a little deep": b"{%s}" % b",".join(b'"%s":%s%s' % (name, b"[" * 60, b"]" * 60) for name in FIELDS),
    "huge number": b'{"name": 1' + b"0" * 5000 + b', "email": 1e999}',
    "odd types": b'{"email": {"a": []}, "password": [null], "name": {}, "permissions": {"a": 1}, "refresh_token": []}',
    "duplicate keys": b'{"email": "a", "email": "b"}',
}


def assert_is_an_error(response: Any, *, never: int = 500) -> None:
    assert 400 <= response.status_code < never, (response.status_code, response.content[:200])
    assert response["Content-Type"] == "application/json"
    body = json.loads(response.content)
    assert isinstance(body["detail"], str) and body["detail"]
    assert isinstance(body["error_code"], str)


def callers(alice: Any) -> list[APIClient]:
    return [APIClient(), alice.key_client(), alice.client]


def forget_counts() -> None:
    with connections["counters"].cursor() as cursor:
        cursor.execute("DELETE FROM spatialflow_counter")


@pytest.mark.parametrize("junk", JUNK)
def test_junk_on_every_path_and_method_is_never_a_crash(alice, junk):
    """What has no body, and what an address does not know, is tried with one sort of junk."""
    for client in callers(alice):
        client.raise_request_exception = False
        for path in sorted(api_paths(), key=lambda path: path.endswith("/account/me")):  # last: Alice ends with it
            if path.endswith("/logout"):
                continue  # it takes no body, and would sign Alice out
            forget_counts()  # 429 would hide what is answered
            allowed = client.options(path)["Allow"].lower().split(", ")
            for method in METHODS if junk == "half an object" else {*allowed} - {"get", "head"}:
                response = (
                    getattr(client, method)(path, JUNK[junk], content_type="application/json")
                    if method not in ("get", "trace")
                    else getattr(client, method)(path)
                )
                if response.streaming:
                    b"".join(response)  # as a server does: a file that nobody reads keeps its turn
                if response.status_code == 503:  # said of a provider that is not set up, whatever is sent
                    assert json.loads(response.content)["error_code"] == "provider_not_configured"
                    continue
                assert response.status_code < 500, (method, path)
                if response.status_code >= 400:
                    assert_is_an_error(response)


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v1/geofences//", "/api/v2/health", "/api/%00", "/api/%ff"],
)
def test_an_unknown_address_is_a_404_in_json(anyone, db, path):
    for method in METHODS:
        response = getattr(anyone, method)(path)

        assert response.status_code == 404
        assert_is_an_error(response)


@pytest.mark.parametrize("path", ["/nothing", "/nul%00", "/%ff", "/settings/nothing", "/sign-in/x"])
def test_an_unknown_page_is_a_404_for_people(anyone, db, path):
    for method in METHODS:
        response = getattr(anyone, method)(path)

        assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert method == "head" or b"There is nothing here" in response.content


def test_a_wrong_method_is_a_405_that_names_the_right_ones(alice):
    response = alice.client.delete("/api/v1/auth/me")

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"
    assert_is_an_error(response)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/xml", "x", ""],
)
def test_another_content_type_is_a_415(anyone, db, content_type):
    response = anyone.generic("POST", "/api/v1/auth/login", b"email=a&password=b", content_type=content_type)

    assert response.status_code == 415
    assert_is_an_error(response)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=latin-1"]
)
def test_json_is_json_however_it_is_announced(anyone, alice, content_type):
    body = json.dumps({"email": "alice@acme.test", "password": "correct horse battery staple"})

    assert anyone.generic("POST", "/api/v1/auth/login", body, content_type=content_type).status_code == 200


def test_a_body_over_a_mebibyte_is_a_413(anyone, alice):
    for client in (anyone, alice.client):
        response = client.post(
            "/api/v1/auth/login", b'{"email": "' + b"a" * (1024 * 1024) + b'"}', content_type="application/json"
        )

        assert response.status_code == 413
        assert_is_an_error(response)


@pytest.mark.django_db(transaction=True)
def test_a_chunked_body_is_refused_and_not_taken_for_an_empty_one(server):
    parts = urlsplit(server)
    body = b'{"email": "a@b.test", "password": "x"}'
    head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    message = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body.decode()}\r\n0\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(message.encode())  # at once: the refusal may come before the end of the body
        response = http.client.HTTPResponse(connection)
        response.begin()

        assert response.status == 411
        assert json.loads(response.read())["error_code"] == "length_required"
        response.close()


def test_djangos_own_refusals_keep_their_status():
    assert exception_handler(PermissionDenied(), {}).status_code == 403
    assert exception_handler(Http404(), {}).status_code == 404
    assert exception_handler(RequestDataTooBig(), {}).status_code == 413
    assert exception_handler(SuspiciousOperation(), {}).status_code == 400


def test_a_foreign_host_is_refused_in_json(anyone, db):
    response = anyone.get("/api/v1/health", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert_is_an_error(response)


def test_accept_decides_nothing(anyone, db):
    for accept in ("text/html", "application/xml", "*/*", "nonsense", ""):
        assert anyone.get("/api/v1/health", headers={"Accept": accept}).json() == {
            "status": "healthy",
            "service": "spatialflow-api",
        }


def test_a_database_that_does_not_answer_is_a_503(alice):
    def refuse(execute: Any, sql: str, *rest: Any) -> None:
        raise OperationalError("connection lost")

    with connection.execute_wrapper(refuse):
        response = alice.client.get("/api/v1/auth/me")

    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert_is_an_error(response, never=504)


def test_a_page_without_a_database_is_a_503_for_people(alice):
    browser = signed_in(alice)
    browser.raise_request_exception = False

    def refuse(execute: Any, sql: str, *rest: Any) -> None:
        raise OperationalError("connection lost")

    with connection.execute_wrapper(refuse):
        page = browser.get("/settings/sign-ins")

    assert (page.status_code, page["Retry-After"], page["Cache-Control"]) == (503, "5", "no-store")
    assert "The service is temporarily unavailable; try again shortly." in page.content.decode()
    assert "connection lost" not in page.content.decode()


def test_a_crash_is_a_500_in_json_that_tells_nothing(alice):
    def crash(execute: Any, sql: str, *rest: Any) -> None:
        raise RuntimeError("secret detail")

    alice.client.raise_request_exception = False
    with connection.execute_wrapper(crash):
        response = alice.client.get("/api/v1/auth/me")

    assert response.status_code == 500
    assert json.loads(response.content) == {
        "detail": "The service failed to answer this request; it has been logged.",
        "error_code": "internal_error",
    }


@pytest.mark.django_db(transaction=True)
def test_the_running_server_answers_hostile_headers_with_4xx(server):
    hostile: list[dict[str, str]] = [
        {"X-API-KEY": "\xff\xfe"},
        {"X-API-KEY": "a" * 65536},
        {"Authorization": "Bearer \xe9"},
        {"Authorization": "Bearer " + "e" * 100_000},
        {"User-Agent": "\xff" * 5000},
        {"Cookie": "spatialflow_refresh=" + "\xff" * 100},
        {"Content-Type": "application/json; charset=\xff"},
    ]
    for headers in hostile:
        for method, path in (
            ("GET", "/api/v1/geofences/"),
            ("POST", "/api/v1/auth/refresh"),
            ("POST", "/api/v1/auth/login"),
        ):
            answer = call(server, method, path, {} if method == "POST" else None, headers)
            assert 400 <= answer.status < 500, (headers, answer)
            assert isinstance(answer.body["detail"], str)


def test_security_headers_stand_on_every_answer(anyone, alice):
    for response in (anyone.get("/api/v1/nothing"), anyone.get("/api/v1/health"), alice.client.get("/api/v1/auth/me")):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "no-referrer"
        assert "Server" not in response
