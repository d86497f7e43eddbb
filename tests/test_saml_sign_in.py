"""Signing in by a workspace's identity provider: the round trip, what breaks it off, and what its owners see then."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace, WorkspaceDomain
from accounts.tokens import RefreshToken
from sso.models import IdentityProvider, LoginCode, SamlAttempt, SamlRequest, SamlSession, SamlTest
from tests.support.cast import bearer, make_workspace
from tests.support.oauth import CHALLENGED, CLIENT_STATE, exchange, told
from tests.support.saml_idp import SamlIdp, parse_request
from tests.support.saml_steps import HOST, came_in, get_code, initiate, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

DETECT = "/api/v1/auth/saml/detect-method"
REFRESH = "/api/v1/auth/refresh"
PASSWORD_ONLY = {"method": "password", "workspace_slug": None, "idp_name": None, "required": False}
STAGED, FORMER = IdentityProvider.State.STAGED, IdentityProvider.State.FORMER


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


def test_the_question_is_ours_and_its_browser_is_bound(idp, connection, browser):
    response = browser.get("/api/v1/auth/saml/acme/initiate", CHALLENGED)

    asked = parse_request(response["Location"])
    assert response["Location"].startswith(f"{idp.sso_url}?") and "RelayState" not in asked.query
    assert asked.acs_url == "http://localhost:8000/api/v1/auth/saml/acme/acs"
    cookie = response.cookies["spatialflow_sso"]
    assert cookie["httponly"] and cookie["secure"] and cookie["samesite"] == "None"
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


def test_the_trail_says_who_came_in_and_how(bob, idp, connection, browser):
    sign_in(browser, idp)

    actions = list(
        AuditEvent.objects.filter(actor_id=bob.user.id).order_by("sequence").values_list("action", flat=True)
    )
    assert actions[-2:] == ["account.identity_linked", "auth.signed_in"]
    assert AuditEvent.objects.latest("sequence").description == "Signed in by saml."


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


# Which browser, which workspace, and once


def failed_here(response: Any) -> str:
    """Return the check that failed, of an answer that belongs to nothing that this browser began."""
    body = response.json()
    assert response.status_code == 400 and set(body) == {"detail", "error_code", "reference"}
    assert body["error_code"] == "sso_failed" and not came_in(response)
    return SamlAttempt.objects.get(reference=body["reference"]).failed_check


@pytest.mark.parametrize("begun", [{}, CHALLENGED])
def test_another_browser_cannot_bring_the_answer(bob, idp, connection, browser, begun):
    answer = idp.respond(initiate(browser, **begun))
    other = APIClient()
    initiate(other)

    assert failed_here(post(other, answer)) == "request"
    assert failed_here(post(APIClient(), answer)) == "request"
    assert failed_here(post(browser, answer)) == "request"  # what somebody else has tried is spent
    assert not signed_in_by_saml() and not LoginCode.objects.exists()


def test_an_answer_works_once(bob, idp, connection, browser):
    answer = idp.respond(initiate(browser))

    assert came_in(post(browser, answer))
    assert failed_here(post(browser, answer)) == "request"
    assert signed_in_by_saml() == ["bob@acme.test"]


def test_an_assertion_works_once_although_it_comes_for_another_request(bob, idp, connection, browser):
    first, second = initiate(browser), initiate(browser)
    assert post(browser, idp.respond(first, assertion_id="_one")).status_code == 302

    assert refused_by(post(browser, idp.respond(second, assertion_id="_one"))) == "replay"
    assert came_in(post(browser, idp.respond(initiate(browser), assertion_id="_two")))


@pytest.mark.parametrize("age", [601, 86400])
def test_a_request_expires(bob, idp, connection, browser, age):
    url = initiate(browser)
    SamlRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=age - 600))

    assert failed_here(post(browser, idp.respond(url))) == "request"


@pytest.mark.parametrize("named", ["", "_", "_unknown", "unknown", "_" + "x" * 5000])
def test_a_request_that_was_never_made_is_refused(bob, idp, connection, browser, named):
    initiate(browser)

    assert failed_here(post(browser, idp.respond(named or None))) == "request"
    assert not signed_in_by_saml()


def test_an_answer_is_taken_at_its_own_workspace_only(bob, idp, connection, browser, mallory):
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace)

    assert failed_here(post(browser, idp.respond(initiate(browser)), "other")) == "request"
    assert failed_here(post(browser, foreign.respond(initiate(browser, "other")), "acme")) == "request"
    assert came_in(post(browser, idp.respond(initiate(browser))))


@pytest.mark.parametrize("named", ["own", "acme's"])
def test_another_tenants_provider_speaks_for_nobody_here(bob, idp, connection, browser, mallory, named):
    entity_id = idp.entity_id if named == "acme's" else "https://idp.other.test/saml"
    foreign = SamlIdp(entity_id=entity_id, key="other")
    foreign.configure(mallory.workspace, creates_members=True)
    acs, audience = (f"http://localhost:8000/api/v1/auth/saml/acme/{leaf}" for leaf in ("acs", "metadata"))

    # Asked by acme, answered with the foreign key; asked by other, answered about somebody of acme.
    assert refused_by(post(browser, foreign.respond(initiate(browser), acs, audience))) in ("issuer", "signature")
    assert refused_by(post(browser, foreign.respond(initiate(browser, "other")), "other")) == "domain"
    assert not signed_in_by_saml() and not Membership.objects.filter(user=bob.user, workspace__slug="other").exists()


@pytest.mark.parametrize("slug", ["nowhere", "other", "acme%00"])
def test_an_answer_to_no_workspace_is_not_found(mallory, idp, connection, browser, slug):
    assert post(browser, idp.respond(initiate(browser)), slug).status_code == 404
    assert not SamlAttempt.objects.exists()


@pytest.mark.parametrize("answer", ["", "%%%", "AAAA", "PHg+", "é" * 10, "A" * 300_000])
def test_an_unreadable_answer_is_refused(connection, browser, answer):
    initiate(browser)

    assert failed_here(post(browser, answer)) == "request"


# What changes while a person is at the provider


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (lambda c: IdentityProvider.objects.update(is_enabled=False), "switched off"),
        (lambda c: IdentityProvider.objects.update(state=FORMER), "replaced by another connection"),
        (lambda c: IdentityProvider.objects.update(state=STAGED), "staged"),
        (lambda c: Workspace.objects.update(plan="team"), "the plan is team"),
        (lambda c: Workspace.objects.update(suspended_at=timezone.now()), "the workspace is suspended"),
    ],
    ids=["disabled", "former", "staged", "plan", "suspended"],
)
@pytest.mark.parametrize("by_code", [False, True])
def test_what_is_switched_off_in_flight_signs_nobody_in(bob, idp, connection, browser, change, received, by_code):
    if by_code:
        code = get_code(browser, idp)
        change(connection)
        assert exchange(browser, code).status_code == 401
    else:
        url = initiate(browser)
        change(connection)
        assert refused_by(post(browser, idp.respond(url))) == "connection"
        assert SamlAttempt.objects.get().checks == [
            {"check": "connection", "passed": False, "expected": "a connection in service", "received": received}
        ]
    assert not signed_in_by_saml()


def test_a_connection_that_was_deleted_in_flight_signs_nobody_in(bob, idp, connection, browser):
    url, code = initiate(browser), get_code(browser, idp)
    connection.delete()

    assert refused_by(post(browser, idp.respond(url))) == "connection"
    assert exchange(browser, code).status_code == 401


@pytest.mark.parametrize("by_code", [False, True])
def test_a_member_who_is_removed_in_flight_stays_out(bob, idp, connection, browser, by_code):
    url, code = initiate(browser), get_code(browser, idp)
    Membership.objects.filter(user=bob.user).delete()

    if by_code:
        assert exchange(browser, code).status_code == 401
    else:
        assert refused_by(post(browser, idp.respond(url))) == "membership"
    assert not signed_in_by_saml()


def test_an_account_that_is_deactivated_in_flight_stays_shut(bob, idp, connection, browser):
    url, code = initiate(browser), get_code(browser, idp)
    User.objects.filter(id=bob.user.id).update(is_active=False)

    assert exchange(browser, code).status_code == 401
    assert refused_by(post(browser, idp.respond(url))) == "account"
    assert not signed_in_by_saml()


def test_a_domain_whose_proof_is_lost_in_flight_counts_no_more(bob, idp, connection, browser):
    url = initiate(browser)
    WorkspaceDomain.objects.update(lost_at=timezone.now() - timedelta(hours=73))

    assert refused_by(post(browser, idp.respond(url))) == "domain"


def test_a_code_is_worth_nothing_once_the_session_at_the_provider_has_ended(bob, idp, connection, browser):
    code = get_code(browser, idp, session_not_on_or_after=3600)
    LoginCode.objects.update(session_ends_at=timezone.now() - timedelta(seconds=1))

    assert exchange(browser, code).status_code == 401


# What is left of a refusal


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
    secrets = [answer, browser.cookies["spatialflow_sso"].value, CHALLENGED["code_challenge"]]  # the request is spent
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


def test_a_sign_in_leaves_no_secret_in_the_log(bob, idp, connection, browser, caplog):
    caplog.set_level("DEBUG")
    url = initiate(browser)
    answer = idp.respond(url)
    in_dashboard = told(post(browser, answer))["code"]
    code = get_code(browser, idp)
    pair = exchange(browser, code).json()

    secrets = [answer, in_dashboard, code, pair["access_token"], pair["refresh_token"]]
    secrets += [parse_request(url).id, browser.cookies["spatialflow_sso"].value]
    assert "Signed in" in AuditEvent.objects.latest("sequence").description and "by saml" in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name != "django.db.backends")
    assert not [secret for secret in secrets if secret in ours]


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


# Tests of a connection


def make_ticket(provider: IdentityProvider, page: str = "/settings") -> str:
    ticket: str = SamlTest.objects.issue(provider=provider, next=page)
    return ticket


def result_of(response: Any) -> SamlAttempt:
    assert response["Location"].startswith("http://localhost:8000/settings?attempt=")
    assert "spatialflow_refresh" not in response.cookies
    return SamlAttempt.objects.get(id=told(response)["attempt"])


@pytest.mark.parametrize("change", [{"state": STAGED}, {"is_enabled": False}, {}])
def test_a_test_that_passes_is_noted_and_signs_nobody_in(bob, idp, connection, browser, change):
    IdentityProvider.objects.update(tested_at=None, **change)

    response = sign_in(browser, idp, {"test": make_ticket(connection)}, attributes={"department": "North"})

    attempt = result_of(response)
    assert (attempt.is_test, attempt.succeeded, attempt.failed_check) == (True, True, "")
    assert attempt.attributes["department"] == ["North"]
    assert {"connection", "replay", "email", "domain", "account", "membership"} <= {
        check["check"] for check in attempt.checks if check["passed"]
    }
    assert IdentityProvider.objects.get().tested_at is not None
    assert not signed_in_by_saml() and not bob.user.social_auth.exists()
    assert AuditEvent.objects.latest("sequence").action == "sso.tested"


@pytest.mark.parametrize(
    ("said", "check"),
    [({"name_id": "bob@elsewhere.test"}, "domain"), ({"name_id": "nobody@acme.test"}, "membership")],
)
def test_a_test_that_fails_says_where(bob, idp, connection, browser, said, check):
    IdentityProvider.objects.update(tested_at=None)

    attempt = result_of(sign_in(browser, idp, {"test": make_ticket(connection)}, **said))

    assert (attempt.is_test, attempt.succeeded, attempt.failed_check) == (True, False, check)
    assert IdentityProvider.objects.get().tested_at is None
    assert not User.objects.filter(email=said["name_id"]).exists()


def test_a_ticket_begins_one_test_of_its_own_connection(bob, idp, connection, browser, mallory):
    ticket = make_ticket(connection)
    SamlIdp(key="other").configure(mallory.workspace)
    assert browser.get("/api/v1/auth/saml/other/initiate", {"test": ticket}).json()["error_code"] == "invalid_test"

    ticket = make_ticket(connection)
    initiate(browser, test=ticket)

    for again in (ticket, "x", "\N{SNAKE}"):
        answer = browser.get("/api/v1/auth/saml/acme/initiate", {"test": again})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_test")


def test_a_connection_that_was_replaced_is_not_result_of(idp, connection, browser):
    ticket = make_ticket(connection)
    IdentityProvider.objects.update(state=FORMER)

    assert browser.get("/api/v1/auth/saml/acme/initiate", {"test": ticket}).status_code == 400


# Asking how somebody signs in


def detect(client: APIClient, email: Any) -> Any:
    return client.post(DETECT, {"email": email}, format="json")


@pytest.mark.parametrize("email", ["bob@acme.test", "nobody@acme.test", " BOB@ACME.TEST ", "b@ACME。test"])
def test_everybody_of_a_proven_domain_gets_one_answer(bob, connection, anyone, email):
    response = detect(anyone, email)

    expected = {"method": "saml", "workspace_slug": "acme", "idp_name": "Acme", "required": False}
    assert (response.status_code, response.json()) == (200, expected)


def test_the_answer_names_the_product_and_whether_it_is_the_only_way(connection, anyone):
    IdentityProvider.objects.update(preset="okta")
    Workspace.objects.update(requires_sso=True)

    body = detect(anyone, "nobody@acme.test").json()

    assert (body["idp_name"], body["required"]) == ("Okta", True)


@pytest.mark.parametrize(
    "email", ["bob@elsewhere.test", "bob@sub.acme.test", "bob@acme.test.evil.test", "bob@xacme.test"]
)
def test_any_other_domain_is_answered_with_the_password(bob, connection, anyone, email):
    assert detect(anyone, email).json() == PASSWORD_ONLY


@pytest.mark.parametrize(
    "change",
    [
        lambda: WorkspaceDomain.objects.update(verified_at=None),
        lambda: WorkspaceDomain.objects.update(lost_at=timezone.now() - timedelta(hours=73)),
        lambda: IdentityProvider.objects.update(is_enabled=False),
        lambda: IdentityProvider.objects.update(state=STAGED),
        lambda: Workspace.objects.update(plan="team"),
        lambda: Workspace.objects.update(suspended_at=timezone.now()),
    ],
    ids=["unproven", "lost", "disabled", "staged", "plan", "suspended"],
)
def test_and_so_is_a_domain_whose_connection_is_out_of_service(connection, anyone, change):
    change()

    assert detect(anyone, "bob@acme.test").json() == PASSWORD_ONLY


def test_the_question_costs_one_look_and_never_at_people(
    bob, connection, anyone, django_assert_num_queries, django_assert_max_num_queries
):
    for email in ("bob@acme.test", "nobody@acme.test", "nobody@elsewhere.test"):
        with django_assert_num_queries(1) as looked:
            detect(anyone, email)
        assert "accounts_user" not in looked.captured_queries[0]["sql"]


@pytest.mark.parametrize("email", ["", "x", "a@b@", None, [], "x" * 2000])
def test_what_is_no_address_is_said_so(anyone, connection, email):
    assert detect(anyone, email).status_code == 422


# Limits


def test_each_step_has_a_limit(connection, browser, anyone, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # no window ends in the middle
    answers = {
        30: lambda: detect(anyone, "bob@acme.test"),
        60: lambda: browser.get("/api/v1/auth/saml/acme/initiate"),
        300: lambda: post(browser, ""),
    }
    for limit, act in answers.items():
        counted = [act().status_code for _ in range(limit)]
        assert 429 not in counted
        refused = act()
        assert (refused.status_code, refused["RateLimit-Limit"]) == (429, str(limit))


def test_the_answer_is_a_form(connection, browser):
    response = browser.post("/api/v1/auth/saml/acme/acs", {"SAMLResponse": "x"}, format="json")

    assert response.status_code == 415
    assert browser.get("/api/v1/auth/saml/acme/acs").status_code == 405


def test_the_refresh_token_of_the_cookie_is_of_the_sign_in(bob, idp, connection, browser):
    response = exchange(browser, get_code(browser, idp))

    token = RefreshToken.read(response.cookies["spatialflow_refresh"].value)
    assert SignIn.objects.get(id=token.sid).saml_session.provider_id == connection.id
