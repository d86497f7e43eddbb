"""Every kind of answer carries the headers that protect browsers, as it arrives behind the shipped nginx by https."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from django.conf import settings

from tests.support.cast import PASSWORD, Actor
from tests.support.launch import Server, launch
from tests.support.proxy import Proxy, answer_of, proxy
from tests.support.race import Answer

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a-token-for-prometheus-in-these-tests"
LOGIN = "/api/v1/auth/login"
HSTS = "max-age=31536000; includeSubDomains; preload"
ASSET = "/static/vendor/htmx/htmx.min.js"


@pytest.fixture(scope="module")
def api(database_url: str) -> Iterator[Server]:
    own = {"PUBLIC_URL": settings.PUBLIC_URL, "TRUSTED_PROXY_COUNT": "1", "METRICS_TOKEN": TOKEN}
    with launch(database_url, extra_env=own) as running:
        yield running


@pytest.fixture(scope="module")
def front(api: Server) -> Iterator[Proxy]:
    with proxy(api) as running:
        yield running


def assert_protected(answer: Answer) -> None:
    """Require HSTS, a policy that allows no foreign and no inline script, no sniffing, no Referer and no framing."""
    headers = answer.headers
    assert headers["strict-transport-security"] == HSTS
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/health", 200),
        ("GET", "/api/v1/openapi.json", 200),
        ("GET", "/api/v1/docs", 200),
        ("GET", "/api/v1/geofences", 401),
        ("GET", "/api/v1/nowhere", 404),
        ("DELETE", LOGIN, 405),
        ("POST", LOGIN, 422),
        ("GET", "/api/v1/auth/oauth/google/authorize", 503),
        ("GET", "/nowhere", 404),
        ("GET", "/settings/sign-ins", 302),
        ("GET", "/", 200),
        ("POST", "/sign-in", 403),
        ("OPTIONS", "/api/v1/geofences", 401),
    ],
)
def test_what_the_service_answers(front: Proxy, method: str, path: str, status: int) -> None:
    answer = front.call(method, path)

    assert answer.status == status
    assert_protected(answer)


def test_with_a_credential_nothing_may_be_kept(front: Proxy, alice: Actor) -> None:
    bearer = {"Authorization": f"Bearer {alice.pair.access_token}"}
    body = f'{{"email": "{alice.user.email}", "password": "{PASSWORD}"}}'.encode()
    renewal = f'{{"refresh_token": "{alice.pair.refresh_token}"}}'.encode()

    for answer, status in [
        (front.call("POST", LOGIN, body=body), 200),
        (front.call("POST", LOGIN, body=body.replace(b"horse", b"mule")), 401),
        (front.call("POST", "/api/v1/auth/refresh", body=renewal), 200),
        (front.call("POST", "/api/v1/account/api-keys", body=b'{"name": "CI"}', headers=bearer), 201),
        (front.call("GET", "/api/v1/geofences", headers={"X-API-KEY": alice.make_key()[1]}), 200),
        (front.call("GET", "/"), 200),
    ]:
        assert (answer.status, "no-store" in answer.headers["cache-control"]) == (status, True)
        assert_protected(answer)


def test_who_asks_too_often_is_told_so_with_them(front: Proxy, alice: Actor) -> None:
    headers = {"X-API-KEY": alice.make_key(hourly_limit=1)[1]}

    answers = [front.call("GET", "/api/v1/geofences", headers=headers) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 429]
    assert "no-store" in answers[1].headers["cache-control"]
    assert_protected(answers[1])


def test_files_may_be_kept_and_are_no_less_protected(front: Proxy) -> None:
    found, absent = front.call("GET", ASSET), front.call("GET", "/static/nowhere.js")

    assert (found.status, absent.status) == (200, 404)
    assert "no-store" not in found.headers["cache-control"]
    assert_protected(found)
    assert_protected(absent)


def test_metrics_and_keys_are_protected_where_they_are_served(front: Proxy, api: Server) -> None:
    assert_protected(front.call("GET", "/.well-known/jwks.json"))
    for headers, status in (({"Authorization": f"Bearer {TOKEN}"}, 200), ({}, 404)):
        answer = inside(api, headers)
        assert answer.status == status
        assert_protected(answer)


def inside(api: Server, headers: dict[str, str], method: str = "GET", path: str = "/metrics") -> Answer:
    """Ask as who stands beside the service may: nginx shows the metrics to nobody, and lets not every address pass."""
    connection = HTTPConnection(api.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, headers={"X-Forwarded-Proto": "https", **headers})
        return answer_of(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/v1/health", {"Host": "elsewhere.test"}, 400),
        ("OPTIONS", LOGIN, {}, 405),
        ("OPTIONS", LOGIN, {"Origin": "https://page.test", "Access-Control-Request-Method": "POST"}, 200),
        ("GET", "/api/v1/auth/oauth/a%00b/authorize", {}, 404),
        ("GET", "/api/v1/auth/oauth/..%2fb/authorize", {}, 404),
    ],
)
def test_nothing_keeps_what_is_answered_outside_of_views(
    api: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = inside(api, headers, method, path)

    assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")
    assert_protected(answer)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/metrics", 404), ("GET", "/" + "x" * 9_000, 414)])
def test_what_nginx_refuses_itself(front: Proxy, method: str, path: str, status: int) -> None:
    answer = front.call(method, path)

    assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")
    assert_protected(answer)


def test_what_nginx_says_for_a_service_that_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone, proxy(f"http://127.0.0.1:{gone.getsockname()[1]}") as front:
        gone.close()
        answer = front.call("GET", "/sign-in")

    assert (answer.status, answer.headers["cache-control"], answer.headers["retry-after"]) == (502, "no-store", "5")
    assert_protected(answer)
