"""What the database quotes of rows and values stays out of the log, whoever failed. What finds it stays."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.db import DatabaseError, connection, transaction

from spatialflow.log import JsonFormatter
from tests.support.cast import Actor
from tests.support.launch import PROJECT
from tests.support.pages import signed_in

PERSONAL = "zoe.private@elsewhere.test"
FENCE = {"name": PERSONAL, "geometry": {"type": "Circle", "center": [8.5, 47.3], "radius_meters": 100}}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What the service's own handler writes, in JSON."""
    (handler,) = (one for one in logging.root.handlers if type(one) is logging.StreamHandler)
    written = StringIO()
    monkeypatch.setattr(handler, "formatter", JsonFormatter())
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


def refuse(table: str, column: str, value: str) -> None:
    """Let the database refuse rows with this value, as a rule does that nobody foresaw."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with some that are pending cannot be altered
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT unforeseen CHECK ({column} <> '{value}')")


def crashes(log: StringIO) -> list[str]:
    return [line["exception"] for line in map(json.loads, log.getvalue().splitlines()) if "exception" in line]


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("UPDATE accounts_user SET email = %s", "table accounts_user, constraint accounts_user_email"),
        ("UPDATE accounts_user SET email = NULL, name = %s", "SQLSTATE 23502, table accounts_user, column email"),
        ("SELECT %s::uuid", "SQLSTATE 22P02"),
        ("""SELECT ('{"a": ' || %s)::jsonb""", "SQLSTATE 22P02"),
        ("SELECT %s::timestamptz", "SQLSTATE 22007"),
        (f"DO $$ BEGIN RAISE 'ours' USING DETAIL = '{PERSONAL}'; END $$", "ours (SQLSTATE P0001)"),
    ],
)
def test_a_traceback_says_what_failed_and_no_value(alice: Actor, bob: Actor, log: StringIO, statement: str, kept: str):
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [PERSONAL] if "%s" in statement else None)
    except DatabaseError as error:
        assert "zoe" in str(error)
        logging.getLogger("x").error("failed: %s", error, extra={"fields": {"why": error}})
        try:
            raise ExceptionGroup("several", [RuntimeError(f"wrapped: {error}"), error]) from None
        except ExceptionGroup:
            logging.getLogger("x").exception("failed again")

    assert kept in log.getvalue() and "wrapped: " in log.getvalue()
    assert len(crashes(log)) == 1 and len(log.getvalue().splitlines()) == 2
    assert PERSONAL not in log.getvalue() and "zoe" not in log.getvalue()


def test_neither_the_api_nor_a_page_lets_a_row_into_the_log(alice: Actor, log: StringIO):
    refuse("geofences_geofence", "name", PERSONAL)
    refuse("accounts_user", "name", PERSONAL)
    api, page = alice.client, signed_in(alice)
    api.raise_request_exception = page.raise_request_exception = False

    assert api.post("/api/v1/geofences", FENCE, format="json").status_code == 500
    assert page.post("/settings/profile", {"name": PERSONAL}).status_code == 500

    for crash, table in zip(crashes(log), ["geofences_geofence", "accounts_user"], strict=True):
        assert crash.endswith(f"(SQLSTATE 23514, table {table}, constraint unforeseen)")
    assert PERSONAL not in log.getvalue() and alice.user.email not in log.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_command_that_crashes_is_a_line_of_the_log_without_the_row(alice: Actor, database_url: str):
    refuse("accounts_workspace", "plan", "team")
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "set_plan", "acme", "team"],
            cwd=PROJECT,
            env={**os.environ, "DATABASE_URL": database_url, "LOG_FORMAT": "json"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_workspace DROP CONSTRAINT unforeseen")

    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"], line["message"]) == (1, "CRITICAL", "crashed")
    assert "constraint unforeseen" in line["exception"] and "set_plan.py" in line["exception"]
    assert "Failing row" not in line["exception"] and str(alice.workspace.id) not in line["exception"]
