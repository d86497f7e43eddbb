"""The hourly command of single sign-on and the proofs of domains: lost, back and suspended, each told exactly once."""

import time
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace, WorkspaceDomain
from accounts.principal import Client
from accounts.tokens import issue
from sso.domains import covers
from tests.support.cast import PASSWORD, bearer
from tests.support.domains import CHALLENGE, DOMAINS, let_pass, prove, proven_row, verify
from tests.support.mails import delivered
from tests.support.sso_maintenance import DAY, actions, maintain, told

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db
LOGIN = "/api/v1/auth/login"
LOST = "The proof of acme.test is gone from the DNS"
BACK = "The proof of acme.test is back"
SUSPENDED = "acme.test does not sign in by your identity provider any more"


def test_a_proof_is_looked_for_once_a_day(alice, dns):
    prove(alice, dns)
    dns.asked.clear()

    assert maintain() == []
    let_pass(timedelta(hours=21))
    assert maintain() == ["acme.test: still proven"]
    assert maintain() == []
    assert dns.asked == [("udp", CHALLENGE)]


def test_claims_that_are_not_proven_are_left_to_their_owners(alice, dns):
    claimed = proven_row(alice.workspace, verified_at=None, checked_at=timezone.now() - 3 * DAY)
    dns.records[CHALLENGE] = [claimed.dns_value]

    assert maintain() == []
    assert dns.asked == []


def test_a_lost_proof_is_told_to_every_active_owner_at_once_and_once(alice, bob, carol, dns):
    claimed = prove(alice, dns)
    Membership.objects.filter(user__in=[bob.user, carol.user]).update(role="owner")
    User.objects.filter(id=carol.user.id).update(is_active=False)
    dns.records.clear()
    let_pass(DAY)

    assert maintain() == ["acme.test: the record is missing, owners told"]

    sent = {message.to[0]: message for message in delivered()}
    assert sorted(sent) == ["alice@acme.test", "bob@acme.test"]
    row = WorkspaceDomain.objects.get()
    assert row.lost_at and sent["bob@acme.test"].subject == LOST
    ends_at = row.lost_at + timedelta(hours=72)
    assert f"{row.dns_name}\n{row.dns_value}" in sent["bob@acme.test"].body
    assert f"until {ends_at:%d %B %Y, %H:%M} UTC" in sent["bob@acme.test"].body
    shown = alice.client.get(f"{DOMAINS}/{claimed['id']}").json()
    assert (shown["status"], shown["verified_at"] is not None) == ("lost", True)
    assert datetime.fromisoformat(shown["counts_until"]) == ends_at
    assert covers(alice.workspace.id, "bob@acme.test")  # for the grace
    assert maintain() == ["acme.test: the record is still missing"]
    assert (told(), actions().count("domain.proof_lost")) == ([], 1)


def test_a_lost_proof_that_is_back_is_as_if_it_had_never_gone(alice, dns):
    claimed = prove(alice, dns)
    records = dict(dns.records)
    dns.records.clear()
    verify(alice, claimed)
    let_pass(timedelta(hours=71))
    dns.records.update(records)

    assert maintain() == ["acme.test: proven again, owners told"]

    assert told() == [("alice@acme.test", BACK), ("alice@acme.test", LOST)]
    let_pass(3 * DAY)
    assert maintain() == ["acme.test: still proven"]
    assert (told(), covers(alice.workspace.id, "bob@acme.test")) == ([], True)
    assert verify(alice, claimed).json()["lost_at"] is None


def test_a_proof_that_stays_lost_is_suspended_and_nobody_is_signed_in_by_it_any_more(alice, bob, carol, dns):
    claimed = prove(alice, dns)
    by_provider = issue(bob.membership, "saml", Client("192.0.2.9", "a browser"))
    dns.records.clear()
    verify(alice, claimed)
    told()
    let_pass(timedelta(hours=71))
    maintain()
    assert covers(alice.workspace.id, "bob@acme.test")

    let_pass(timedelta(hours=2))
    assert not covers(alice.workspace.id, "bob@acme.test")  # at that moment, not when the command runs
    assert maintain() == ["acme.test: the record is still missing", "acme.test: suspended, owners told"]

    row = WorkspaceDomain.objects.get()
    assert (row.verified_at, row.status) == (None, "suspended")
    assert told() == [("alice@acme.test", SUSPENDED)]
    event = AuditEvent.objects.get(action="domain.suspended")
    assert (event.workspace_id, event.changes) == (
        alice.workspace.id,
        {"domain": "acme.test", "sign_ins_ended": 1},
    )
    assert bearer(by_provider.access_token).get("/api/v1/auth/me").status_code == 401
    assert carol.client.get("/api/v1/auth/me").status_code == 200  # came by password
    assert SignIn.objects.get(id=bob.sign_in_id).revoked_at is None
    assert (maintain(), told()) == ([], [])


def test_a_suspended_domain_counts_again_when_an_owner_has_it_checked(alice, dns):
    claimed = prove(alice, dns)
    records = dict(dns.records)
    dns.records.clear()
    verify(alice, claimed)
    let_pass(4 * DAY)
    maintain()
    dns.records.update(records)
    assert maintain() == []

    assert verify(alice, claimed).json()["status"] == "proven"

    assert covers(alice.workspace.id, "bob@acme.test")
    assert actions()[-2:] == ["domain.suspended", "domain.proven"]


@pytest.mark.parametrize("mode", ["servfail", "refused", "silent"])
def test_a_dns_that_does_not_answer_loses_no_proof(alice, dns, mode):
    prove(alice, dns)
    dns.mode = mode
    let_pass(10 * DAY)

    assert maintain() == ["acme.test: the DNS did not answer, nothing changed"]

    assert (WorkspaceDomain.objects.get().status, told()) == ("proven", [])
    dns.mode = "answer"
    assert maintain() == ["acme.test: still proven"]


def test_many_silent_domains_take_seconds(alice, dns):
    for number in range(30):
        proven_row(alice.workspace, f"d{number}.test", checked_at=timezone.now() - DAY)
    dns.mode = "silent"

    began = time.monotonic()
    lines = maintain()

    assert lines == [f"d{number}.test: the DNS did not answer, nothing changed" for number in range(30)]
    assert time.monotonic() - began < 15


def test_required_single_sign_on_locks_nobody_out_when_the_last_domain_is_suspended(anyone, alice, bob, dns):
    claimed = prove(alice, dns)
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=True)
    credentials = {"email": "bob@acme.test", "password": PASSWORD}
    refused = anyone.post(LOGIN, credentials, format="json")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "sso_required")

    row = WorkspaceDomain.objects.get(id=claimed["id"])
    dns.records.clear()
    row.lost_at = timezone.now() - timedelta(hours=73)
    row.save()
    at_the_end_of_the_grace = anyone.post(LOGIN, credentials, format="json")
    maintain()
    suspended = anyone.post(LOGIN, credentials, format="json")

    assert (at_the_end_of_the_grace.status_code, suspended.status_code) == (200, 200)
    assert bearer(suspended.json()["access_token"]).get("/api/v1/auth/me").status_code == 200
