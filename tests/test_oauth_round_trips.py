"""Signing in by Google or Apple as a browser goes: out, back, and the trade of the code at the end."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.conf import settings as configured
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import Invitation, Membership, User
from sso.login_codes import challenge_of
from sso.models import AppleRefreshToken, LoginCode, OAuthState
from tests.support.apple_provider import APPLE_CLIENT, DANA, GOOGLE_CLIENT, StandIn
from tests.support.cast import Actor
from tests.support.oauth import CLIENT_STATE, VERIFIER, begin, come_back, exchange, get_code, told

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db

NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}


def test_the_providers_are_those_that_are_set_up(anyone: APIClient, google: StandIn):
    response = anyone.get("/api/v1/auth/oauth/providers")

    only = {"name": "google", "display_name": "Google", "authorize_path": "/api/v1/auth/oauth/google/authorize"}
    assert (response.status_code, response.json()) == (200, {"providers": [only]})


def test_without_settings_there_are_none_and_what_is_missing_is_named(anyone: APIClient):
    authorize = anyone.get("/api/v1/auth/oauth/apple/authorize")

    assert anyone.get("/api/v1/auth/oauth/providers").json() == {"providers": []}
    assert (authorize.status_code, authorize.json()["error_code"]) == (503, "provider_not_configured")
    assert "APPLE_CLIENT_IDS and APPLE_TEAM_ID and APPLE_KEY_ID and APPLE_PRIVATE_KEY" in authorize.json()["detail"]


@pytest.mark.parametrize("name", ["github", "Google", "google-openidconnect", "saml"])
def test_an_unknown_provider_is_not_found(anyone: APIClient, google: StandIn, name):
    for step in ("authorize", "callback"):
        response = anyone.get(f"/api/v1/auth/oauth/{name}/{step}")
        assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_the_way_out_carries_state_nonce_and_a_challenge_and_binds_the_browser(browser: APIClient, google: StandIn):
    url = begin(browser, next="/welcome")

    asked = dict(parse_qsl(urlsplit(url).query))
    row = OAuthState.objects.get()
    cookie = browser.cookies["__Host-sso"]
    assert url.startswith(f"{google.issuer}/authorize?")
    assert {name: asked[name] for name in ("client_id", "redirect_uri", "response_type", "scope")} == {
        "client_id": GOOGLE_CLIENT,
        "redirect_uri": f"{configured.PUBLIC_URL}/api/v1/auth/oauth/google/callback",
        "response_type": "code",
        "scope": "openid email profile",
    }
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert len(asked["state"]) == len(asked["nonce"]) == 43
    assert asked["code_challenge"] != challenge_of(VERIFIER)  # that one is the page's
    assert not {asked["state"], asked["nonce"], cookie.value} & set(map(str, row.__dict__.values()))
    assert (row.provider, row.intent, row.next) == ("google", "client", f"{configured.PUBLIC_URL}/welcome")
    assert (cookie["samesite"], cookie["secure"], cookie["httponly"]) == ("None", True, True)
    assert (cookie["path"], cookie["max-age"]) == ("/", 600)  # the dashboard begins round trips with it, too


def test_two_tabs_of_one_browser_do_not_disturb_each_other(browser: APIClient, google: StandIn):
    first, second = begin(browser), begin(browser)

    for url in (second, first):
        assert told(come_back(browser, google.consent(url))).keys() == {"code", "state"}


def test_apple_is_asked_for_name_and_address_by_form_post(browser: APIClient, apple: StandIn):
    asked = dict(parse_qsl(urlsplit(begin(browser, "apple")).query))

    assert (asked["client_id"], asked["response_mode"], asked["scope"]) == (APPLE_CLIENT, "form_post", "name email")
    assert asked["nonce"] and asked["code_challenge_method"] == "S256"


def test_a_first_visit_by_google_makes_an_account_and_a_second_finds_it(browser: APIClient, google: StandIn):
    google.claims = {"name": "Dana Doe"}
    back = come_back(browser, google.consent(begin(browser, next="/welcome?tab=1")))

    code = told(back).pop("code")
    address = f"{configured.PUBLIC_URL}/welcome?tab=1&code={code}&state={CLIENT_STATE}"
    assert (back["Location"], back.content, back["Cache-Control"]) == (address, b"", "no-store")

    response = exchange(APIClient(), code)

    body = response.json()
    user = User.objects.get()
    assert response.status_code == 200
    assert body.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "user", "created"}
    assert (body["created"], body["token_type"], body["expires_in"]) == (True, "Bearer", 14400)
    assert {name: body["user"][name] for name in ("id", "email", "name", "email_verified", "role")} == {
        "id": str(user.id),
        "email": DANA["email"],
        "name": "Dana Doe",
        "email_verified": True,
        "role": "owner",
    }
    assert response.cookies["spatialflow_refresh"].value == body["refresh_token"]
    assert (OAuthState.objects.count(), LoginCode.objects.count()) == (0, 0)
    bound = UserSocialAuth.objects.get()
    assert (bound.provider, bound.uid, bound.user_id, bound.extra_data) == ("google", DANA["sub"], user.id, {})
    assert user.sign_ins.get().method == "google"
    me = APIClient(headers={"Authorization": f"Bearer {body['access_token']}"}).get("/api/v1/auth/me")
    assert me.json() == body["user"]

    google.person["email"] = "moved@person.test"
    again = exchange(APIClient(), get_code(browser, google)).json()
    assert (again["created"], again["user"]) == (False, body["user"])


def test_apples_name_comes_once_by_the_form_and_no_later_blank_replaces_it(browser: APIClient, apple: StandIn):
    first = exchange(browser, get_code(browser, apple, "apple"))
    del apple.person["email"]  # Apple names no address later
    second = exchange(browser, get_code(browser, apple, "apple"))

    assert [(r.status_code, r.json()["created"], r.json()["user"]["name"]) for r in (first, second)] == [
        (200, True, "Dana Doe"),
        (200, False, "Dana Doe"),
    ]
    assert User.objects.get().sign_ins.values_list("method", flat=True)[0] == "apple"


def test_apples_refresh_token_is_kept_encrypted_and_googles_is_not(browser: APIClient, apple: StandIn, google: StandIn):
    google.person["sub"], google.person["email"] = "google-1", "other@person.test"
    get_code(browser, google)
    assert AppleRefreshToken.objects.count() == 0

    get_code(browser, apple, "apple")

    kept = AppleRefreshToken.objects.get()
    assert (kept.user.email, kept.client_id) == (DANA["email"], APPLE_CLIENT)
    assert "provider-refresh-token" not in kept.token
    assert [bound.extra_data for bound in UserSocialAuth.objects.all()] == [{}, {}]


def test_a_private_relay_address_is_an_address_like_any_other(browser: APIClient, apple: StandIn):
    apple.person |= {"email": "x7fq@privaterelay.appleid.com", "email_verified": "true", "is_private_email": "true"}

    body = exchange(browser, get_code(browser, apple, "apple")).json()

    assert (body["created"], body["user"]["email"]) == (True, "x7fq@privaterelay.appleid.com")


def test_a_page_of_another_configured_origin_is_sent_back_to(browser: APIClient, google: StandIn, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    url = begin(browser, next="https://app.example.com/signed-in")

    back = come_back(browser, google.consent(url))

    assert back["Location"].startswith("https://app.example.com/signed-in?code=")


def test_only_a_configured_origin_may_read_the_way_out_with_its_cookie(browser: APIClient, google: StandIn, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    path = "/api/v1/auth/oauth/google/authorize"

    ours = browser.get(path, HTTP_ORIGIN="https://app.example.com")
    evil = browser.get(path, HTTP_ORIGIN="https://evil.example.com")

    assert (ours["Access-Control-Allow-Origin"], ours["Access-Control-Allow-Credentials"]) == (
        "https://app.example.com",
        "true",
    )
    assert "Access-Control-Allow-Origin" not in evil


@pytest.mark.parametrize(
    "destination",
    [
        "//evil.example.com",
        "///evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/a//b",
        "/\t/evil.example.com",
        "/a\nb",
        "/a b",
        "/é",
        "/a#fragment",
        "a",
        "?a=b",
        " /a",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:evil.example.com",
        "https://evil.example.com",
        "https://evil.example.com/http://localhost:8000/",
        "http://localhost:8000@evil.example.com/",
        "http://localhost:8000.evil.example.com/",
        "http://localhost:8000\\@evil.example.com/",
        "http://user@localhost:8000/",
        "HTTP://localhost:8000/",
        "https://localhost:8000/",
        "http://localhost:8001/",
        "http://localhost:8000?a=b",
        "http://localhost:8000//evil.example.com",
        "spatialflow://callback",
        "/" + "a" * 500,
    ],
)
def test_no_other_site_can_be_where_it_ends(browser: APIClient, google: StandIn, settings, destination):
    settings.PUBLIC_URL = "http://localhost:8000"
    path = "/api/v1/auth/oauth/google/authorize"
    assert browser.get(path, {"next": "/a/b?c=d%2F&e=/f"}).status_code == 200

    response = browser.get(path, {"next": destination})

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_next")
    assert OAuthState.objects.count() == 1


def test_a_destination_cannot_bring_a_code_of_its_own(browser: APIClient, google: StandIn):
    url = begin(browser, next="/welcome?code=planted&state=planted&error=planted&x=1")

    back = come_back(browser, google.consent(url))

    assert "planted" not in back["Location"] and "x=1&code=" in back["Location"]


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "=" * 43},
        {"code_challenge": ""},
        {"state": ""},
        {"state": "é"},
        {"state": "x" * 501},
    ],
)
def test_a_challenge_is_by_s256_and_comes_with_a_state(browser: APIClient, google: StandIn, changed):
    good = {"code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", "state": CLIENT_STATE}
    path = "/api/v1/auth/oauth/google/authorize"
    assert browser.get(path, good).status_code == 200

    response = browser.get(path, good | changed)

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_code_challenge")


def begin_plainly(browser: APIClient, name: str = "google", **query: str) -> str:
    """Begin without a challenge, as the official SDK does."""
    url: str = browser.get(f"/api/v1/auth/oauth/{name}/authorize", query).json()["authorization_url"]
    return url


@pytest.mark.parametrize("name", ["google", "apple"])
def test_without_a_challenge_it_ends_in_the_refresh_cookie(
    browser: APIClient, google: StandIn, apple: StandIn, name: str
):
    provider = {"google": google, "apple": apple}[name]

    back = come_back(browser, provider.consent(begin_plainly(browser, name, next="/welcome?a=b")), name)

    assert (back.status_code, back["Location"]) == (302, f"{configured.PUBLIC_URL}/welcome?a=b")
    cookie = back.cookies["spatialflow_refresh"]
    assert (cookie["samesite"], cookie["secure"], cookie["httponly"]) == ("Strict", True, True)
    assert (cookie["path"], back["Cache-Control"]) == ("/api/v1/auth/", "no-store")
    refreshed = browser.post("/api/v1/auth/refresh")
    assert (refreshed.status_code, refreshed.json()["user"]["email"]) == (200, DANA["email"])
    assert (LoginCode.objects.count(), OAuthState.objects.count()) == (0, 0)
    assert AppleRefreshToken.objects.count() == (1 if name == "apple" else 0)
    assert User.objects.get().sign_ins.values_list("method", flat=True).get() == name


def test_only_the_browser_that_began_gets_the_cookie(browser: APIClient, google: StandIn):
    url = begin_plainly(browser)
    victim = APIClient()
    begin_plainly(victim)

    refused = come_back(victim, google.consent(url))

    assert (refused.status_code, refused.json()["error_code"]) == (400, "invalid_state")
    assert "spatialflow_refresh" not in refused.cookies
    assert come_back(browser, google.consent(begin_plainly(browser))).cookies["spatialflow_refresh"]


def test_who_is_refused_gets_no_cookie(browser: APIClient, google: StandIn):
    google.person["email_verified"] = False

    back = come_back(browser, google.consent(begin_plainly(browser, next="/welcome")))

    assert back["Location"] == f"{configured.PUBLIC_URL}/welcome?error=email_not_verified_at_provider"
    assert "spatialflow_refresh" not in back.cookies


@pytest.mark.parametrize("prefix", ["", "https://app.example.com"])
def test_the_whole_address_of_the_end_has_a_length(browser: APIClient, google: StandIn, settings, prefix: str):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    room = 500 - len(prefix or configured.PUBLIC_URL)
    path = "/api/v1/auth/oauth/google/authorize"

    longest = browser.get(path, {"next": prefix + "/" + "a" * (room - 1)})
    longer = browser.get(path, {"next": prefix + "/" + "a" * room})

    assert (longest.status_code, longer.status_code, longer.json()["error_code"]) == (200, 400, "invalid_next")


def invite(alice: Actor, email: str) -> dict[str, str]:
    """Return the link's parts of an invitation to acme."""
    response = alice.client.post("/api/v1/workspaces/invitations", {"email": email, "role": "member"}, format="json")
    link = response.json()["invite_link"] if "invite_link" in response.json() else response.json()["invitation_url"]
    parts = dict(parse_qsl(urlsplit(link).query))
    return {"invite_id": parts["invite_id"], "invite_token": parts["token"]}


def test_who_is_invited_enters_that_workspace(browser: APIClient, google: StandIn, alice: Actor):
    code = get_code(browser, google, **invite(alice, DANA["email"]))

    body = exchange(browser, code).json()

    membership = Membership.objects.get(user__email=DANA["email"])
    assert (membership.workspace_id, membership.role) == (alice.workspace.id, "member")
    assert (body["user"]["workspace_slug"], body["user"]["role"]) == ("acme", "member")
    assert Invitation.objects.get().status == "accepted"


def test_an_invitation_of_somebody_else_changes_nothing(browser: APIClient, google: StandIn, alice: Actor):
    url = begin(browser, **invite(alice, "somebody.else@person.test"))

    back = come_back(browser, google.consent(url))

    page = f"{configured.PUBLIC_URL}/accept-invite?invite_id={Invitation.objects.get().id}"
    assert back["Location"] == f"{page}&error=INVITE_EMAIL_MISMATCH&state={CLIENT_STATE}"
    assert Invitation.objects.get().status == "pending"
    assert (User.objects.filter(email=DANA["email"]).count(), UserSocialAuth.objects.count()) == (0, 0)


def test_an_invitation_into_a_workspace_suspended_meanwhile(browser: APIClient, google: StandIn, alice: Actor):
    url = begin(browser, **invite(alice, DANA["email"]))
    alice.workspace.suspended_at = timezone.now()
    alice.workspace.save()

    back = told(come_back(browser, google.consent(url)))

    assert back["error"] == "not_found"
    assert (Invitation.objects.get().status, User.objects.count(), UserSocialAuth.objects.count()) == ("pending", 1, 0)


def test_an_invitation_is_validated_before_anybody_leaves(browser: APIClient, google: StandIn, alice: Actor):
    right = invite(alice, DANA["email"])
    path = "/api/v1/auth/oauth/google/authorize"

    def answer(**changed: str) -> tuple[int, Any]:
        response = browser.get(path, right | changed)
        return response.status_code, response.json().get("error_code")

    assert answer() == (200, None)
    assert answer(invite_token="wrong") == (404, "not_found")
    assert answer(invite_id="nonsense") == (404, "not_found")
    assert answer(invite_id="00000000-0000-4000-8000-000000000000") == (404, "not_found")
    assert answer(invite_token="") == (200, None)  # either missing: an ordinary sign-in
    Invitation.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert answer() == (400, "invitation_revoked")
