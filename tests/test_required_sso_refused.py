"""Required single sign-on: every other way in is refused for the domain's people, whoever has an account."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailed_tokens
from accounts.invitations import invite
from accounts.models import Invitation, MailedToken, Membership, OutgoingMail, SignIn, User, Workspace
from tests.support.apple_provider import DANA
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.oauth import begin, come_back, exchange, get_code, told
from tests.support.oidc_issuer import APPLE, GOOGLE, Issuer, apple_body, nonce_for
from tests.support.required_sso import LOGIN, client_by, demand, person, post, refusal, sign_in_by

pytest_plugins = ["tests.support.oidc_fixtures", "tests.support.oauth_fixtures", "tests.support.required_sso_fixtures"]
pytestmark = pytest.mark.django_db

FORGOT = "/api/v1/auth/forgot-password"
CONFIRM = "/api/v1/auth/password-reset/confirm"
SIGNUP = "/api/v1/public/signup"
ACCEPT = "/api/v1/auth/accept-invite"
NEW_PASSWORD = "a quiet harbour at dawn"
NOT_MOVED = (
    "Your organisation requires single sign-on for this address, so accounts are not moved to or from it. Ask an "
    "owner of the workspace."
)


# --- Passwords


@pytest.mark.parametrize("spelling", ["alice@acme.test", "  ALICE@Acme.Test ", "alice\uff20acme.test"])
def test_a_password_is_refused_and_the_way_to_go_is_named(anyone, alice: Actor, acme, spelling):
    assert post(anyone, LOGIN, email=spelling, password=PASSWORD)[0] == 200

    demand(acme)

    assert post(anyone, LOGIN, email=spelling, password=PASSWORD) == (403, refusal())


def test_other_addresses_sign_in_as_before(anyone, mallory, guest, acme):
    demand(acme)

    for email in ("mallory@other.test", "guest@elsewhere.test"):
        assert post(anyone, LOGIN, email=email, password=PASSWORD)[0] == 200


def test_the_refusal_tells_nothing_of_accounts(anyone, alice, acme, django_assert_num_queries):
    """It costs one query and no hash, whoever has the address; the rest is the same to the byte."""
    demand(acme)
    User.objects.create_user("inactive@acme.test", PASSWORD, is_active=False)
    User.objects.create_user("passwordless@acme.test", None)
    answers = []

    for name in ("alice", "nobody", "inactive", "passwordless"):
        for password in (PASSWORD, "a wrong one"):
            with django_assert_num_queries(1):
                body = {"email": f"{name}@acme.test", "password": password}
                answers.append(anyone.post(LOGIN, body, format="json"))

    kept = [
        {k: v for k, v in answer.headers.items() if not k.startswith(("RateLimit", "X-Request-ID"))}
        for answer in answers
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}
    assert all(headers == kept[0] for headers in kept)
    assert answers[0].json() == refusal()


@pytest.mark.parametrize(
    ("workspace", "domain", "refused"),
    [
        ({}, {}, True),
        ({"plan": "enterprise"}, {}, True),
        ({}, {"lost_at": timezone.now() - timedelta(hours=71)}, True),
        ({"requires_sso": False}, {}, False),
        ({"suspended_at": timezone.now()}, {}, False),
        ({"plan": "team"}, {}, False),
        ({}, {"verified_at": None}, False),
        ({}, {"lost_at": timezone.now() - timedelta(hours=73)}, False),
        ({}, {"domain": "mail.acme.test"}, False),
        ({}, {"domain": "test"}, False),
    ],
)
def test_the_demand_holds_for_exactly_the_proven_domains_of_a_workspace_that_may_make_it(
    anyone, acme, workspace, domain, refused
):
    person("dave@acme.test")
    demand(acme, **domain)
    Workspace.objects.filter(id=acme.id).update(**workspace)

    status, body = post(anyone, LOGIN, email="dave@acme.test", password=PASSWORD)

    assert (status, body.get("error_code")) == ((403, "sso_required") if refused else (200, None))


@pytest.mark.parametrize("path", [FORGOT, "/api/v1/auth/password-reset"])
def test_no_reset_is_mailed_whoever_has_the_address(anyone, alice, acme, path):
    demand(acme)

    for email in ("alice@acme.test", "nobody@acme.test"):
        assert post(anyone, path, email=email) == (403, refusal())
    assert post(anyone, path, email="someone@elsewhere.test")[0] == 200
    assert OutgoingMail.objects.count() == 1


def test_a_reset_that_was_mailed_before_waits_unspent(anyone, alice, acme):
    token = mailed_tokens.make(alice.user, MailedToken.Purpose.RESET_PASSWORD, alice.user.email)
    before = alice.user.password
    demand(acme)

    refused = post(anyone, CONFIRM, token=token, password=NEW_PASSWORD)

    alice.user.refresh_from_db()
    assert (refused, alice.user.password) == ((403, refusal()), before)
    Workspace.objects.update(requires_sso=False)
    assert post(anyone, CONFIRM, token=token, password=NEW_PASSWORD)[0] == 200


def test_nobody_signs_up_with_an_address_of_the_domain(anyone, alice, acme):
    demand(acme)

    for email in ("new@acme.test", "alice@acme.test"):
        assert post(anyone, SIGNUP, email=email, password=NEW_PASSWORD) == (403, refusal())
    assert post(anyone, SIGNUP, email="new@elsewhere.test", password=NEW_PASSWORD)[0] == 201
    assert not User.objects.filter(email="new@acme.test").exists()


# --- Moving an account


@pytest.mark.parametrize("domain", ["acme.test", "elsewhere.test"])
def test_no_account_is_moved_into_the_domain_nor_out_of_it(alice, acme, mallory, domain):
    """Asked for by someone whose own sign-in is as it should be."""
    body = {"current_password": PASSWORD, "new_email": f"moved@{domain}"}
    for_free = {"current_password": PASSWORD, "new_email": "moved@free.test"}
    demand(acme)
    demand(mallory.workspace, "elsewhere.test")
    of_acme = client_by(alice)

    assert post(of_acme, "/api/v1/auth/change-email", **for_free) == (403, refusal(detail=NOT_MOVED))
    assert post(mallory.client, "/api/v1/auth/change-email", **for_free)[0] == 200
    status, answer = post(mallory.client, "/api/v1/auth/change-email", **body)
    assert (status, answer["detail"]) == (403, NOT_MOVED)


def test_a_link_that_moves_an_account_waits_unspent(anyone, mallory, acme):
    token = mailed_tokens.make(mallory.user, MailedToken.Purpose.CHANGE_EMAIL, "mallory@acme.test")
    demand(acme)
    path = "/api/v1/auth/change-email/confirm"

    assert post(anyone, path, token=token) == (403, refusal(detail=NOT_MOVED))
    Workspace.objects.update(requires_sso=False)
    assert post(anyone, path, token=token)[0] == 200


# --- Invitations


def link_to(inviter: Actor, email: str, role: str = "member") -> dict[str, str]:
    issued = invite(inviter.request(), email, role)
    return {"invite_id": str(issued.invitation.id), "token": issued.link.rpartition("token=")[2]}


@pytest.mark.parametrize("path", [ACCEPT, f"{ACCEPT}/passwordless"])
@pytest.mark.parametrize("email", ["new@acme.test", "bob@acme.test"])
def test_an_invitation_does_not_let_in_past_it(anyone, bob, mallory, acme, path, email):
    link = link_to(mallory, email)
    demand(acme)

    refused = post(anyone, path, **link, password=PASSWORD)

    assert refused == (403, refusal())
    assert Invitation.objects.get().used_at is None
    assert not User.objects.filter(email="new@acme.test").exists()
    elsewhere = post(anyone, path, **link_to(mallory, "new@elsewhere.test"), password=PASSWORD)
    assert elsewhere[0] == 200


@pytest.mark.parametrize("path", [ACCEPT, f"{ACCEPT}/passwordless"])
def test_a_sign_in_by_the_provider_accepts_for_its_workspace_alone(alice, bob, mallory, path):
    Membership.objects.filter(user=bob.user).delete()  # invited before he belonged to it
    here, elsewhere = link_to(alice, "bob@acme.test"), link_to(mallory, "bob@acme.test")
    bob.membership.save(force_insert=True)
    ends_by = timezone.now() + timedelta(minutes=20)
    client = bearer(sign_in_by(bob, ends_by=ends_by).access_token)

    refused = post(client, path, **elsewhere)
    accepted = post(client, path, **here)

    assert (refused[0], refused[1]["error_code"]) == (403, "sign_in_bound_to_workspace")
    assert not Membership.objects.filter(user=bob.user, workspace=mallory.workspace).exists()
    assert accepted[0] == 200
    begun = SignIn.objects.filter(user=bob.user).latest("created_at")
    assert (begun.method, begun.workspace_id, begun.expires_at) == ("saml", bob.workspace.id, ends_by)


# --- Google and Apple


def test_google_and_apple_are_refused_in_apps(anyone: APIClient, provider: Issuer, acme):
    body = {"id_token": provider.google_token()}
    demand(acme, "example.com")

    assert post(anyone, GOOGLE, **body) == (403, refusal())
    assert post(anyone, APPLE, **apple_body(provider, nonce_for(anyone))) == (403, refusal())
    assert not User.objects.exists()
    Workspace.objects.update(requires_sso=False)
    assert post(anyone, GOOGLE, **body)[0] == 200  # nothing of it was spent


def test_an_account_that_google_is_linked_to_counts_by_its_own_address(anyone: APIClient, provider: Issuer, acme):
    assert post(anyone, GOOGLE, id_token=provider.google_token())[0] == 200
    demand(acme)
    User.objects.update(email="grace@acme.test")

    assert post(anyone, GOOGLE, id_token=provider.google_token(jti="2")) == (403, refusal())


def test_a_browser_is_told_the_same(browser, google, acme):
    demand(acme, DANA["email"].rpartition("@")[2])

    assert told(come_back(browser, google.consent(begin(browser))))["error"] == "sso_required"


def test_a_login_code_of_before_signs_nobody_in(browser, google, acme):
    code = get_code(browser, google)
    domain = User.objects.get().email.rpartition("@")[2]
    demand(acme, domain)

    refused = exchange(browser, code)

    assert (refused.status_code, refused.json()) == (403, refusal())
    assert not SignIn.objects.exists()
