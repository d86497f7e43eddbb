"""What is left of a sign-in by an identity provider that was refused: for the owners, the trail, and the person."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from sso.models import SamlAttempt
from tests.support.oauth import CHALLENGED, CLIENT_STATE, told
from tests.support.saml_steps import initiate, post, refused_by, sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def test_owners_see_every_check_and_no_secret(bob, idp, connection, browser, caplog):
    url = initiate(browser, **CHALLENGED)
    answer = idp.respond(url, name_id="bob@elsewhere.test", attributes={"department": "North"})
    response = post(browser, answer)

    assert refused_by(response) == "domain"
    attempt = SamlAttempt.objects.get()
    assert (attempt.provider_id, attempt.workspace_id, attempt.is_test) == (
        connection.id,
        connection.workspace_id,
        False,
    )
    assert attempt.checks[-1] == {
        "check": "domain",
        "passed": False,
        "expected": "a domain that the workspace has proven",
        "received": "elsewhere.test",
    }
    assert [check["check"] for check in attempt.checks if not check["passed"]] == ["domain"]
    assert attempt.attributes["NameID"] == ["bob@elsewhere.test"] and attempt.attributes["department"] == ["North"]
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id) == ("auth.sign_in_failed", connection.workspace_id)
    assert event.changes == {
        "provider": connection.provider_name,
        "reference": attempt.reference,
        "failed_check": "domain",
    }
    assert told(response)["state"] == CLIENT_STATE
    secrets = [answer, browser.cookies["__Host-sso"].value, CHALLENGED["code_challenge"]]  # the request is spent
    kept = json.dumps([attempt.checks, attempt.attributes, event.changes]) + caplog.text
    assert not [secret for secret in secrets if secret in kept]


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        ({"name_id": "bob@acme.test", "assertion_id": "_used"}, "bob@acme.test"),
        ({"name_id": "mallory@other.test"}, None),
        ({"name_id": "bob@acme.test", "audiences": [["https://elsewhere.test"]]}, None),
    ],
    ids=["member", "stranger", "unverified"],
)
def test_the_trail_names_a_member_whom_a_verified_assertion_names(bob, mallory, idp, connection, browser, lie, named):
    sign_in(browser, idp, assertion_id="_used")

    refused_by(sign_in(browser, idp, **lie))

    event = AuditEvent.objects.filter(action="auth.sign_in_failed").latest("sequence")
    assert (event.target_email, event.target_id) == (named, bob.user.id if named else None)


def test_nothing_is_kept_of_what_nobody_has_signed(bob, idp, connection, browser):
    said = {"name_id": "victim@acme.test", "attributes": {"salary": "9000"}, "sign": "none"}

    assert refused_by(sign_in(browser, idp, **said)) not in ("", "domain")
    assert SamlAttempt.objects.get().attributes == {}


def test_the_person_is_told_no_more_than_a_reference(bob, idp, connection, browser):
    reasons = [{"name_id": "bob@elsewhere.test"}, {"name_id": "nobody@acme.test"}, {"issuer": "https://evil.test"}]

    answers = [told(sign_in(browser, idp, {"next": "/welcome"}, **said)) for said in reasons]

    assert all(set(answer) == {"error", "reference", "state"} and answer["error"] == "sso_failed" for answer in answers)
    assert all(len(answer["reference"]) == 8 for answer in answers)


def test_a_flood_leaves_a_bounded_number_of_rows(bob, idp, connection, browser):
    refused_by(sign_in(browser, idp, name_id="nobody@acme.test"))
    events = AuditEvent.objects.count()
    for _ in range(30):
        post(browser, idp.respond("_unknown"))

    assert SamlAttempt.objects.count() == 21  # and the one that counts is still among them
    assert AuditEvent.objects.count() == events


@pytest.mark.parametrize("said", [{"sign": "none"}, {"key": "stranger"}, {"signature_method": "RSA_SHA1"}], ids=str)
def test_what_the_provider_has_not_signed_pushes_out_nothing_although_it_was_asked_for(
    bob, idp, connection, browser, said
):
    """Anybody can begin, and answer by themselves."""
    refused_by(sign_in(browser, idp, name_id="nobody@acme.test"))
    events, kept = AuditEvent.objects.count(), SamlAttempt.objects.get()

    for _ in range(22):
        assert refused_by(sign_in(browser, idp, **said)) == "signature"

    assert AuditEvent.objects.count() == events
    assert SamlAttempt.objects.count() == 21 and SamlAttempt.objects.filter(id=kept.id).exists()
    assert refused_by(sign_in(browser, idp, audiences=[["https://elsewhere.test"]])) == "audience"
    assert AuditEvent.objects.count() == events + 1


def test_old_attempts_go(bob, idp, connection, browser):
    refused_by(sign_in(browser, idp, name_id="nobody@acme.test"))
    SamlAttempt.objects.update(created_at=timezone.now() - timedelta(days=31))
    refused_by(sign_in(browser, idp, name_id="nobody@acme.test"))

    assert SamlAttempt.objects.count() == 1
