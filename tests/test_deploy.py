"""What is shipped for deployment, for real where it can be: nginx's configuration in front of a running server, the
environment of docker-compose.yml, the health check. There is no Docker here, so nothing builds the image.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from ruamel.yaml import YAML

from tests.support.cast import PASSWORD, Actor
from tests.support.launch import PROJECT, Server, launch
from tests.support.proxy import Proxy, answer_of, proxy
from tests.support.race import Answer

pytestmark = pytest.mark.django_db(transaction=True)
FENCES = "/api/v1/geofences"
LOGIN = "/api/v1/auth/login"
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def api(database_url: str) -> Iterator[Server]:
    """The service as it runs behind one proxy, with the operator's pages."""
    own = {"PUBLIC_URL": settings.PUBLIC_URL, "TRUSTED_PROXY_COUNT": "1", "ADMIN_ENABLED": "true"}
    with launch(database_url, extra_env=own) as server:
        yield server


@pytest.fixture(scope="module")
def front(api: Server) -> Iterator[Proxy]:
    with proxy(api) as running:
        yield running


def remaining(front: Proxy, caller: str, **claims: str) -> int:
    """Return how many of its 100 requests an hour an address has left after one without a credential."""
    headers = {name.replace("__", "-"): value for name, value in claims.items()}
    answer = front.call("GET", FENCES, headers=headers, caller=caller)
    assert (answer.status, answer.headers["ratelimit-limit"]) == (401, "100")
    return int(answer.headers["ratelimit-remaining"])


def noted(front: Proxy, request_id: str) -> tuple[str, str, int]:
    """Return method, path and status in nginx's line of a request, which it writes after the answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in front.log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and f'"request_id":"{request_id}"' in line:
                told = json.loads(line)
                return told["method"], told["path"], told["status"]
        time.sleep(0.02)
    raise AssertionError("The request has no line.")


# --- Through nginx


def test_people_and_programs_get_through(front: Proxy, alice: Actor) -> None:
    body = f'{{"email": "{alice.user.email}", "password": "{PASSWORD}"}}'.encode()

    login = front.call("POST", LOGIN, body=body)
    page = front.call("GET", FENCES, headers={"X-API-KEY": alice.make_key()[1]})
    me = front.call("GET", "/api/v1/auth/me", headers={"Authorization": f"Bearer {login.body['access_token']}"})

    assert (login.status, page.status, me.status) == (200, 200, 200)
    assert page.body["geofences"] == []
    # The service knows that its caller came by https.
    assert page.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"


def test_a_limit_counts_the_callers_address(front: Proxy, alice: Actor) -> None:
    assert [remaining(front, "127.0.0.2"), remaining(front, "127.0.0.2"), remaining(front, "127.0.0.3")] == [99, 98, 99]

    front.call("POST", LOGIN, body=f'{{"email": "{alice.user.email}", "password": "{PASSWORD}"}}'.encode())
    assert [sign_in.ip for sign_in in alice.user.sign_ins.exclude(id=alice.sign_in_id)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "name", ["X__Forwarded__For", "X_Forwarded_For", "Forwarded", "X__Real__IP", "x__forwarded__for"]
)
def test_nobody_moves_by_claiming_another_address(front: Proxy, name: str) -> None:
    assert remaining(front, "127.0.0.4") == 99
    assert remaining(front, "127.0.0.4", **{name: "203.0.113.9"}) == 98
    assert remaining(front, "127.0.0.4", **{name: "203.0.113.9, 198.51.100.7"}) == 97


def test_a_header_with_underscores_is_no_credential(front: Proxy, alice: Actor) -> None:
    key = alice.make_key()[1]

    assert front.call("GET", FENCES, headers={"X-API-KEY": key}).status == 200
    refused = front.call("GET", FENCES, headers={"X_API_KEY": key})
    assert (refused.status, refused.body["error_code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("path", ["/operator", "/operator/", "/operator/accounts/user/"])
def test_the_operators_pages_are_there_for_nginxs_own_host_alone(front: Proxy, path: str) -> None:
    """A network of containers is no network of one's own: who comes by a published port may have an address in it."""
    own = front.call("GET", path)
    other = front.call("GET", path, caller="127.0.0.2", headers={"X-Forwarded-For": "127.0.0.1"})
    plain = front.call("GET", path, https=False)

    assert (own.status, own.headers["location"]) == (302, f"/sign-in?next={quote(path, safe='')}")
    assert_error(other, 404, {"detail": "There is nothing at this address.", "error_code": "not_found"})
    assert (plain.status, plain.headers["location"].split("://")[0]) == (308, "https")


def test_a_page_whose_name_begins_like_the_operators_is_an_ordinary_one(front: Proxy) -> None:
    assert front.call("GET", "/operators", caller="127.0.0.2").headers["content-type"] == "text/html; charset=utf-8"


def test_slow_clients_delay_nobody(front: Proxy, alice: Actor) -> None:
    credential = {"X-API-KEY": alice.make_key()[1]}
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(front.open()) for _ in range(60)]
        for connection in slow[:30]:
            connection.sendall(head + b"Content-Length: 900\r\n\r\n{")  # 30 bodies that stay half open
        for connection in slow[30:]:
            connection.sendall(head + b"X-Slow: ")  # and 30 heads that grow by a byte a second
        for _ in range(3):
            for connection in slow:
                connection.sendall(b"x")
            began = time.monotonic()
            assert front.call("GET", FENCES, headers=credential).status == 200
            assert time.monotonic() - began < 5  # who waits for slow ones waits until they are done
            time.sleep(1)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_a_mebibyte_is_refused_like_the_service_does(front: Proxy, alice: Actor, chunked: bool) -> None:
    headers = {"X-API-KEY": alice.make_key()[1]}

    fits = front.call("POST", FENCES, body=b" " * MEBIBYTE, headers=headers, chunked=chunked)
    refused = front.call("POST", FENCES, body=b" " * (MEBIBYTE + 1), headers=headers, chunked=chunked)

    assert fits.status == 422
    sentence = "The request body is too large; send at most 1 MiB."
    assert_error(refused, 413, {"detail": sentence, "error_code": "payload_too_large"})


@pytest.mark.parametrize("path", [f"{FENCES}/import", f"{FENCES}/import/"])
def test_an_import_may_be_larger_than_any_other_body(front: Proxy, alice: Actor, path: str) -> None:
    headers = {"X-API-KEY": alice.make_key()[1], "Content-Type": "application/geo+json"}
    padding = b" " * MEBIBYTE
    features = b",".join(
        b'{"type":"Feature","properties":{"name":"%d"},"geometry":{"type":"Circle","center":[8,47],"radius_meters":9}}'
        % n
        for n in range(3)
    )

    made = front.call(
        "POST", path, body=b'{"type":"FeatureCollection","features":[' + features + b"]}" + padding, headers=headers
    )
    refused = front.call("POST", path, body=padding * 65, headers=headers)
    plain = front.call("POST", path, body=b"{}", headers=headers, https=False)

    assert (made.status, made.body["created"]) == (201, 3), made.body
    sentence = "The file is too large; send at most 64 MiB."
    assert_error(refused, 413, {"detail": sentence, "error_code": "payload_too_large"})
    assert (plain.status, plain.body["error_code"]) == (403, "https_required")


def test_one_address_has_two_imports_on_their_way_at_most(front: Proxy, alice: Actor) -> None:
    credential = {"X-API-KEY": alice.make_key()[1]}
    head = b"POST /api/v1/geofences/import HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000000\r\n\r\n{"
    with ExitStack() as stack:
        for connection in [stack.enter_context(front.open()) for _ in range(2)]:
            connection.sendall(head)
        refused, statuses = None, []
        deadline = time.monotonic() + 5
        while refused is None and time.monotonic() < deadline:  # until nginx has read both heads
            answer = front.call("POST", f"{FENCES}/import", body=b"{}", headers=credential, caller="127.0.0.66")
            statuses.append(answer.status)
            refused = answer if answer.status == 502 else None
        assert refused is not None, statuses
        assert (refused.body["error_code"], refused.headers["retry-after"]) == ("unavailable", "5")
        elsewhere = front.call("POST", f"{FENCES}/import", body=b"{}", headers=credential, caller="127.0.0.67")
        others = front.call("GET", FENCES, headers=credential, caller="127.0.0.66")

    assert (elsewhere.status, elsewhere.body["error_code"], others.status) == (400, "malformed_file", 200)


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "malformed_request"),
        (b"GET /page?code=x HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"x" * 9_000 + b"\r\n\r\n", 400, "malformed_request"),
        (b"GET /api/" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414, "uri_too_long"),
        (
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
            "malformed_request",
        ),
        (b"TRACE /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "method_not_allowed"),
        (b"GET /_nginx/failed HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404, "not_found"),
    ],
    ids=["nonsense", "no-host", "large-header", "long-address", "odd-encoding", "trace", "inner-page"],
)
def test_what_nginx_refuses_itself_is_json(front: Proxy, request_text: bytes, status: int, code: str) -> None:
    with front.open() as connection:
        connection.sendall(request_text)
        answer = raw_answer(connection)

    assert (answer.status, answer.body["error_code"], type(answer.body["detail"])) == (status, code, str)
    assert answer.headers["content-type"] == "application/json"
    asked = re.match(r"([A-Z]+) ([^ ?]{,1000})", request_text.decode())
    assert noted(front, answer.headers["x-request-id"]) == (*(asked.groups() if asked else ("", "")), status)


def test_plain_http_on_the_https_port_is_refused(front: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", front.https_port), timeout=10) as connection:
        connection.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = raw_answer(connection)

    assert (answer.status, answer.body["error_code"]) == (400, "malformed_request")


def test_a_service_that_is_gone_or_silent_is_a_json_error() -> None:
    impatient = {"proxy_read_timeout 30s": "proxy_read_timeout 1s"}
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        proxy(f"http://127.0.0.1:{silent.getsockname()[1]}", impatient) as front,
    ):
        too_late = front.call("GET", "/api/v1/health")
        silent.close()
        gone = front.call("POST", f"{LOGIN}?code=query-to-hide", body=b"{}")
        assert noted(front, too_late.headers["x-request-id"]) == ("GET", "/api/v1/health", 504)
        assert noted(front, gone.headers["x-request-id"]) == ("POST", LOGIN, 502)

    sentence = "The service took too long to answer; whether it acted is not known."
    assert_error(too_late, 504, {"detail": sentence, "error_code": "gateway_timeout"})
    sentence = "The service is temporarily unavailable; try again shortly."
    assert_error(gone, 502, {"detail": sentence, "error_code": "unavailable"})
    assert gone.headers["retry-after"] == "5"


def test_the_services_own_refusals_pass_through(front: Proxy) -> None:
    answer = front.call("GET", "/api/v1/nowhere")
    assert_error(answer, 404, {"detail": "There is nothing at this address.", "error_code": "not_found"})
    assert front.call("GET", "/api/v1/health", headers={"Host": "evil.example"}).status == 400


def test_over_http_programs_are_refused_and_people_sent_on(front: Proxy, alice: Actor) -> None:
    program = front.call("GET", f"{FENCES}?limit=1", headers={"X-API-KEY": alice.make_key()[1]}, https=False)
    person = front.call("GET", "/dashboard/?next=here", headers={"Host": "auth.example.com"}, https=False)

    assert_error(program, 403, {"detail": "This API is served over https only.", "error_code": "https_required"})
    assert (person.status, person.headers["location"]) == (308, "https://auth.example.com/dashboard/?next=here")
    assert noted(front, program.headers["x-request-id"]) == ("GET", FENCES, 403)
    assert noted(front, person.headers["x-request-id"]) == ("GET", "/dashboard/", 308)
    assert {answer.headers["cache-control"] for answer in (program, person)} == {"no-store"}


def test_no_log_holds_a_query_or_a_credential(front: Proxy, alice: Actor) -> None:
    key = alice.make_key()[1]
    front.call("GET", f"{FENCES}?code=query-to-hide", headers={"X-API-KEY": key})
    front.call("GET", f"{FENCES}?code=query-to-hide", headers={"Cookie": "x" * 9_000})
    large = b'{"password": "body-to-hide"}' + b" " * 2 * MEBIBYTE
    refused = front.call("POST", f"https://127.0.0.1{LOGIN}?code=query-to-hide", body=large)

    assert noted(front, refused.headers["x-request-id"]) == ("POST", LOGIN, 413)
    log = front.log.read_text()
    assert f'"path":"{FENCES}","status":200' in log
    assert not re.search(f"to-hide|{key}|{key[:11]}", log)


# --- Files that only a container engine runs


@pytest.mark.parametrize(
    "changes", [{}, {"metrics_token": "", "email_url": "smtp://mailpit:1025"}], ids=["real", "trial"]
)
def test_the_composed_service_starts_with_what_the_file_gives_it(tmp_path: Path, changes: dict[str, str]) -> None:
    """The environment of `web` is complete: Django's deployment check passes with it and nothing else."""
    given = compose()["services"]["web"]["environment"]
    secrets = {
        "database_url": "postgresql://spatialflow:secret@postgres:5432/spatialflow",
        "secret_key": os.urandom(32).hex(),
        "jwt_signing_keys": f"first:{os.urandom(32).hex()}",
        "encryption_keys": f"first:{os.urandom(32).hex()}",
        "email_url": "smtp://user:password@mail.example.com:587",
        "metrics_token": os.urandom(32).hex(),
    } | changes
    for name, text in secrets.items():
        tmp_path.joinpath(name).write_text(f"{text}\n")
    environment = {name: in_this_place(text, tmp_path) for name, text in given.items()}

    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    check = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    assert (check.returncode, check.stderr) == (0, "")
    assert set(compose()["services"]["web"]["secrets"]) == set(secrets)


def in_this_place(text: str, secrets: Path) -> str:
    return re.sub(r"\$\{PUBLIC_HOST(:\?[^}]*)?\}", "auth.example.com", text).replace("/run/secrets", str(secrets))


def test_only_nginx_is_published_and_every_secret_is_a_file() -> None:
    content = compose()
    published = {name: service["ports"] for name, service in content["services"].items() if "ports" in service}
    assert published.pop("nginx")
    assert published == {"mailpit": ["127.0.0.1:8025:8025"]}  # for trying, and for this host alone
    assert content["services"]["mailpit"]["profiles"] == ["trial"]
    assert content["networks"]["data"] == {"internal": True}
    used = {secret for service in content["services"].values() for secret in service.get("secrets", [])}
    assert content["secrets"] == {name: {"file": f"deploy/secrets/{name}"} for name in used}
    assert PROJECT.joinpath("deploy/secrets/.gitignore").read_text().splitlines()[1:] == ["*", "!.gitignore"]


def test_the_image_holds_every_app_and_no_secret() -> None:
    allowed = set(re.findall(r"^!(\S+)$", PROJECT.joinpath(".dockerignore").read_text(), re.MULTILINE))
    apps = {app.split(".")[0] for app in settings.INSTALLED_APPS if (PROJECT / app.split(".")[0]).is_dir()}
    assert allowed == apps | {"requirements.txt", "manage.py", "deploy/healthcheck.py"}


@pytest.mark.parametrize(("host", "code"), [("127.0.0.1,other.example", 0), ("elsewhere.example", 1)])
def test_the_health_check_asks_the_service(api: Server, host: str, code: int) -> None:
    environment = {"PORT": str(urlsplit(api).port), "ALLOWED_HOSTS": host}
    check = subprocess.run([sys.executable, "-m", "deploy.healthcheck"], cwd=PROJECT, env=environment, check=False)
    assert check.returncode == code


def compose() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(PROJECT / "docker-compose.yml")
    return content


def raw_answer(connection: socket.socket | ssl.SSLSocket) -> Answer:
    response = HTTPResponse(connection)
    response.begin()
    return answer_of(response)


def assert_error(answer: Answer, status: int, body: dict[str, str]) -> None:
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-type"] == "application/json"
