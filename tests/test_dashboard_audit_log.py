"""Settings / Audit log, without a browser: filters, pages, one event, exports, and whether the chain holds."""

import csv
import json
import re
import time
import uuid
from datetime import timedelta

import pytest
from django.core import signing
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.audit import Action, Person, record
from accounts.audit_chain import START, verify_stretch
from accounts.models import AuditEvent, Membership
from accounts.principal import Client as Caller
from dashboard.chain_walk import SALT
from tests.support.cast import Actor
from tests.support.pages import signed_in
from tests.support.urls import EXAMPLE_ID

PLACE = "/settings/audit-log"
CALLER = Caller("203.0.113.9", "<script>agent</script>", "POST", "/api/v1/<b>somewhere</b>")


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def tell(actor: Actor, action: Action = Action.KEY_CREATED, description: str = "Something.", **more: object) -> None:
    who = Person(actor.user.id, actor.user.email)
    record(action, CALLER, description, **{"workspace_id": actor.workspace.id, "actor": who, **more})


def rows(answer: object) -> list[str]:
    return re.findall(r'<br><span class="quiet">([\w ]+\.)</span>', answer.content.decode())  # type: ignore[attr-defined]


def carried(actor: Actor, **more: object) -> str:
    """Return the field of a verification of the actor's workspace that has begun."""
    begun = {"workspace_id": str(actor.workspace.id), "id": str(uuid.uuid4()), "begun_at": time.time()}
    at_first = {"begun_behind": 0, "steps": 1, "sequence": 0, "hash": START.hash.hex(), "break_count": 0, "told": []}
    return signing.dumps({**begun, **at_first, **more}, salt=SALT)


def tamper(sql: str) -> None:
    """Change the trail as somebody can who owns the database."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditevent DISABLE TRIGGER accounts_auditevent_guard")
        cursor.execute(sql)
        cursor.execute("ALTER TABLE accounts_auditevent ENABLE TRIGGER accounts_auditevent_guard")


def test_it_tells_what_happened_and_shows_text_as_text(page: Client, alice: Actor, mallory: Actor):
    tell(alice, changes={"name": "<script>alert(1)</script>"}, description="<script>alert(2)</script>")
    tell(mallory, description="Theirs alone.")
    event = AuditEvent.objects.get(workspace_id=alice.workspace.id, action=Action.KEY_CREATED)

    listed, shown = (page.get(path).content.decode() for path in (PLACE, f"{PLACE}/{event.id}"))

    assert "API key: created" in listed and "alice@acme.test" in listed and "203.0.113.9" in listed
    assert "Theirs alone" not in listed and "mallory" not in listed
    assert "&lt;script&gt;alert(1)" in shown and "&lt;script&gt;agent" in shown and "&lt;b&gt;somewhere" in shown
    assert "<script>a" not in listed + shown and str(event.sequence) in shown


def test_filters_leave_what_fits(page: Client, alice: Actor, bob: Actor):
    tell(alice, description="Made by Alice.")
    tell(bob, Action.KEY_REVOKED, "Revoked by Bob.")
    tell(bob, Action.SIGN_IN_FAILED, "Wrong password.", status_code=401)
    today, tomorrow = timezone.now(), timezone.now() + timedelta(days=1)

    found = {
        query: rows(page.get(f"{PLACE}?{query}"))
        for query in (
            "action=api_key.created",
            f"user_id={bob.user.id}&action=api_key.revoked",
            "result=refused",
            "search=by+bob",
            "search=BOB%40acme.test&result=refused",
            f"date_from={tomorrow:%Y-%m-%d}",
            f"date_to={today:%Y-%m-%d}&action=api_key.revoked",
        )
    }

    assert list(found.values()) == [
        ["Made by Alice."],
        ["Revoked by Bob."],
        ["Wrong password."],
        ["Revoked by Bob."],
        ["Wrong password."],
        [],
        ["Revoked by Bob."],
    ]
    assert "Wrong password." not in rows(page.get(f"{PLACE}?result=succeeded"))
    assert b"Nothing fits" in page.get(f"{PLACE}?search=nothing+like+this").content
    kept = page.get(f"{PLACE}?user_id={bob.user.id}&search=%22%3E").content.decode()
    assert f'<option value="{bob.user.id}" selected>bob@acme.test' in kept and 'value="&quot;&gt;"' in kept


@pytest.mark.parametrize(
    ("query", "field"), [("date_from=soon", "date_from"), ("user_id=x", "user_id"), ("result=x", "result")]
)
def test_a_wrong_filter_is_said_at_its_field(page: Client, query: str, field: str):
    answer = page.get(f"{PLACE}?{query}")

    assert answer.status_code == 422 and list(answer.context["form"].errors) == [field]
    assert f"{field}-errors" in answer.content.decode()


def test_pages_follow_one_another_whatever_happens_meanwhile(page: Client, alice: Actor, mallory: Actor):
    for number in range(60):
        tell(alice, description=f"Event {number:02}.")
    tell(mallory)
    query = "action=api_key.created"

    first = page.get(f"{PLACE}?{query}")
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first.content.decode())
    tell(alice, description="Event 60.")
    second = page.get(older.replace("&amp;", "&"))

    assert rows(first) == [f"Event {number:02}." for number in range(59, 9, -1)]
    assert rows(second) == [f"Event {number:02}." for number in range(9, -1, -1)]
    assert 'rel="next"' not in second.content.decode() and f'href="{PLACE}?{query}"' in second.content.decode()
    theirs = AuditEvent.objects.filter(workspace_id=mallory.workspace.id).latest("sequence")
    for wrong in (theirs.id, uuid.uuid4(), "<script>"):
        assert page.get(f"{PLACE}?before={wrong}").status_code == 404


def test_an_export_holds_what_the_filters_leave_and_is_told(page: Client, alice: Actor):
    tell(alice, description="=cmd()")
    tell(alice, Action.KEY_REVOKED)
    sent = {"action": "api_key.created"}

    as_csv, as_json = (page.post(f"{PLACE}/export", {**sent, "export_format": name}) for name in ("csv", "json"))

    lines = list(csv.DictReader(as_csv.getvalue().decode().splitlines()))
    assert [line["description"] for line in lines] == ["'=cmd()"]
    assert [event["description"] for event in json.loads(as_json.getvalue())] == ["=cmd()"]
    assert as_csv.streaming and as_csv["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    assert as_csv["Cache-Control"] == "no-store"
    told = AuditEvent.objects.filter(action=Action.AUDIT_EXPORTED, workspace_id=alice.workspace.id)
    assert [event.changes["format"] for event in told.order_by("sequence")] == ["csv", "json"]
    assert page.post(f"{PLACE}/export", {"export_format": "exe"}).status_code == 422
    assert page.get(f"{PLACE}/export")["Location"] == PLACE


def test_the_chain_is_verified_and_that_is_remembered(page: Client, alice: Actor):
    tell(alice)
    assert b"Not verified yet" in page.get(PLACE).content

    answer = page.post(f"{PLACE}/verify").content.decode()

    event = AuditEvent.objects.get(action=Action.AUDIT_VERIFIED)
    assert "The chain holds: all" in answer and event.changes["head"] in answer and event.changes["breaks"] == 0
    assert ">Holds<" in page.get(PLACE).content.decode()
    assert "it held" in page.get(f"{PLACE}/verify").content.decode()


def test_a_break_is_told_and_rows_of_others_are_not(page: Client, alice: Actor, mallory: Actor):
    tell(alice, Action.KEY_REVOKED)
    tell(mallory, Action.SSO_DELETED)
    tamper("UPDATE accounts_auditevent SET description = 'x' WHERE action IN ('api_key.revoked', 'sso.deleted')")

    answer = page.post(f"{PLACE}/verify").content.decode()

    assert "The chain is broken in 2 places" in answer and "(api_key.revoked) was changed" in answer
    assert "sso.deleted" not in answer
    text = page.get(PLACE).content.decode()
    assert ">Broken<" in text and "broken in 2 places" in text


def test_a_removed_row_shows(page: Client, alice: Actor):
    tell(alice)
    tell(alice)
    last = AuditEvent.objects.latest("sequence").sequence
    tamper("DELETE FROM accounts_auditevent WHERE sequence = (SELECT max(sequence) - 1 FROM accounts_auditevent)")

    assert f"Rows {last - 1} to {last - 1} are missing." in page.post(f"{PLACE}/verify").content.decode()


def test_long_work_goes_on_from_step_to_step(page: Client, alice: Actor):
    tell(alice)
    tell(alice)
    found, last = [], START
    for _ in range(AuditEvent.objects.count() + 1):
        stretch = verify_stretch(last, most=1)
        found, last = [*found, *stretch.breaks], stretch.last
    assert stretch.is_end and not found and last.sequence == AuditEvent.objects.latest("sequence").sequence
    walk = carried(alice, sequence=last.sequence - 1, hash="00" * 32, break_count=3, told=["Seen <b>before</b>."])

    answer = page.post(f"{PLACE}/verify", {"walk": walk}).content.decode()

    assert "broken in 4 places" in answer and "Seen &lt;b&gt;before" in answer


@pytest.mark.parametrize("walk", ["", "made up", "another workspace's"])
def test_how_far_it_is_cannot_be_made_up(page: Client, alice: Actor, mallory: Actor, walk: str):
    tell(alice)
    sent = carried(mallory, sequence=10**6, hash="00" * 32) if walk.startswith("another") else walk

    assert "The chain holds: all" in page.post(f"{PLACE}/verify", {"walk": sent}).content.decode()


def test_beginning_is_limited(page: Client):
    statuses = [page.post(f"{PLACE}/verify").status_code for _ in range(7)]

    assert statuses == [200] * 6 + [429]


def test_managers_read_and_export_and_others_do_not(alice: Actor, bob: Actor, carol: Actor):
    tell(alice)
    event = AuditEvent.objects.filter(workspace_id=alice.workspace.id).latest("sequence")
    Membership.objects.filter(id=bob.membership.id).update(role="manager")
    manager, member = signed_in(bob), signed_in(carol)
    paths = [PLACE, f"{PLACE}/{event.id}", f"{PLACE}/verify"]

    assert [manager.get(path).status_code for path in paths] == [200, 200, 403]
    assert [member.get(path).status_code for path in paths] == [403] * 3
    exports = [who.post(f"{PLACE}/export", {"export_format": "csv"}).status_code for who in (manager, member)]
    assert exports == [200, 403] and manager.post(f"{PLACE}/verify").status_code == 403
    assert f"{PLACE}/verify" not in manager.get(PLACE).content.decode()


def test_a_strangers_event_is_not_there(page: Client, mallory: Actor):
    tell(mallory)
    theirs = AuditEvent.objects.filter(workspace_id=mallory.workspace.id).latest("sequence")

    assert [page.get(f"{PLACE}/{name}").status_code for name in (theirs.id, EXAMPLE_ID, "<script>")] == [404] * 3


@pytest.mark.parametrize("leaf", ["export", "verify"])
def test_forms_from_elsewhere_are_refused(alice: Actor, leaf: str):
    page = signed_in(alice, enforce_csrf_checks=True)
    before = AuditEvent.objects.count()

    assert page.post(f"{PLACE}/{leaf}", {"export_format": "csv"}).status_code == 403
    assert AuditEvent.objects.count() == before
