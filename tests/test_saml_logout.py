"""Single logout with an identity provider of our own: what it says ends the sign-ins that it began, and whoever signs
out here is sent there to do the same.
"""

import re
from typing import Any
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, SignIn
from accounts.tokens import RefreshToken
from sso.models import IdentityProvider, LoginCode, SamlAttempt, SamlLogout
from sso.saml.keys import get_key_pair
from tests.support.cast import bearer
from tests.support.oauth import exchange, told
from tests.support.saml_idp import NS, SamlIdp, certificate, parse_request
from tests.support.saml_logout import (
    DSIG_MORE,
    SLO,
    bring,
    logout_request,
    logout_response,
    parse_response,
    status_of,
)
from tests.support.saml_logout_fixtures import offering_logout  # noqa: F401
from tests.support.saml_setup import SLO_URL
from tests.support.saml_steps import get_code, initiate, post

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

LEAVE = "/api/v1/auth/saml/logout"
ENTITY = "http://localhost:8000/api/v1/auth/saml/acme/metadata"
OURS = "http://localhost:8000/api/v1/auth/saml/acme/slo"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
FRONT = "http://localhost:8000/"


def arrive(browser: APIClient, idp: SamlIdp, **said: Any) -> Any:
    """Sign in by the provider as an app does, and return the answer with the tokens."""
    return exchange(browser, get_code(browser, idp, **said))


def enter(idp: SamlIdp, browser: APIClient | None = None, **said: Any) -> SignIn:
    """Sign Bob (or whom `said` names) in by the provider, and return the sign-in."""
    response = arrive(browser or APIClient(), idp, **said)
    return SignIn.objects.get(id=RefreshToken.read(response.cookies["spatialflow_refresh"].value).sid)


def client_of(response: Any) -> APIClient:
    """Return a client with the access token of a finished sign-in."""
    body = {"refresh_token": response.cookies["spatialflow_refresh"].value}
    pair = APIClient().post("/api/v1/auth/refresh", body, format="json").json()
    return bearer(pair["access_token"])


def alive(*sign_ins: SignIn) -> list[bool]:
    live = set(SignIn.objects.live().values_list("id", flat=True))
    return [one.id in live for one in sign_ins]


# --- Begun by the provider


def test_a_request_of_the_provider_ends_the_sign_in_and_is_answered(bob, idp, connection, browser):
    arrived = arrive(browser, idp)
    client = client_of(arrived)
    before = client.get("/api/v1/auth/me").status_code
    query = logout_request(idp, id="_of-the-provider", relay_state="of the provider, & nothing else")

    response = bring(query)

    answer = parse_response(response["Location"])
    assert (response.status_code, response["Location"].partition("?")[0]) == (302, SLO_URL)
    assert answer.is_signed_by(get_key_pair(connection.workspace).certificate)
    assert answer.query["RelayState"] == "of the provider, & nothing else"
    assert (answer.issuer, answer.destination, status_of(answer.tree)) == (ENTITY, SLO_URL, SUCCESS)
    assert answer.tree.get("InResponseTo") == "_of-the-provider"
    assert (before, client.get("/api/v1/auth/me").status_code) == (200, 401)
    assert browser.post("/api/v1/auth/refresh", {}, format="json").status_code == 401
    assert SignIn.objects.get(method="saml").revoked_reason == "saml_logout"
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.target_id, event.workspace_id) == ("sso.logged_out", bob.user.id, bob.workspace.id)
    assert event.changes == {"sign_ins_ended": 1}


def test_it_ends_nothing_else(alice, bob, carol, mallory, idp, connection):
    his, hers = enter(idp), enter(idp, name_id="carol@acme.test")

    assert bring(logout_request(idp)).status_code == 302

    assert alive(his, hers) == [False, True]
    assert [actor.client.get("/api/v1/auth/me").status_code for actor in (alice, bob, carol, mallory)] == [200] * 4


def test_it_ends_the_sessions_that_it_names(bob, idp, connection):
    first, second, third, fourth = (enter(idp, session_index=f"_{number}") for number in range(4))

    bring(logout_request(idp, session_indexes=["_1", "_3", "_unknown"]))

    assert alive(first, second, third, fourth) == [True, False, True, False]
    bring(logout_request(idp))
    assert alive(first, third) == [False, False]


def test_a_session_whose_index_is_not_known_is_meant_too(bob, idp, connection):
    unnamed, other = enter(idp, session_index=None), enter(idp, session_index="_other")

    bring(logout_request(idp, session_indexes=["_one"]))

    assert alive(unnamed, other) == [False, True]


def test_the_answer_does_not_tell_whether_anybody_was_signed_in(bob, idp, connection):
    enter(idp)

    answers = [parse_response(bring(logout_request(idp, name_id=name))["Location"]) for name in ("bob@acme.test", "x")]

    ones, others = ([*dict(a.tree.attrib), a.destination, status_of(a.tree), *a.query] for a in answers)
    assert ones == others and status_of(answers[1].tree) == SUCCESS
    assert AuditEvent.objects.filter(action="sso.logged_out").count() == 1


def in_lower_case(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe=""))


def as_bare_as_can_be(text: str) -> str:
    return quote(text, safe="/:+=")


def with_encoding(parts: dict[str, str]) -> None:
    parts["SAMLEncoding"] = quote("urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE", safe="")


def backwards(parts: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in reversed(parts.items()))


GOOD: dict[str, dict[str, Any]] = {
    "RSA with SHA-384": {"algorithm": f"{DSIG_MORE}rsa-sha384"},
    "RSA with SHA-512": {"algorithm": f"{DSIG_MORE}rsa-sha512"},
    "escapes in lower case": {"escape": in_lower_case},
    "bare plus and equals signs": {"escape": as_bare_as_can_be},
    "a RelayState": {"relay_state": "https://elsewhere.test/?a=b&c=ü"},
    "an empty RelayState": {"relay_state": ""},
    "the encoding named": {"bend": with_encoding},
    "another order": {"bend": backwards},
    "a name that means nothing": {"bend": lambda parts: parts.update({"client-request-id": "1"})},
    "no end": {"not_on_or_after": None},
    "an end a minute ago by our clock": {"not_on_or_after": -60},
    "a clock a minute ahead": {"issued": 60},
    "made five minutes ago": {"issued": -300},
    "parts of seconds": {"rewrite": lambda raw: raw.replace(b'Z" Destination', b'.123Z" Destination')},
    "our own name as the qualifier": {"name_qualifier": ENTITY},
    "without a format": {"name_id_format": None},
}


@pytest.mark.parametrize("spelling", GOOD.values(), ids=GOOD)
def test_it_is_understood_in_every_spelling(bob, idp, connection, spelling):
    his = enter(idp)

    response = bring(logout_request(idp, **spelling))

    assert (response.status_code, alive(his)) == (302, [False]), response.content
    assert parse_response(response["Location"]).query.get("RelayState") == (spelling.get("relay_state") or None)


def test_a_provider_with_a_key_of_an_elliptic_curve(bob, idp, connection):
    IdentityProvider.objects.update(certificates=[certificate("idp"), certificate("ec")])
    his = enter(idp)

    response = bring(logout_request(idp, key="ec", algorithm=f"{DSIG_MORE}ecdsa-sha256"))

    assert (response.status_code, alive(his)) == (302, [False])


def test_any_of_the_certificates_counts(bob, idp, connection):
    IdentityProvider.objects.update(certificates=[certificate("other"), certificate("idp")])
    his = enter(idp)

    assert (bring(logout_request(idp)).status_code, alive(his)) == (302, [False])


def test_a_login_code_on_its_way_ends_too(bob, idp, connection, browser):
    codes = [get_code(browser, idp, session_index=f"_{number}") for number in range(2)]

    bring(logout_request(idp, session_indexes=["_0"]))

    assert [exchange(browser, code).status_code for code in codes] == [401, 200]
    assert LoginCode.objects.count() == 0


def test_what_the_provider_said_before_signs_nobody_in_behind_its_logout(bob, idp, connection, browser):
    """SAML core 3.7.3.1: an assertion of an ended session may still be on its way."""
    late = idp.respond(initiate(browser), session_index="_ended")

    bring(logout_request(idp, session_indexes=["_ended"]))
    response = post(browser, late)

    assert told(response)["error"] == "sso_failed"
    assert not SignIn.objects.live().filter(method="saml").exists()
    assert alive(enter(idp, browser, session_index="_new")) == [True]


def test_the_former_connection_ends_what_it_began_and_no_more(bob, idp, connection):
    """Whoever is signed in stays so when another connection begins to serve."""
    former = enter(idp)
    IdentityProvider.objects.update(state="former")
    successor = SamlIdp(entity_id="https://new.acme.test/saml", key="new", sso_url="https://new.acme.test/sso")
    successor.configure(bob.workspace, slo_url="https://new.acme.test/slo")
    present = enter(successor)

    assert bring(logout_request(idp)).status_code == 302

    assert alive(former, present) == [False, True]


def test_the_same_provider_with_a_new_key_speaks_for_the_former_connection(bob, idp, connection):
    former = enter(idp)
    IdentityProvider.objects.update(state="former")
    rekeyed = SamlIdp(key="new")
    rekeyed.configure(bob.workspace, slo_url=SLO_URL)
    present = enter(rekeyed)

    with_old_key = bring(logout_request(idp)).status_code
    assert (with_old_key, alive(former, present)) == (302, [False, True])
    another = enter(rekeyed)
    IdentityProvider.objects.filter(state="former").update(certificates=[certificate("gone")])
    assert (bring(logout_request(rekeyed)).status_code, alive(present, another)) == (302, [False, False])


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"workspace__plan": "free"}])
def test_a_connection_that_signs_nobody_in_any_more_still_signs_out(bob, idp, connection, change):
    his = enter(idp)
    if "workspace__plan" in change:
        type(bob.workspace).objects.update(plan="free")
    else:
        IdentityProvider.objects.update(**change)

    assert (bring(logout_request(idp)).status_code, alive(his)) == (302, [False])


# --- Begun here


def leave(client: APIClient, **body: str) -> Any:
    response = client.post(LEAVE, body, format="json")
    assert response.status_code == 200, response.content
    assert response.json().keys() == {"logout_url"}
    return response


def test_whoever_signs_out_is_sent_to_the_provider_and_comes_back(bob, idp, connection, browser):
    client = client_of(arrive(browser, idp, session_index="_his"))

    response = leave(client, next="/goodbye")

    url = response.json()["logout_url"]
    asked = parse_request(url)
    assert url.startswith(f"{SLO_URL}?SAMLRequest=")
    assert asked.is_signed_by(get_key_pair(connection.workspace).certificate)
    assert (asked.tree.tag.rpartition("}")[2], asked.issuer, asked.destination) == ("LogoutRequest", ENTITY, SLO_URL)
    name_id = asked.tree.find("saml:NameID", NS)
    assert (name_id.text, name_id.get("Format").rpartition(":")[2]) == ("bob@acme.test", "emailAddress")
    assert asked.tree.findtext("samlp:SessionIndex", None, NS) == "_his"
    assert asked.tree.get("NotOnOrAfter") > asked.tree.get("IssueInstant")
    assert client.get("/api/v1/auth/me").status_code == 401
    assert response.cookies["spatialflow_refresh"]["max-age"] == 0
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor_id, event.changes) == ("sso.logged_out", bob.user.id, {"sign_ins_ended": 1})

    back = bring(logout_response(idp, url))

    assert (back.status_code, back["Location"]) == (302, "http://localhost:8000/goodbye")
    assert SamlLogout.objects.count() == 0


def test_a_browser_with_its_refresh_cookie_alone_signs_out(bob, idp, connection, browser):
    arrived = arrive(browser, idp)

    assert leave(browser).json()["logout_url"].startswith(SLO_URL)

    body = {"refresh_token": arrived.cookies["spatialflow_refresh"].value}
    assert APIClient().post("/api/v1/auth/refresh", body, format="json").status_code == 401


def test_without_a_credential_nobody_signs_out(db):
    assert APIClient().post(LEAVE, {}, format="json").status_code == 401


def test_the_other_sign_ins_of_the_same_session_end_and_no_others(bob, carol, idp, connection, browser):
    client = client_of(arrive(browser, idp, session_index="_one"))
    same, other = enter(idp, session_index="_one"), enter(idp, session_index="_two")
    hers = enter(idp, name_id="carol@acme.test", session_index="_one")

    leave(client)

    assert alive(same, other, hers) == [False, True, True]
    assert bob.client.get("/api/v1/auth/me").status_code == 200
    assert alive(enter(idp, session_index="_one")) == [True]  # the provider's session may go on


def test_a_sign_in_by_password_ends_and_there_is_nowhere_to_go(bob, idp, connection):
    by_provider = enter(idp)

    assert leave(bob.client).json() == {"logout_url": None}

    assert (bob.client.get("/api/v1/auth/me").status_code, alive(by_provider)) == (401, [True])
    assert SamlLogout.objects.count() == 0


def test_a_provider_without_single_logout(bob, idp, connection, browser):
    IdentityProvider.objects.update(slo_url="")
    client = client_of(arrive(browser, idp))

    assert leave(client).json() == {"logout_url": None}
    assert client.get("/api/v1/auth/me").status_code == 401


def test_an_app_names_its_own_address(bob, idp, connection, browser):
    client = client_of(arrive(browser, idp))

    url = leave(client, **{"return": "spatialflow://auth/signed-out"}).json()["logout_url"]

    assert bring(logout_response(idp, url))["Location"] == "spatialflow://auth/signed-out"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"next": "https://elsewhere.test/"}, "invalid_next"),
        ({"next": "//elsewhere.test/"}, "invalid_next"),
        ({"return": "https://elsewhere.test/"}, "invalid_return"),
        ({"return": "javascript:alert(1)"}, "invalid_return"),
    ],
)
def test_other_places_are_refused_and_the_sign_in_goes_on(bob, idp, connection, browser, body, code):
    client = client_of(arrive(browser, idp))

    response = client.post(LEAVE, body, format="json")

    assert (response.status_code, response.json()["error_code"]) == (400, code)
    assert client.get("/api/v1/auth/me").status_code == 200


def test_a_page_is_told_when_the_provider_did_not_sign_out(bob, idp, connection, browser):
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    back = bring(logout_response(idp, url, status="urn:oasis:names:tc:SAML:2.0:status:Responder"))

    assert back["Location"] == f"{FRONT}?error=logout_incomplete"


def test_nobody_but_the_provider_is_asked_for_a_place(bob, idp, connection, browser):
    """A RelayState, signed or not, is no place to go."""
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    assert bring(logout_response(idp, url, relay_state="https://elsewhere.test/"))["Location"] == FRONT


# --- The address itself


def test_other_methods_are_refused(bob, idp, connection):
    response = APIClient().post(SLO, "SAMLRequest=x", content_type="application/x-www-form-urlencoded")

    assert (response.status_code, response.json()["error_code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("slug", ["nobodys", "other", "a b", "%00"])
def test_a_workspace_without_a_provider_is_not_there(mallory, idp, connection, slug):
    assert bring(logout_request(idp), slug=slug).status_code == 404


def test_a_suspended_workspace_is_not_there(bob, idp, connection):
    type(bob.workspace).objects.update(suspended_at="2026-01-01T00:00:00Z")

    assert bring(logout_request(idp)).status_code == 404


def test_an_address_has_300_tries_a_minute_and_owners_keep_few_of_them(bob, idp, connection, standing_clock):
    standing_clock.begin_window("127.0.0.1")
    statuses = [bring("SAMLRequest=none").status_code for _ in range(301)]

    assert statuses == [400] * 300 + [429]
    assert SamlAttempt.objects.count() <= 21
