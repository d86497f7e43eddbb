"""No credential reaches a log, whoever writes the line; and no client can forge a line."""

import json
import logging
import time
from email import message_from_bytes
from http.client import HTTPConnection
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection

from spatialflow.log import JsonFormatter, RedactSecrets, TextFormatter, on_one_line, redact
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import Server, launch
from tests.support.mails import mail_files, secret_in
from tests.support.pages import signed_in
from tests.support.race import call
from tests.support.totp import TOTP, code

EXAMPLE = UUID("6f2c1b1e-8f4e-4b0c-9a52-0d7d4b1f9a11")


@pytest.mark.django_db(transaction=True)
def test_a_session_with_every_credential_leaves_none_in_the_servers_log(server, alice):
    offset = server.log.stat().st_size
    secrets = [PASSWORD, "a wrong password 8731"]
    login = call(server, "POST", "/api/v1/auth/login", {"email": "alice@acme.test", "password": PASSWORD}).body
    call(server, "POST", "/api/v1/auth/login", {"email": "alice@acme.test", "password": secrets[1]})
    bearer = {"Authorization": f"Bearer {login['access_token']}"}
    key = call(server, "POST", "/api/v1/account/api-keys", {}, bearer).body["api_key"]["api_key"]
    call(server, "GET", "/api/v1/geofences/", headers={"X-API-KEY": key})
    call(server, "GET", f"/api/v1/geofences/{key}?token={key}", headers={"X-API-KEY": key})
    refreshed = call(server, "POST", "/api/v1/auth/refresh", {"refresh_token": login["refresh_token"]}).body
    call(server, "POST", "/api/v1/auth/refresh", {"refresh_token": refreshed["refresh_token"]})
    call(server, "POST", "/api/v1/auth/refresh", {"refresh_token": login["refresh_token"]})
    call(server, "GET", "/api/v1/auth/me", headers={"Authorization": f"Bearer {login['access_token'][:-3]}abc"})
    secrets += [login["access_token"], login["refresh_token"], refreshed["refresh_token"], key]

    log = server.log.read_text()[offset:]

    assert "sign-in" in log and "refresh token reuse" in log and "login refused" in log  # it does say what happened
    for secret in secrets:
        assert secret not in log
        assert secret[:40] not in log


def second_factor(server: Server, bearer: dict[str, str]) -> list[str]:
    """Set up a second factor and sign in with a recovery code; return what is secret of it."""
    secret = str(call(server, "POST", TOTP, {"current_password": PASSWORD}, bearer).body["secret"])
    confirmed = call(server, "POST", f"{TOTP}/confirm", {"otp": code(secret)}, bearer)
    recovery = list(confirmed.body["recovery_codes"])
    login = {"email": "alice@acme.test", "password": PASSWORD, "otp": recovery[0]}
    pair = call(server, "POST", "/api/v1/auth/login", login).body
    return [secret, *recovery, pair["access_token"], pair["refresh_token"]]


def mailed_links(server: Server, bearer: dict[str, str]) -> list[str]:
    """Ask for a reset and invite somebody, follow both links wrongly and rightly; return what is secret of them."""
    call(server, "POST", "/api/v1/auth/password-reset", {"email": "bob@acme.test"})
    call(server, "POST", "/api/v1/workspaces/invitations", {"email": "new@acme.test", "role": "member"}, bearer)
    secrets = [secret_mailed_to("bob@acme.test"), secret_mailed_to("new@acme.test")]
    new = "a new password for these logs 4711"
    reset = {"token": secrets[0], "new_password": new}
    for path in ("/api/v1/auth/password-reset/confirm", "/api/v1/auth/verify-email", "/api/v1/auth/accept-invite"):
        call(server, "POST", path, reset)
        call(server, "POST", path, reset | {"token": secrets[1], "password": new})
    for path in ("/reset-password", "/verify-email", "/accept-invite"):
        fetch(server, "GET", f"{path}?{urlencode({'token': secrets[1]})}")
    return [*secrets, new]


def secret_mailed_to(address: str) -> str:
    """Wait for the mail with a link to this address and return the link's secret."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in mail_files():
            found = message_from_bytes(path.read_bytes())
            text = str(found.get_payload(decode=True), "utf-8") if not found.is_multipart() else ""
            if found["To"] == address and "token=" in text:
                return secret_in(text)
        time.sleep(0.05)
    raise AssertionError(f"no link was mailed to {address}")


def round_trips(server: Server) -> list[str]:
    """Bring what providers, apps and other services send, in queries and in forms; return what is secret of it."""
    names = ("code", "state", "SAMLResponse", "RelayState", "login_code", "code_verifier", "token")
    marked = {name: f"marked-{name}-0123456789abcdefghijklmnopqrstuvwxyz" for name in names}
    exchanged = {"code": marked["login_code"], "code_verifier": marked["code_verifier"], "state": marked["state"]}
    call(server, "POST", "/api/v1/auth/sso/exchange", exchanged)
    for path in ("oauth/google/callback", "oauth/apple/callback", "saml/acme/acs", "saml/acme/slo", "introspect"):
        for method in ("GET", "POST"):
            fetch(server, method, f"/api/v1/auth/{path}?{urlencode(marked)}", urlencode(marked))
    fetch(server, "GET", f"/signed-in?{urlencode(marked)}")
    return list(marked.values())


def fetch(server: Server, method: str, path: str, form: str | None = None) -> None:
    connection = HTTPConnection(server.removeprefix("http://"), timeout=30)
    connection.request(method, path, form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status < 500
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_whole_journey_leaves_no_secret_even_where_everything_is_logged(database_url: str, alice: Actor, bob: Actor):
    own = {"PUBLIC_URL": settings.PUBLIC_URL, "LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    bearer = {"Authorization": f"Bearer {alice.pair.access_token}"}
    key = alice.make_key(["tokens:introspect"])[1]

    with launch(database_url, workers=1, extra_env=own) as chatty:
        secrets = [*mailed_links(chatty, bearer), *round_trips(chatty), *second_factor(chatty, bearer), key]
        asked = call(chatty, "POST", "/api/v1/auth/introspect", {"token": key}, {"X-API-KEY": key})
        log = chatty.log.read_text()

    routes = {json.loads(line).get("route") for line in log.splitlines() if line.startswith("{")}
    assert asked.status < 500 and {"api/v1/auth/introspect", "api/v1/auth/sso/exchange"} <= routes
    assert [secret for secret in secrets if secret in log] == []


@pytest.mark.django_db(transaction=True)
def test_what_clients_do_wrong_costs_no_more_than_a_line(server):
    offset = server.log.stat().st_size

    assert call(server, "GET", "/api/v1/geofences").status == 401
    assert call(server, "GET", "/api/v1/nowhere").status == 404
    assert call(server, "POST", "/api/v1/auth/google/token-exchange", {"id_token": "x"}).status == 503  # not set up
    assert call(server, "GET", "/api/v1/health", headers={"Host": "evil.example"}).status == 400

    lines = server.log.read_text()[offset:].splitlines()
    assert [line for line in lines if "Traceback" in line or "django.request" in line] == []
    own = [line for line in lines if "spatialflow.access" not in line]  # beside the one line that every request has
    assert len([line for line in own if " WARNING django.security.DisallowedHost" in line]) == len(own) == 1
    assert len(lines) - len(own) <= 4


def test_a_page_that_crashes_is_told_by_its_route_and_not_by_its_path(caplog, alice: Actor):
    browser = signed_in(alice)
    browser.raise_request_exception = False

    def crash(*arguments: object) -> None:
        raise RuntimeError("as if by a mistake")

    with connection.execute_wrapper(crash):
        assert browser.get(f"/geofences/{EXAMPLE}").status_code == 500

    (line,) = [record for record in caplog.records if record.name == "django.request"]
    assert line.getMessage() == "crashed: geofences/<str:geofence_id>"
    assert line.exc_info is not None and str(EXAMPLE) not in caplog.text


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        ("GET /api/v1/geofences/xsf_0123456789abcdefghij", "GET /api/v1/geofences/x[redacted]"),
        ("GET /api/v1/geofences/1eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln", "GET /api/v1/geofences/1[redacted]"),
        ("key sf_0123456789abcdefghij used", "key [redacted] used"),
        ("GET /x?token=abc&page=2", "GET /x?token=[redacted]&page=2"),
        ('{"password": "two words", "x": 1}', '{"password": [redacted], "x": 1}'),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer [redacted]"),
        ("SAMLResponse=PHNhbWw+ RelayState=x", "SAMLResponse=[redacted] RelayState=[redacted]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln", "jwt [redacted]"),
        ("forged\n2026-01-01 INFO all is well", "forged\\x0a2026-01-01 INFO all is well"),
        ("escape \x1b[31m and \x00", "escape \\x1b[31m and \\x00"),
        ("ends \x85 and \u2028, moves \x9b, half \ud800", "ends \\x85 and \\x2028, moves \\x9b, half \\xd800"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_redaction(line, logged):
    assert on_one_line(redact(line)) == logged


def test_arguments_and_tracebacks_are_redacted_too():
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 0, "token=%s", ("abc",), (type(error), error, error.__traceback__)
        )

    RedactSecrets().filter(record)

    assert record.getMessage() == "token=[redacted]"
    assert "hunter2" not in (record.exc_text or "")


def line_with(formatter: logging.Formatter, **fields: object) -> str:
    """Return what a handler of ours writes of a line with these fields."""
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", (), None)
    record.fields = fields
    RedactSecrets().filter(record)
    return formatter.format(record)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_fields_are_treated_as_the_message_is(formatter: logging.Formatter):
    written = line_with(
        formatter,
        route="x?token=abc&page=2",
        agent="forged\r\n2026-01-01 INFO all is well",
        nested={"key": "sf_0123456789abcdefghij"},
        credential_id=EXAMPLE,
        status=200,
        ms=0.25,
        of=None,
    )

    assert "abc" not in written and "sf_01" not in written and written.count("[redacted]") == 2
    assert "\n" not in written and "\r" not in written and "\\x0d" in written
    assert str(EXAMPLE) in written and "0.25" in written and "None" in written.replace("null", "None")
    if isinstance(formatter, JsonFormatter):
        line = json.loads(written)
        assert (line["status"], line["ms"], line["of"], line["credential_id"]) == (200, 0.25, None, str(EXAMPLE))


@pytest.mark.parametrize("value", ["half \ud800", 2**64, -(2**70), float("nan"), {1: 2}, b"\xff", object])
def test_whatever_a_field_holds_there_is_a_line(value: object):
    assert json.loads(line_with(JsonFormatter(), odd=value))["message"] == "said"
    assert "said odd=" in line_with(TextFormatter(), odd=value)


def test_a_traceback_that_cannot_be_encoded_is_a_line_too():
    try:
        raise ValueError("half \ud800")
    except ValueError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), raised)
    RedactSecrets().filter(record)

    assert "ValueError" in json.loads(JsonFormatter().format(record))["exception"]
