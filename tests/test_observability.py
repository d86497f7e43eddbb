"""What an operator sees: request ids, one line a request, and metrics of all processes together."""

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import User
from spatialflow.metrics import DatabaseCollector
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import Server, Valkey, launch
from tests.support.limits import with_room
from tests.support.proxy import proxy
from tests.support.race import call

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "b7d21a90c4e85f3397aa60c1d8f24e5b"
FENCES = "/api/v1/geofences"
PROMETHEUS = {"Authorization": f"Bearer {TOKEN}", "Host": "web:8000"}  # it asks by the machine's name


@pytest.fixture(scope="module")
def observed(database_url: str) -> Iterator[Server]:
    """Two processes behind a proxy, with lines in JSON and metrics."""
    own = {"LOG_FORMAT": "json", "METRICS_TOKEN": TOKEN, "TRUSTED_PROXY_COUNT": "1"}
    own["PUBLIC_URL"] = settings.PUBLIC_URL
    with launch(database_url, extra_env=own) as running:
        yield running


def lines(server: Server, offset: int, request_id: str) -> list[dict[str, object]]:
    """Return what the log says of one request; its line is written a moment after the answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        told = [json.loads(line) for line in server.log.read_text()[offset:].splitlines()]
        own = [line for line in told if line["request_id"] == request_id]
        if any(line["message"] == "request" for line in own):
            return own
        time.sleep(0.05)
    raise AssertionError("The request has no line.")


def figures(server: Server) -> dict[tuple[str, ...], float]:
    """Scrape: the value of each sample, by its name and its labels' values."""
    answer = scrape(server)
    families = text_string_to_metric_families(answer)
    return {(s.name, *(s.labels[k] for k in sorted(s.labels))): s.value for f in families for s in f.samples}


def scrape(server: Server, headers: dict[str, str] = PROMETHEUS, status: int = 200) -> str:
    connection = HTTPConnection(server.removeprefix("http://"), timeout=20)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == status, text
    connection.close()
    return text


@pytest.mark.parametrize(
    ("path", "status"),
    [(FENCES, 401), ("/api/v1/nowhere", 404), ("/api/v1/health", 200), ("/static/vendor/htmx/htmx.min.js", 200)],
)
def test_every_answer_tells_its_id(observed: Server, path: str, status: int) -> None:
    answers = [status_and_id(observed, path) for _ in range(2)]

    assert {one[0] for one in answers} == {status}
    assert all(re.fullmatch(r"[0-9a-f]{32}", one[1]) for one in answers)
    assert answers[0][1] != answers[1][1]


def status_and_id(server: Server, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = HTTPConnection(server.removeprefix("http://"), timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["X-Request-ID"]


def test_pages_and_refused_hosts_tell_it_too(observed: Server) -> None:
    for path, expected in (("/sign-in", 302), ("/nowhere", 404)):
        status, request_id = status_and_id(observed, path)
        assert (status, len(request_id)) == (expected, 32)
    status, request_id = status_and_id(observed, FENCES, {"Host": "evil.example"})
    assert (status, len(request_id)) == (400, 32)


def test_an_id_of_the_proxy_is_kept_and_an_odd_one_is_not(observed: Server, server: Server) -> None:
    assert status_and_id(observed, FENCES, {"X-Request-ID": "from-the-proxy-1"})[1] == "from-the-proxy-1"
    for odd in ("short", "x" * 65, "with space 123", 'quote"123456'):
        assert re.fullmatch(r"[0-9a-f]{32}", status_and_id(observed, FENCES, {"X-Request-ID": odd})[1])
    # Without a proxy of ours nobody names requests.
    assert status_and_id(server, FENCES, {"X-Request-ID": "from-a-client-1"})[1] != "from-a-client-1"


def test_a_request_has_one_line_that_says_what_and_nothing_secret(observed: Server, alice: Actor) -> None:
    key, secret = alice.make_key()
    offset = observed.log.stat().st_size
    headers = {"X-API-KEY": secret, "X-Request-ID": "line-of-a-request"}

    answer = call(observed, "GET", f"{FENCES}/{secret}?token={secret}", headers=headers)

    own = lines(observed, offset, "line-of-a-request")
    assert answer.status == 404 and len(own) == 1
    assert {name: own[0][name] for name in ("level", "logger", "method", "route", "status", "credential")} == {
        "level": "INFO",
        "logger": "spatialflow.access",
        "method": "GET",
        "route": "api/v1/geofences/<str:geofence_id>",
        "status": 404,
        "credential": "api_key",
    }
    assert (own[0]["credential_id"], own[0]["workspace_id"]) == (str(key.id), str(alice.workspace.id))
    assert isinstance(own[0]["ms"], float) and str(own[0]["time"]).endswith("+00:00")
    assert secret not in observed.log.read_text()[offset:]


def test_lines_of_one_request_share_its_id_and_name_its_audit_event(observed: Server, alice: Actor) -> None:
    offset = observed.log.stat().st_size
    body = {"email": alice.user.email, "password": "a wrong password"}

    call(observed, "POST", "/api/v1/auth/login", body, {"X-Request-ID": "refused-login-1"})

    own = lines(observed, offset, "refused-login-1")
    assert [line["message"] for line in own] == ["login refused from 127.0.0.1", "audit event", "request"]
    assert own[1]["action"] == "auth.sign_in_failed" and own[1]["workspace_id"] == str(alice.workspace.id)
    assert "a wrong password" not in observed.log.read_text()[offset:]


def test_a_method_of_a_clients_own_invention_is_no_label(observed: Server) -> None:
    status_and_id(observed, FENCES)
    connection = HTTPConnection(observed.removeprefix("http://"), timeout=20)
    connection.request("INVENTED", FENCES)
    assert connection.getresponse().status == 401
    connection.close()

    assert not [labels for labels in figures(observed) if "INVENTED" in labels]


def test_metrics_count_what_all_processes_did(observed: Server, alice: Actor) -> None:
    before = figures(observed)
    secret = alice.make_key()[1]
    for _ in range(40):  # of fresh connections, so that both processes get some
        assert call(observed, "GET", FENCES, headers={"X-API-KEY": secret}).status == 200
    wrong = secret[:-1] + ("y" if secret.endswith("x") else "x")
    assert call(observed, "GET", FENCES, headers={"X-API-KEY": wrong}).status == 401
    User.objects.filter(id=alice.user.id).update(email=with_room("alice{}@acme.test"))
    alice.user.refresh_from_db()
    login = {"email": alice.user.email, "password": "wrong"}
    assert [call(observed, "POST", "/api/v1/auth/login", login).status for _ in range(16)][-1] == 429
    pair = call(observed, "POST", "/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token}).body
    call(observed, "POST", "/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})
    call(observed, "POST", "/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token})

    seen = figures(observed)  # by one of the two

    def grew(*sample: str) -> float:
        return seen.get(sample, 0) - before.get(sample, 0)

    assert grew("spatialflow_requests_total", "GET", "api/v1/geofences", "200") == 40
    assert grew("spatialflow_request_seconds_count", "GET", "api/v1/geofences") == 41
    assert grew("spatialflow_authentication_failures_total", "invalid_credentials") == 15
    assert grew("spatialflow_throttled_total", "login-email") == 1
    assert grew("spatialflow_audit_events_total", "auth.sign_in_failed") == 15
    assert grew("spatialflow_audit_events_total", "auth.refresh_reused") == 1
    assert seen[("spatialflow_database_up",)] == 1
    assert 2 <= seen[("spatialflow_database_connections",)] <= seen[("spatialflow_database_connections_max",)]
    assert ("spatialflow_pending_mail",) in seen
    text = scrape(observed)
    assert not [word for word in (secret, alice.user.email, PASSWORD, str(alice.user.id)) if word in text]


def test_a_counter_store_that_is_gone_is_counted_and_servers_count_for_themselves(
    observed: Server, database_url: str, redis_store: Valkey, alice: Actor
) -> None:
    secret = alice.make_key()[1]
    call(observed, "GET", FENCES, headers={"X-API-KEY": secret})
    with launch(database_url, redis_url=redis_store, workers=1, extra_env={"METRICS_TOKEN": TOKEN}) as counting:
        assert ("spatialflow_requests_total", "GET", "api/v1/geofences", "200") not in figures(counting)
        redis_store.stop()
        try:
            assert call(counting, "GET", FENCES, headers={"X-API-KEY": secret}).status == 200
        finally:
            redis_store.start()

        assert figures(counting)[("spatialflow_counter_fallbacks_total",)] == 1
    assert figures(observed).get(("spatialflow_counter_fallbacks_total",), 0) == 0


def test_a_table_that_is_held_costs_its_own_figures_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as holder, connection.cursor() as cursor:
        holder.execute("LOCK TABLE accounts_outgoingmail IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET statement_timeout = '200ms'")
        try:
            told = {family.name: family.samples[0].value for family in DatabaseCollector().collect()}
        finally:
            cursor.execute("RESET statement_timeout")

    assert told["spatialflow_database_up"] == 1 and told["spatialflow_database_connections"] >= 2
    assert not [name for name in told if "mail" in name]


def test_metrics_are_for_prometheus_alone(observed: Server, server: Server) -> None:
    host = {"Host": "localhost"}
    for headers in (host, {**host, "Authorization": "Bearer "}, {**host, "Authorization": f"Bearer {TOKEN}x"}):
        assert "spatialflow_" not in scrape(observed, headers, 404)
    assert "spatialflow_" not in scrape(server, {**host, "Authorization": "Bearer "}, 404)  # there is no token
    assert "spatialflow_" in scrape(observed, {**host, "Authorization": f"bearer  {TOKEN}"})  # a scheme in any case
    assert figures(observed)[("spatialflow_requests_total", "GET", "metrics", "200")] >= 1
    with proxy(observed) as front:
        answer = front.call("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status, answer.body["error_code"]) == (404, "not_found")
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_nginx_names_the_request_in_its_line_and_to_the_service(observed: Server) -> None:
    offset = observed.log.stat().st_size
    with proxy(observed) as front:
        answer = front.call("GET", FENCES, headers={"X-Request-ID": "of-a-client-12"})
        request_id = answer.headers["x-request-id"]

        assert request_id != "of-a-client-12" and lines(observed, offset, request_id)
        deadline = time.monotonic() + 5  # nginx writes its line after the answer
        while f'"request_id":"{request_id}"' not in front.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
