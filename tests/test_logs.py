"""No credential reaches a log, whoever writes the line; and no client can forge a line."""

import logging

import pytest

from spatialflow.log import RedactSecrets, on_one_line, redact
from tests.support.cast import PASSWORD
from tests.support.race import call


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


@pytest.mark.django_db(transaction=True)
def test_what_clients_do_wrong_costs_no_more_than_a_line(server):
    offset = server.log.stat().st_size

    assert call(server, "GET", "/api/v1/geofences").status == 401
    assert call(server, "GET", "/api/v1/nowhere").status == 404
    assert call(server, "GET", "/api/v1/health", headers={"Host": "evil.example"}).status == 400

    lines = server.log.read_text()[offset:].splitlines()
    assert [line for line in lines if "Traceback" in line or "django.request" in line] == []
    own = [line for line in lines if "spatialflow.access" not in line]  # beside the one line that every request has
    assert len([line for line in own if "django.security.DisallowedHost" in line]) == len(own) == 1
    assert len(lines) - len(own) <= 3


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
