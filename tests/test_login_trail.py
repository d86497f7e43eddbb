"""A sign-in and its event in the audit trail are one: written together, and in nobody's way while they wait."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections, transaction
from prometheus_client import REGISTRY

from accounts.audit import Action, record
from accounts.login import FIND_ACCOUNT
from accounts.models import AuditEvent, SignIn
from accounts.principal import Client
from tests.support.cast import PASSWORD, Actor
from tests.support.race import call, waiting_behind
from tests.support.required_sso import demand

LOGIN = "/api/v1/auth/login"
RIGHT = {"email": "alice@acme.test", "password": PASSWORD}
CLIENT = Client("192.0.2.44", "tests", "POST", "/api/v1/somewhere")


@contextmanager
def closed_trail() -> Iterator[None]:
    """Let the database take no event."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditevent ADD CONSTRAINT closed CHECK (false) NOT VALID")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE accounts_auditevent DROP CONSTRAINT closed")


@pytest.mark.django_db(transaction=True)
def test_without_its_event_there_is_no_sign_in(anyone, alice: Actor):
    anyone.raise_request_exception = False
    before = SignIn.objects.count()

    with closed_trail():
        refused = anyone.post(LOGIN, RIGHT, format="json")

    assert (refused.status_code, SignIn.objects.count()) == (500, before)
    assert not AuditEvent.objects.filter(action=Action.SIGNED_IN, path=LOGIN).exists()
    assert anyone.post(LOGIN, RIGHT, format="json").status_code == 200
    assert AuditEvent.objects.filter(action=Action.SIGNED_IN, path=LOGIN).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_login_that_waits_for_its_workspace_does_not_hold_the_trail(server, alice: Actor, acme):
    """Who deletes a workspace has its row and then appends an event: had the login the trail, both would wait."""
    with waiting_behind(acme) as start:
        login = start(call, server, "POST", LOGIN, RIGHT)
        record(Action.WORKSPACE_DELETED, CLIENT, "Workspace deleted.", workspace_id=acme.id)

    assert login.result().status == 200


def test_whoever_left_the_workspace_meanwhile_does_not_enter_it(anyone, alice: Actor, bob: Actor):
    """Between the look at the memberships and the sign-in."""
    before = SignIn.objects.count()

    def leave(execute, sql, *rest):
        if "accounts_signin" in sql:
            bob.membership.delete()
        return execute(sql, *rest)

    with connection.execute_wrapper(leave):
        response = anyone.post(LOGIN, {"email": "bob@acme.test", "password": PASSWORD}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (401, "invalid_credentials")
    assert SignIn.objects.count() == before


def test_a_login_makes_two_trips_and_one_for_its_limits(anyone, alice: Actor, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 1.0)  # it is not our turn to sweep
    with django_assert_num_queries(2), django_assert_num_queries(1, connection=connections["counters"]):
        assert anyone.post(LOGIN, RIGHT, format="json").status_code == 200


def test_where_single_sign_on_is_demanded_no_account_is_looked_up(alice: Actor, acme):
    def plan() -> str:
        with connection.cursor() as cursor:
            parameters = {"email": "alice@acme.test", "domain": "acme.test"}
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {FIND_ACCOUNT.format(columns='u.id')}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())

    looked_up = [line for line in plan().splitlines() if "on accounts_user" in line]
    demand(acme)
    passed_over = [line for line in plan().splitlines() if "on accounts_user" in line]

    assert len(looked_up) == len(passed_over) == 1
    assert "never executed" not in looked_up[0]
    assert "never executed" in passed_over[0]


def told(action: Action) -> float:
    return REGISTRY.get_sample_value("spatialflow_audit_events_total", {"action": str(action)}) or 0


@pytest.mark.django_db(transaction=True)
def test_an_event_is_logged_and_counted_when_it_is_committed_and_not_before(caplog):
    caplog.set_level("INFO")
    before = told(Action.AUDIT_VERIFIED)

    with pytest.raises(RuntimeError), transaction.atomic():
        record(Action.AUDIT_VERIFIED, CLIENT, "Undone.")
        raise RuntimeError("undo")
    with transaction.atomic():
        record(Action.AUDIT_VERIFIED, CLIENT, "Done.")
        assert (told(Action.AUDIT_VERIFIED), caplog.messages) == (before, [])

    assert (told(Action.AUDIT_VERIFIED), caplog.messages) == (before + 1, ["audit event"])
