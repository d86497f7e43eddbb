"""A verification of the audit trail that goes on from page to page: each step once, no verdict from before a break."""

import time
from dataclasses import replace

import pytest
from django.db import connection
from django.test import Client

from accounts.audit import Action, record
from accounts.audit_chain import verify_stretch
from accounts.models import AuditEvent
from accounts.principal import Client as Caller
from dashboard.chain_walk import LASTS_IN_ALL, Walk
from tests.support.cast import Actor
from tests.support.pages import signed_in

PLACE = "/settings/audit-log"
VERIFY = f"{PLACE}/verify"


@pytest.fixture
def page(alice: Actor) -> Client:
    record(Action.KEY_CREATED, Caller("203.0.113.9", "curl"), "Something.", workspace_id=alice.workspace.id)
    return signed_in(alice)


def before_the_end(actor: Actor) -> Walk:
    """Return a verification of the actor's that has begun now and read every row."""
    walk = Walk.begin(actor.request().auth)
    return walk.after(verify_stretch(walk.last))


def set_description(text: str) -> None:
    """Change a row of the trail as somebody can who owns the database."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditevent DISABLE TRIGGER accounts_auditevent_guard")
        cursor.execute("UPDATE accounts_auditevent SET description = %s WHERE action = 'api_key.created'", [text])
        cursor.execute("ALTER TABLE accounts_auditevent ENABLE TRIGGER accounts_auditevent_guard")


def verdicts() -> list[int]:
    found = AuditEvent.objects.filter(action=Action.AUDIT_VERIFIED).order_by("sequence")
    return [event.changes["breaks"] for event in found]


def test_a_step_is_taken_once(page: Client, alice: Actor):
    walk = before_the_end(alice).signed

    first, again = (page.post(VERIFY, {"walk": walk}) for _ in range(2))

    assert first.status_code == 200 and b"The chain holds: all" in first.content
    assert again.status_code == 409 and b"gone on from here already" in again.content
    assert b"Verify it now" in again.content
    assert verdicts() == [0]


def test_a_verification_from_before_a_break_does_not_say_that_the_chain_holds(page: Client, alice: Actor):
    walk = before_the_end(alice).signed
    set_description("Changed.")
    assert b"The chain is broken in 1 place" in page.post(VERIFY).content

    answer = page.post(VERIFY, {"walk": walk})

    assert answer.status_code == 409 and b"has found the chain broken since" in answer.content
    assert verdicts() == [1] and ">Broken<" in page.get(PLACE).content.decode()


def test_one_that_begins_after_the_repair_says_so(page: Client, alice: Actor, mallory: Actor):
    set_description("Changed.")
    page.post(VERIFY)
    set_description("Something.")
    begun = before_the_end(alice)
    signed_in(mallory).post(VERIFY)  # another workspace's, and found no break

    assert b"The chain holds: all" in page.post(VERIFY, {"walk": begun.signed}).content
    assert verdicts() == [1, 0, 0] and ">Holds<" in page.get(PLACE).content.decode()


def test_a_break_that_another_workspace_has_found_counts(page: Client, alice: Actor, mallory: Actor):
    walk = before_the_end(alice).signed
    set_description("Changed.")
    signed_in(mallory).post(VERIFY)

    assert page.post(VERIFY, {"walk": walk}).status_code == 409 and verdicts() == [1]


def test_a_verification_ends_an_hour_after_it_began_however_often_it_went_on(page: Client, alice: Actor):
    walk = before_the_end(alice)
    old = replace(walk, begun_at=time.time() - LASTS_IN_ALL - 1, break_count=7).signed

    answer = page.post(VERIFY, {"walk": old})  # begins anew

    assert b"The chain holds: all" in answer.content and verdicts() == [0]
