"""Reading the audit trail: whose, which, in what order; and taking it along as a file."""

import csv
import io
import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from accounts.audit import Action, Person, erase_person, record
from accounts.models import AuditEvent, Workspace
from accounts.principal import Client
from tests.support.cast import Actor, enter
from tests.support.race import call

LOGS = "/api/v1/audit-logs/"
EXPORT = "/api/v1/audit-logs/export/"
CLIENT = Client("192.0.2.9", "Firefox", "POST", "/api/v1/somewhere")

pytestmark = pytest.mark.django_db


def logs(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    response = client.get(LOGS, query)
    assert response.status_code == 200, response.json()
    return response.json()["logs"]


def descriptions(client: APIClient, **query: Any) -> list[str]:
    return [event["description"] for event in logs(client, **query)]


def exported(client: APIClient, **query: Any) -> str:
    response = client.get(EXPORT, query)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def append(by: Actor, description: str, action: Action = Action.KEY_CREATED, **details: Any) -> None:
    who = Person(by.user.id, by.user.email)
    record(action, CLIENT, description, **{"workspace_id": by.workspace.id, "actor": who, **details})


def test_an_event_shows_who_did_what_to_whom_from_where(alice: Actor, bob: Actor):
    about = {"target": Person(bob.user.id, bob.user.email), "resource": ("member", bob.user.id), "status_code": 200}
    changes = {"role": {"from": "member", "to": "manager"}}
    append(alice, "Role changed.", Action.ROLE_CHANGED, changes=changes, **about)

    response = alice.client.get(LOGS, {"action": "member.role_changed"})

    event = AuditEvent.objects.get(action="member.role_changed")
    assert response.status_code == 200
    assert response.json() == {
        "logs": [
            {
                "id": str(event.id),
                "created_at": event.created_at.isoformat().replace("+00:00", "Z"),
                "user_email": "alice@acme.test",
                "user_id": str(alice.user.id),
                "action": "member.role_changed",
                "resource_type": "member",
                "resource_id": str(bob.user.id),
                "description": "Role changed.",
                "target_email": "bob@acme.test",
                "target_id": str(bob.user.id),
                "changes": changes,
                "ip_address": "192.0.2.9",
                "user_agent": "Firefox",
                "http_method": "POST",
                "path": "/api/v1/somewhere",
                "status_code": 200,
            }
        ],
        "total": 1,
        "page": 1,
        "page_size": 50,
        "has_more": False,
    }


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("manager", 200), ("field_worker", 403), ("member", 403)])
def test_owners_and_managers_read_it(acme: Workspace, role, status):
    client = enter("bob", role, acme).client

    assert client.get(LOGS).status_code == client.get(EXPORT).status_code == status


def test_nobody_reads_another_workspaces(alice: Actor, mallory: Actor):
    append(alice, "Of acme.")
    append(mallory, "Of other.")
    record(Action.SIGN_IN_FAILED, CLIENT, "Of nobody.")

    assert descriptions(alice.client) == ["Of acme.", "Signed in by password."]
    assert descriptions(mallory.client, user_id=alice.user.id) == []
    assert [row["description"] for row in rows(exported(mallory.client))] == [
        "Audit log exported.",
        "Of other.",
        "Signed in by password.",
    ]


def test_a_key_does_not_read_it(alice: Actor):
    assert alice.key_client().get(LOGS).status_code == 403


def test_refused_sign_ins_show_whom_they_concerned(alice: Actor, bob: Actor, anyone: APIClient):
    for email in ("bob@acme.test", "nobody@acme.test"):
        anyone.post("/api/v1/auth/login", {"email": email, "password": "wrong"}, format="json")

    (event,) = logs(alice.client, action="auth.sign_in_failed")

    assert (event["user_email"], event["user_id"], event["target_id"], event["status_code"]) == (
        "bob@acme.test",
        None,
        str(bob.user.id),
        401,
    )
    assert (event["ip_address"], event["path"]) == ("127.0.0.1", "/api/v1/auth/login")


def test_refused_sign_ins_are_shown_in_the_workspace_chosen_last(alice: Actor, mallory: Actor, anyone: APIClient):
    alice.workspace.memberships.create(user=mallory.user, role="member")
    mallory.user.last_workspace = alice.workspace
    mallory.user.save()

    anyone.post("/api/v1/auth/login", {"email": "mallory@other.test", "password": "wrong"}, format="json")

    assert len(logs(alice.client, action="auth.sign_in_failed")) == 1
    assert logs(mallory.client, action="auth.sign_in_failed") == []


def test_of_an_erased_person_nothing_is_shown(alice: Actor, bob: Actor):
    append(bob, "By Bob.")
    append(alice, "To Bob.", target=Person(bob.user.id, bob.user.email))
    append(alice, "Refused.", Action.SIGN_IN_FAILED, actor=Person(), target=Person(bob.user.id, bob.user.email))
    append(alice, "By nobody.", actor=Person())
    assert "bob@" in exported(alice.client)

    erase_person(bob.user.id, bob.user.email)

    shown = {event["description"]: event for event in logs(alice.client)}
    who = {name: (event["user_email"], event["target_email"]) for name, event in shown.items()}
    assert {name: who[name] for name in ("By Bob.", "To Bob.", "Refused.", "By nobody.")} == {
        "By Bob.": ("[erased]", None),
        "To Bob.": ("alice@acme.test", "[erased]"),
        "Refused.": ("[erased]", "[erased]"),
        "By nobody.": ("", None),
    }
    assert "bob@" not in exported(alice.client) + json.dumps(list(shown.values()))


def test_filters_narrow_it(alice: Actor, bob: Actor):
    append(alice, "First.", resource=("api_key", "k1"))
    append(bob, "Second.", Action.KEY_REVOKED, resource=("api_key", "k2"))
    append(alice, "Third, 100% of it.", Action.ROLE_CHANGED, target=Person(bob.user.id, bob.user.email))
    client = alice.client

    assert descriptions(client, action="api_key.revoked") == ["Second."]
    assert descriptions(client, action="api_key") == []
    assert descriptions(client, resource_type="api_key") == ["Second.", "First."]
    assert descriptions(client, user_id=bob.user.id) == ["Third, 100% of it.", "Second.", "Signed in by password."]
    assert descriptions(client, user_id=bob.user.id, resource_type="api_key") == ["Second."]
    for search, found in {
        "SECOND": ["Second."],
        "k1": ["First."],
        "100%": ["Third, 100% of it."],
        "_key": ["Second.", "First."],
        "role_changed": ["Third, 100% of it."],
        "bob@": ["Third, 100% of it.", "Second.", "Signed in by password."],
        "192.0.2.9": ["Third, 100% of it.", "Second.", "First."],
        "nothing like it": [],
    }.items():
        assert descriptions(client, search=search) == found, search
    assert len(logs(client, action="", resource_type="", search="")) == 5


def test_days_are_whole_and_moments_exact(alice: Actor):
    append(alice, "Now.")
    at = AuditEvent.objects.get(description="Now.").created_at
    today, tomorrow = at.date(), at.date() + timedelta(days=1)
    shifted = at.astimezone(UTC) + timedelta(hours=5)

    def found(**query: Any) -> bool:
        return "Now." in descriptions(alice.client, **query)

    assert found(date_from=today, date_to=today)
    assert not found(date_from=tomorrow) and not found(date_to=today - timedelta(days=1))
    assert found(date_from=at.isoformat()) and not found(date_to=at.isoformat())
    assert found(date_to=(at + timedelta(microseconds=1)).isoformat())
    assert found(date_from=f"{shifted:%Y-%m-%dT%H:%M:%S.%f}+05:00")
    assert found(date_from=f"{at:%Y-%m-%dT%H:%M:%S.%f}") and not found(date_from=f"{shifted:%Y-%m-%dT%H:%M:%S}")


@pytest.mark.parametrize("path", [LOGS, EXPORT])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date_from", "yesterday"),
        ("date_from", "2026-02-30"),
        ("date_from", "2026-13-01T00:00:00Z"),
        ("date_from", "0001-01-01T00:00:00+14:00"),
        ("date_to", "9999-12-31"),
        ("date_to", "9" * 400),
        ("date_to", "\0"),
        ("user_id", "alice"),
        ("action", "x" * 61),
        ("search", "x" * 201),
        ("search", "a\0b"),
    ],
)
def test_a_bad_filter_is_named(alice: Actor, path, field, value):
    response = alice.client.get(path, {field: value})

    assert (response.status_code, list(response.json()["details"])) == (422, [field])
    assert not AuditEvent.objects.filter(action=Action.AUDIT_EXPORTED).exists()


def test_pages_are_newest_first_and_say_whether_more_follows(alice: Actor):
    for number in range(5):
        append(alice, f"{number}")

    first = alice.client.get(LOGS, {"page_size": 3}).json()
    second = alice.client.get(LOGS, {"page_size": 3, "page": 2}).json()
    beyond = alice.client.get(LOGS, {"page_size": 200, "page": 1_000_000}).json()

    assert [event["description"] for event in first["logs"]] == ["4", "3", "2"]
    assert [event["description"] for event in second["logs"]] == ["1", "0", "Signed in by password."]
    assert [(page["total"], page["page"], page["has_more"]) for page in (first, second, beyond)] == [
        (6, 1, True),
        (6, 2, False),
        (6, 1_000_000, False),
    ]


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page": "x"}, {"page": 2**70}, {"page_size": 0}, {"page_size": 201}, {"page_size": -1}]
)
def test_odd_pages_are_refused(alice: Actor, query):
    response = alice.client.get(LOGS, query)

    assert (response.status_code, list(response.json()["details"])) == (422, list(query))


def test_an_export_is_a_file_of_everything_but_the_changes(alice: Actor):
    append(alice, "Key made.", changes={"name": "secret plan"}, resource=("api_key", "k1"))

    response = alice.client.get(EXPORT)
    text = b"".join(response.streaming_content).decode()
    document = json.loads(exported(alice.client, export_format="json", action="api_key.created"))

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    assert response["Cache-Control"] == "no-store"
    event = AuditEvent.objects.get(description="Key made.")
    assert rows(text)[1] == {
        "id": str(event.id),
        "created_at": event.created_at.isoformat().replace("+00:00", "Z"),
        "user_email": "alice@acme.test",
        "user_id": str(alice.user.id),
        "action": "api_key.created",
        "resource_type": "api_key",
        "resource_id": "k1",
        "description": "Key made.",
        "target_email": "",
        "target_id": "",
        "ip_address": "192.0.2.9",
        "user_agent": "Firefox",
        "http_method": "POST",
        "path": "/api/v1/somewhere",
        "status_code": "",
    }
    (shown,) = logs(alice.client, action="api_key.created")
    del shown["changes"]
    assert document == [shown]
    assert "secret plan" not in text


def test_an_export_is_an_event_that_keeps_no_address(alice: Actor):
    exported(alice.client, export_format="json", search="bob@acme.test", action="x", date_from="2026-01-01")

    event = AuditEvent.objects.get(action=Action.AUDIT_EXPORTED)
    assert (event.actor_id, event.resource_type, event.status_code) == (alice.user.id, "audit_log", 200)
    assert event.changes == {
        "format": "json",
        "searched": True,
        "action": "x",
        "date_from": "2026-01-01 00:00:00+00:00",
    }


def test_an_export_of_nothing_is_a_heading_or_an_empty_list(alice: Actor):
    assert rows(exported(alice.client, action="x")) == []
    assert json.loads(exported(alice.client, action="x", export_format="json")) == []


@pytest.mark.parametrize("value", ["xml", "CSV", "csv,json"])
def test_other_formats_are_refused(alice: Actor, value):
    response = alice.client.get(EXPORT, {"export_format": value})

    assert (response.status_code, list(response.json()["details"])) == (422, ["export_format"])


@pytest.mark.parametrize("user_agent", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(alice: Actor, user_agent):
    who = Person(alice.user.id, alice.user.email)
    record(Action.SIGNED_IN, Client("192.0.2.9", user_agent), "x", workspace_id=alice.workspace.id, actor=who)

    row = rows(exported(alice.client))[1]

    assert row["user_agent"] == f"'{user_agent}"
    assert user_agent in [event["user_agent"] for event in json.loads(exported(alice.client, export_format="json"))]


def test_text_with_every_separator_stays_in_its_cell(alice: Actor):
    append(alice, 'Commas, "quotes",\nlines; and 🜁.')

    assert rows(exported(alice.client))[1]["description"] == 'Commas, "quotes",\nlines; and 🜁.'


@pytest.mark.django_db(transaction=True)
def test_an_export_has_at_most_ten_thousand_rows_and_streams_from_the_running_service(server, alice: Actor):
    copies = """
        INSERT INTO accounts_auditevent SELECT (jsonb_populate_record(event, jsonb_build_object(
            'sequence', 100 + n, 'id', gen_random_uuid(), 'created_at', event.created_at - n * interval '1 second'))).*
        FROM accounts_auditevent AS event, generate_series(1, 10100) AS n"""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(copies)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answer = call(server, "GET", f"{EXPORT}?export_format=json", headers=headers)

    assert answer.status == 200
    assert len(answer.body) == 10_000
    moments = [event["created_at"] for event in answer.body]
    assert moments == sorted(moments, reverse=True)
    assert answer.body[0]["action"] == "audit.exported"
