"""A round trip to a workspace's identity provider: where it may begin, where it ends, and what is left of it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Membership, SignIn, Workspace
from accounts.tokens import RefreshToken
from sso.models import IdentityProvider, SamlRequest, SamlSession
from tests.support.cast import bearer, make_workspace
from tests.support.oauth import CHALLENGED, CLIENT_STATE, exchange, told
from tests.support.saml_idp import parse_request
from tests.support.saml_steps import HOST, STAGED, get_code, initiate, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


# To the end of it


def test_a_browser_ends_in_the_dashboard_at_the_page_it_wanted(bob, idp, connection, browser):
    """As with a tile that leads to `initiate_url`."""
    response = sign_in(browser, idp, {"next": "/settings/sign-ins?tab=1"})

    assert response.arrived_at == "/settings/sign-ins?tab=1"
    assert browser.get(response.arrived_at, **HOST).status_code == 200
    assert "spatialflow_refresh" not in browser.cookies and response["Cache-Control"] == "no-store"
    assert SignIn.objects.get(method="saml").workspace_id == connection.workspace_id


def test_a_page_with_a_challenge_gets_a_code(bob, idp, connection, browser):
    response = sign_in(browser, idp, CHALLENGED | {"next": "/welcome"})

    said = told(response)
    assert set(said) == {"code", "state"} and said["state"] == CLIENT_STATE
    assert "spatialflow_refresh" not in response.cookies and not signed_in_by_saml()
    pair = exchange(browser, said["code"])
    assert (pair.status_code, pair.json()["created"], pair.json()["user"]["email"]) == (200, False, "bob@acme.test")
    assert signed_in_by_saml() == ["bob@acme.test"]
    assert exchange(browser, said["code"]).status_code == 401


def test_the_refresh_token_of_the_cookie_is_of_the_sign_in(bob, idp, connection, browser):
    response = exchange(browser, get_code(browser, idp))

    token = RefreshToken.read(response.cookies["spatialflow_refresh"].value)
    assert SignIn.objects.get(id=token.sid).saml_session.provider_id == connection.id


def test_the_question_is_ours_and_its_browser_is_bound(idp, connection, browser):
    response = browser.get("/api/v1/auth/saml/acme/initiate", CHALLENGED)

    asked = parse_request(response["Location"])
    assert response["Location"].startswith(f"{idp.sso_url}?") and "RelayState" not in asked.query
    assert asked.acs_url == "http://localhost:8000/api/v1/auth/saml/acme/acs"
    cookie = response.cookies["__Host-sso"]
    assert cookie["httponly"] and cookie["secure"] and cookie["samesite"] == "None"
    assert (cookie["path"], cookie["domain"]) == ("/", "")  # as __Host- demands
    assert cookie.value not in response["Location"]
    assert bytes(SamlRequest.objects.get().digest).hex() not in response["Location"]


def test_what_single_logout_needs_is_kept(bob, idp, connection, browser):
    sign_in(browser, idp, session_index="_session-1")
    exchange(browser, get_code(browser, idp, session_index="_session-2"))

    sessions = SamlSession.objects.order_by("session_index").values_list("session_index", "name_id", "provider_id")
    assert list(sessions) == [(f"_session-{n}", "bob@acme.test", connection.id) for n in (1, 2)]


@pytest.mark.parametrize("by_code", [False, True])
def test_a_sign_in_ends_with_the_session_at_the_provider(bob, idp, connection, browser, by_code):
    if by_code:
        exchange(browser, get_code(browser, idp, session_not_on_or_after=3600))
    else:
        sign_in(browser, idp, session_not_on_or_after=3600)

    left = SignIn.objects.get(method="saml").expires_at - timezone.now()
    assert timedelta(minutes=55) < left <= timedelta(minutes=65)


def test_without_such_an_end_it_lasts_as_any_other(bob, idp, connection, browser):
    exchange(browser, get_code(browser, idp))

    assert SignIn.objects.get(method="saml").expires_at - timezone.now() > timedelta(days=29)


def test_such_a_sign_in_enters_no_other_workspace(bob, idp, connection, browser):
    second = make_workspace("second")
    Membership.objects.create(user=bob.user, workspace=second, role="owner")
    pair = exchange(browser, get_code(browser, idp)).json()

    answer = bearer(pair["access_token"]).post(
        "/api/v1/workspaces/select", {"workspace_id": str(second.id)}, format="json"
    )

    assert answer.status_code == 403
    assert SignIn.objects.get(method="saml").workspace.slug == "acme"


def test_entra_signs_in_as_its_preset_says(alice, bob, idp, connection, browser):
    preset = next(
        preset
        for preset in alice.client.get("/api/v1/workspaces/saml-config/presets").json()["presets"]
        if preset["name"] == "entra"
    )
    alice.client.patch("/api/v1/workspaces/saml-config", {"preset": "entra"}, format="json")
    claims = {preset["attribute_mapping"]["email"]: "bob@acme.test"}
    assert "user.mail" in preset["name_id"]

    assert "error" not in told(sign_in(browser, idp, name_id="bob@acme.test", attributes=claims))
    assert refused_by(sign_in(browser, idp, name_id="bob@acme.onmicrosoft.test", attributes=claims)) == "name_id_email"


def test_a_lasting_name_beside_the_address_signs_in_too(alice, bob, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    persistent = {"name_id": "5f1c-object", "name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"}

    assert "error" not in told(sign_in(browser, idp, **persistent, attributes={"mail": "bob@acme.test"}))
    assert refused_by(sign_in(browser, idp, **persistent, attributes={"mail": "bob@elsewhere.test"})) == "domain"


def test_the_trail_says_who_came_in_and_how(bob, idp, connection, browser):
    sign_in(browser, idp)

    actions = list(
        AuditEvent.objects.filter(actor_id=bob.user.id).order_by("sequence").values_list("action", flat=True)
    )
    assert actions[-2:] == ["account.identity_linked", "auth.signed_in"]
    assert AuditEvent.objects.latest("sequence").description == "Signed in by saml."


def test_a_sign_in_leaves_no_secret_in_the_log(bob, idp, connection, browser, caplog):
    caplog.set_level("DEBUG")
    url = initiate(browser)
    answer = idp.respond(url)
    in_dashboard = told(post(browser, answer))["code"]
    code = get_code(browser, idp)
    pair = exchange(browser, code).json()

    secrets = [answer, in_dashboard, code, pair["access_token"], pair["refresh_token"]]
    secrets += [parse_request(url).id, browser.cookies["__Host-sso"].value]
    assert "Signed in" in AuditEvent.objects.latest("sequence").description and "by saml" in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name != "django.db.backends")
    assert not [secret for secret in secrets if secret in ours]


# Where it may begin and end


@pytest.mark.parametrize("slug", ["nowhere", "other", "ACME", "a" * 300, "acme%00", "%F0%9F%90%8D"])
def test_a_workspace_without_a_provider_is_as_good_as_none(connection, mallory, browser, slug):
    response = browser.get(f"/api/v1/auth/saml/{slug}/initiate")

    assert (response.status_code, response.json()["error_code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("rows", "change", "expected"),
    [
        ("provider", {"is_enabled": False}, (404, "not_found")),
        ("provider", {"state": STAGED}, (404, "not_found")),
        ("workspace", {"suspended_at": timezone.now()}, (404, "not_found")),
        ("workspace", {"plan": "pro"}, (403, "plan_required")),
    ],
)
def test_nothing_begins_at_a_connection_out_of_service(connection, browser, rows, change, expected):
    model = IdentityProvider if rows == "provider" else Workspace
    model.objects.update(**change)

    response = browser.get("/api/v1/auth/saml/acme/initiate")

    assert (response.status_code, response.json()["error_code"]) == expected
    assert not SamlRequest.objects.exists()


@pytest.mark.parametrize(
    "place", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "spatialflow://x", "/a#b"]
)
def test_no_other_site_is_a_destination(connection, browser, place):
    response = browser.get("/api/v1/auth/saml/acme/initiate", {"next": place})

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_next")


def test_a_destination_fits_what_keeps_it(alice, connection, browser):
    longest = "/" + "a" * (500 - len("http://localhost:8000/"))
    test = "/api/v1/workspaces/saml-config/test"

    for place, status in ((longest, 302), (longest + "a", 400), ("/" + "a" * 9000, 400)):  # the dashboard's are shorter
        assert browser.get("/api/v1/auth/saml/acme/initiate", {"next": place}).status_code == status
        assert alice.client.post(test, {"next": place}, format="json").status_code == (200 if status == 302 else 400)


@pytest.mark.parametrize("query", [{"code_challenge": "x" * 43}, {"state": "s"}, CHALLENGED | {"code_challenge": "x"}])
def test_a_challenge_and_a_state_go_together(connection, browser, query):
    response = browser.get("/api/v1/auth/saml/acme/initiate", query)

    assert (response.status_code, response.json()["error_code"]) == (400, "invalid_code_challenge")


def test_what_the_provider_sends_as_relay_state_leads_nowhere(bob, idp, connection, browser):
    url = initiate(browser, **CHALLENGED, next="/welcome")

    response = post(browser, idp.respond(url), RelayState="https://evil.test/")

    assert response["Location"].startswith("http://localhost:8000/welcome?code=")
