"""An account with a second factor is asked for its code by Google and Apple too, before anything is bound or spent."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.invitations import invite
from accounts.models import AuditEvent, Invitation, Membership, RecoveryCode, SignIn, User
from sso.models import AppleRefreshToken, LoginCode, ProviderNonce, SpentToken
from tests.support.apple_provider import StandIn
from tests.support.cast import Actor, bearer
from tests.support.oauth import CLIENT_STATE, VERIFIER, begin, come_back, exchange, get_code, told
from tests.support.oidc_issuer import APPLE, GOOGLE, Issuer, apple_body, nonce_for
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

pytest_plugins = ["tests.support.oauth_fixtures", "tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db

REQUIRED = {
    "detail": "This account has a second factor: send its code, or a recovery code, as otp.",
    "error_code": "otp_required",
}
ODD = [None, "", " ", "12345", "abcdef", "١٢٣٤٥٦", "x" * 100]


@pytest.fixture(autouse=True)
def early_in_a_half_minute() -> None:
    wait_for_an_early_moment()


def bodies(anyone: APIClient, provider: Issuer, email: str) -> dict[str, dict[str, Any]]:
    """Return what an app sends to each of the two exchanges for the person of this address."""
    return {
        GOOGLE: {"id_token": provider.google_token(email=email)},
        APPLE: apple_body(provider, nonce_for(anyone), token_email=email),
    }


def made() -> list[int]:
    """Return how much there is of what a refused sign-in must neither make nor spend."""
    models = (UserSocialAuth, SpentToken, AppleRefreshToken, Membership, ProviderNonce, LoginCode)
    return [model.objects.count() for model in models] + [SignIn.objects.filter(method__in=["google", "apple"]).count()]


# --- In an app


@pytest.mark.parametrize("path", [GOOGLE, APPLE])
def test_an_app_sends_the_code_along(anyone: APIClient, provider: Issuer, alice: Actor, path: str):
    secret, _ = enrol(alice)
    body = bodies(anyone, provider, "alice@acme.test")[path]
    before = made()

    without = anyone.post(path, body, format="json")
    wrong = anyone.post(path, body | {"otp": wrong_code(secret)}, format="json")

    assert (without.status_code, without.json()) == (401, REQUIRED)
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "invalid_otp")
    assert (made(), provider.asked("/token")) == (before, 0)
    assert AuditEvent.objects.filter(action="auth.sign_in_failed", target_id=alice.user.id).count() == 1

    right = anyone.post(path, body | {"otp": code(secret)}, format="json")  # the very same token, nonce and code

    assert (right.status_code, right.json()["user"]["email"]) == (200, "alice@acme.test")
    assert UserSocialAuth.objects.get().user_id == alice.user.id


@pytest.mark.parametrize("path", [GOOGLE, APPLE])
def test_it_is_asked_at_every_sign_in_and_each_code_works_once(
    anyone: APIClient, provider: Issuer, alice: Actor, path: str
):
    secret, recovery = enrol(alice)
    now = code(secret)
    first = bodies(anyone, provider, "alice@acme.test")[path]
    assert anyone.post(path, first | {"otp": now}, format="json").status_code == 200
    second = bodies(anyone, provider, "alice@acme.test")[path]

    assert anyone.post(path, second, format="json").json() == REQUIRED
    assert anyone.post(path, second | {"otp": now}, format="json").json()["error_code"] == "invalid_otp"
    assert anyone.post(path, second | {"otp": recovery[0]}, format="json").status_code == 200
    assert RecoveryCode.objects.filter(user=alice.user).count() == len(recovery) - 1


@pytest.mark.parametrize("otp", ODD)
def test_no_code_is_no_code_however_it_is_said(anyone: APIClient, provider: Issuer, alice: Actor, otp: Any):
    enrol(alice)
    body = bodies(anyone, provider, "alice@acme.test")[GOOGLE]

    response = anyone.post(GOOGLE, body | {"otp": otp}, format="json")

    assert (response.status_code, UserSocialAuth.objects.count()) == (401, 0)


def test_an_account_without_one_is_not_asked(anyone: APIClient, provider: Issuer, alice: Actor):
    body = bodies(anyone, provider, "alice@acme.test")[GOOGLE]

    assert anyone.post(GOOGLE, body | {"otp": "123456"}, format="json").status_code == 200


def test_codes_are_limited(anyone: APIClient, provider: Issuer, alice: Actor):
    secret, _ = enrol(alice)
    body = bodies(anyone, provider, "alice@acme.test")[GOOGLE]
    tries = [anyone.post(GOOGLE, body | {"otp": wrong_code(secret)}, format="json").status_code for _ in range(21)]

    limited = anyone.post(GOOGLE, body | {"otp": code(secret)}, format="json")

    assert (tries, limited.status_code) == ([401] * 20 + [429], 429)


def test_an_invitation_waits_for_the_code(anyone: APIClient, provider: Issuer, alice: Actor, mallory: Actor):
    secret, _ = enrol(alice)
    issued = invite(mallory.request(), "alice@acme.test", "member")
    link = {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}
    body = bodies(anyone, provider, "alice@acme.test")[GOOGLE] | link

    assert anyone.post(GOOGLE, body, format="json").json() == REQUIRED
    assert (Invitation.objects.get().status, Membership.objects.filter(user=alice.user).count()) == ("pending", 1)

    assert anyone.post(GOOGLE, body | {"otp": code(secret)}, format="json").status_code == 200
    assert Invitation.objects.get().status == "accepted"


# --- In a browser


def test_where_the_code_is_traded_the_factor_is_asked_for(browser: APIClient, google: StandIn, alice: Actor):
    google.person["email"] = alice.user.email
    assert exchange(browser, get_code(browser, google)).status_code == 200  # linked
    secret, _ = enrol(alice)
    first = get_code(browser, google)

    asked = exchange(browser, first)
    second = asked.json()["code"]
    wrong = exchange(browser, second, otp=wrong_code(secret))
    third = wrong.json()["code"]

    assert (asked.status_code, asked.json()) == (401, REQUIRED | {"code": second})
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "invalid_otp")
    assert len({first, second, third}) == 3
    for spent in (first, second):
        assert exchange(browser, spent, otp=code(secret)).json()["error_code"] == "invalid_login_code"
    assert LoginCode.objects.count() == 1

    right = exchange(browser, third, otp=code(secret))

    assert (right.status_code, right.json()["user"]["email"]) == (200, "alice@acme.test")
    assert (LoginCode.objects.count(), exchange(browser, third, otp=code(secret)).status_code) == (0, 401)


def test_after_some_minutes_there_is_no_next_one(browser: APIClient, google: StandIn, alice: Actor):
    google.person["email"] = alice.user.email
    get_code(browser, google)
    enrol(alice)
    second = exchange(browser, get_code(browser, google)).json()["code"]
    LoginCode.objects.update(begun_at=timezone.now() - timedelta(minutes=5))

    answer = exchange(browser, second)

    assert (answer.status_code, answer.json()) == (401, REQUIRED)


@pytest.mark.parametrize("changed", [{"code_verifier": VERIFIER + "x"}, {"state": "another"}])
def test_the_next_code_is_for_whoever_began_as_well(browser: APIClient, google: StandIn, alice: Actor, changed):
    google.person["email"] = alice.user.email
    get_code(browser, google)
    secret, _ = enrol(alice)
    second = exchange(browser, get_code(browser, google)).json()["code"]

    refused = exchange(browser, second, otp=code(secret), **changed)

    assert (refused.status_code, "code" in refused.json()) == (400, False)
    assert exchange(browser, second, otp=code(secret)).json()["error_code"] == "invalid_login_code"


def test_trying_codes_is_limited_and_the_sign_in_can_go_on_afterwards(
    browser: APIClient, google: StandIn, alice: Actor
):
    google.person["email"] = alice.user.email
    get_code(browser, google)
    secret, _ = enrol(alice)
    login_code, answers = get_code(browser, google), []
    for _ in range(21):
        answers.append(exchange(browser, login_code, otp=wrong_code(secret)))
        login_code = answers[-1].json()["code"]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert answers[-1].json().keys() >= {"error_code", "limit", "reset_at", "code"}

    with connections["counters"].cursor() as cursor:
        cursor.execute("DELETE FROM spatialflow_counter")  # the hour is over
    right = exchange(browser, answers[-1].json()["code"], otp=code(secret))

    assert (right.status_code, LoginCode.objects.count()) == (200, 0)


def test_a_first_visit_does_not_link(browser: APIClient, google: StandIn, alice: Actor):
    google.person["email"] = alice.user.email
    enrol(alice)

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back == {"error": "second_factor_required", "state": CLIENT_STATE}
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count()) == (0, 0)
    event = AuditEvent.objects.get(action="auth.sign_in_failed")
    assert (event.target_id, event.changes["reason"]) == (alice.user.id, "second_factor_required")


def test_an_invitation_is_not_accepted_before_the_code(
    browser: APIClient, google: StandIn, alice: Actor, mallory: Actor
):
    google.person["email"] = alice.user.email
    get_code(browser, google)
    enrol(alice)
    issued = invite(mallory.request(), "alice@acme.test", "member")
    link = {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}

    back = told(come_back(browser, google.consent(begin(browser, **link))))

    assert back["error"] == "second_factor_required"
    assert (Invitation.objects.get().status, Membership.objects.filter(user=alice.user).count()) == ("pending", 1)


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_way_without_a_page_to_ask_is_closed(browser: APIClient, google: StandIn, alice: Actor, is_linked: bool):
    google.person["email"] = alice.user.email
    if is_linked:
        get_code(browser, google)
    enrol(alice)
    url = browser.get("/api/v1/auth/oauth/google/authorize").json()["authorization_url"]

    back = come_back(browser, google.consent(url))

    assert told(back) == {"error": "second_factor_required"}
    assert "spatialflow_refresh" not in back.cookies
    assert (UserSocialAuth.objects.count(), SignIn.objects.filter(method="google").count()) == (int(is_linked), 0)


# --- A workspace that demands one of everybody


def test_a_workspace_demands_it_of_people_from_google_and_apple_too(anyone: APIClient, provider: Issuer, bob: Actor):
    type(bob.workspace).objects.filter(id=bob.workspace.id).update(requires_second_factor=True)
    pairs = [
        anyone.post(path, body, format="json").json()
        for path, body in bodies(anyone, provider, "bob@acme.test").items()
    ]

    answers = [bearer(pair["access_token"]).get("/api/v1/geofences/") for pair in pairs]

    assert [(answer.status_code, answer.json()["error_code"]) for answer in answers] == [
        (403, "second_factor_required")
    ] * 2

    User.objects.filter(id=bob.user.id).update(totp_confirmed_at=bob.user.created_at)
    assert {bearer(pair["access_token"]).get("/api/v1/geofences/").status_code for pair in pairs} == {200}


@pytest.mark.parametrize("path", [GOOGLE, APPLE])
def test_what_an_app_has_used_before_spends_no_code(anyone: APIClient, provider: Issuer, alice: Actor, path: str):
    secret, recovery_codes = enrol(alice)
    body = bodies(anyone, provider, "alice@acme.test")[path]
    assert anyone.post(path, body | {"otp": code(secret)}, format="json").status_code == 200

    again = anyone.post(path, body | {"otp": recovery_codes[0]}, format="json")
    unasked = anyone.post(path, body, format="json")

    assert (again.status_code, again.json()["error_code"]) == (401, "invalid_identity_token")
    assert unasked.content == again.content
    assert RecoveryCode.objects.filter(user=alice.user).count() == len(recovery_codes)
