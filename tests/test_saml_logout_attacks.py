"""Messages of single logout that are not what they should be: refused with one sentence for all, and nobody's sign-in
ends. Each is tried beside the honest message that it is made of.
"""

import base64
import zlib
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from accounts.models import AuditEvent, SignIn
from sso.models import IdentityProvider, SamlAttempt, SamlLogout
from tests.support.oauth import CLIENT_STATE, VERIFIER
from tests.support.race import at_once, call
from tests.support.saml_idp import SamlIdp, certificate, fingerprint
from tests.support.saml_logout import (
    DSIG_MORE,
    RSA_SHA1,
    bring,
    deflate,
    joined,
    logout_request,
    logout_response,
    refused_logout,
)
from tests.support.saml_setup import SLO_URL
from tests.support.saml_steps import get_code
from tests.test_saml_logout import FRONT, OURS, alive, arrive, client_of, enter, leave

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

WINDOWS = "urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName"
Parts = dict[str, str]
ENCRYPTED_ID = (
    '<saml:EncryptedID><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"><xenc:CipherData>'
    "<xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedID>"
)


@pytest.fixture
def connection(idp: SamlIdp, acme: Any) -> IdentityProvider:
    return idp.configure(acme, slo_url=SLO_URL)


def without(*names: str) -> Callable[[Parts], None]:
    def bend(parts: Parts) -> None:
        for name in names:
            del parts[name]

    return bend


def with_parts(**changed: str) -> Callable[[Parts], None]:
    return lambda parts: parts.update(changed)


def once_more(name: str, value: str | None = None) -> Callable[[Parts], str]:
    """Let a name stand in the address a second time."""
    return lambda parts: f"{joined(parts)}&{name}={parts.get(name, '') if value is None else value}"


def spelt(name: str, spelling: str) -> Callable[[Parts], str]:
    return lambda parts: joined(parts).replace(f"{name}=", f"{spelling}=", 1)


def message_in_place(document: Callable[[bytes], bytes]) -> Callable[[Parts], None]:
    """Put another document under the signature of the honest one."""

    def bend(parts: Parts) -> None:
        name = next(iter(parts))
        raw = zlib.decompress(base64.b64decode(unquote(parts[name])), -15)
        parts[name] = quote(base64.b64encode(deflate(document(raw))).decode(), safe="")

    return bend


def as_response(parts: Parts) -> str:
    return joined(parts).replace("SAMLRequest=", "SAMLResponse=", 1)


def two_messages(parts: Parts) -> str:
    return f"SAMLResponse={parts['SAMLRequest']}&{joined(parts)}"


def escapes_in_lower_case(parts: Parts) -> None:
    parts["SAMLRequest"] = parts["SAMLRequest"].replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
    parts["SigAlg"] = parts["SigAlg"].replace("%3A", "%3a")


def self_made_hmac(parts: Parts) -> None:
    parts["SigAlg"] = quote("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", safe="")


def dtd(raw: bytes) -> bytes:
    return b'<!DOCTYPE r [<!ENTITY e "bob@acme.test">]>' + raw.replace(b">bob@acme.test<", b">&e;<")


def comment(raw: bytes) -> bytes:
    return raw.replace(b"bob@acme.test", b"bob@acme.test<!-- -->.elsewhere.test")


def nested(raw: bytes) -> bytes:
    end = b"</samlp:LogoutRequest>"
    return raw.replace(end, b"<saml:NameID>" * 50 + b"</saml:NameID>" * 50 + end)


def renamed(raw: bytes) -> bytes:
    return raw.replace(b"samlp:LogoutRequest", b"samlp:AuthnRequest")


def bomb(raw: bytes) -> bytes:
    return deflate(raw + b" " * 50_000_000)


def with_more_behind(raw: bytes) -> bytes:
    return deflate(raw) + b"more"


SIGNATURES: dict[str, dict[str, Any]] = {
    "none": {"algorithm": None},
    "stripped": {"bend": without("Signature")},
    "its algorithm stripped": {"bend": without("SigAlg")},
    "both stripped": {"bend": without("SigAlg", "Signature")},
    "of another key": {"key": "stranger"},
    "flipped": {"signature": lambda raw: bytes([raw[0] ^ 1]) + raw[1:]},
    "cut": {"signature": lambda raw: raw[:-1]},
    "of one byte": {"signature": lambda raw: b"\0"},
    "longer": {"signature": lambda raw: b"\0" + raw},
    "with SHA-1": {"algorithm": RSA_SHA1, "hash": "sha1"},
    "with SHA-1 under another name": {"hash": "sha1"},
    "SHA-256 by the name of SHA-512": {"algorithm": f"{DSIG_MORE}rsa-sha512", "hash": "sha256"},
    "renamed behind": {"bend": with_parts(SigAlg=quote(f"{DSIG_MORE}rsa-sha512", safe=""))},
    "of an elliptic curve by name": {"algorithm": f"{DSIG_MORE}ecdsa-sha256"},
    "of an elliptic curve": {"key": "ec", "algorithm": f"{DSIG_MORE}ecdsa-sha256"},
    "a HMAC by name": {"bend": self_made_hmac},
    "an empty algorithm": {"bend": with_parts(SigAlg="")},
    "an algorithm that is none": {"bend": with_parts(SigAlg="rsa-sha256")},
    "of another person's request": {
        "bend": message_in_place(lambda raw: raw.replace(b"bob@acme.test", b"carol@acme.test"))
    },
    "of an older request": {"bend": message_in_place(lambda raw: raw.replace(b' ID="_', b' ID="_n'))},
    "of other escapes": {"bend": escapes_in_lower_case},
    "without its RelayState": {"relay_state": "x", "bend": without("RelayState")},
    "with another RelayState": {"relay_state": "x", "bend": with_parts(RelayState="https%3A%2F%2Felsewhere.test")},
    "with a RelayState added": {"bend": with_parts(RelayState="x")},
    "with an empty RelayState added": {"bend": with_parts(RelayState="")},
}
ADDRESSES: dict[str, dict[str, Any]] = {
    "nothing": {"bend": lambda parts: ""},
    "two messages": {"bend": two_messages},
    "the message twice": {"bend": once_more("SAMLRequest")},
    "another message in front": {"bend": lambda parts: f"SAMLRequest=x&{joined(parts)}"},
    "the RelayState twice": {"relay_state": "x", "bend": once_more("RelayState", "y")},
    "the signature twice": {"bend": once_more("Signature")},
    "the algorithm twice": {"bend": once_more("SigAlg")},
    "a name with escapes": {"bend": spelt("SAMLRequest", "SAML%52equest")},
    "a name with escapes beside the plain one": {"bend": once_more("SAML%52equest", "x")},
    "the request as a response": {"bend": as_response},
    "another encoding": {"bend": with_parts(SAMLEncoding="urn%3Anone")},
    "a long RelayState": {"relay_state": "x" * 1025},
    "not base64": {"bend": with_parts(SAMLRequest="%3Cxml%3E")},
    "not deflated": {"pack": lambda raw: raw},
    "empty": {"pack": lambda raw: deflate(b"")},
    "many megabytes, deflated": {"pack": bomb},
    "something behind the document": {"pack": with_more_behind},
    "cut": {"pack": lambda raw: deflate(raw)[:-4]},
    "bytes that are no UTF-8": {"bend": with_parts(RelayState="%FF")},
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "a DTD": {"rewrite": dtd},
    "a comment": {"rewrite": comment},
    "not XML": {"rewrite": lambda raw: raw[:-1]},
    "UTF-16": {"rewrite": lambda raw: raw.decode().encode("utf-16")},
    "another document": {"rewrite": renamed},
    "elements in elements": {"rewrite": nested},
    "many elements": {"session_indexes": ["_x"] * 3000},
    "an encrypted NameID": {"name_id": None, "inside": ENCRYPTED_ID},
    "an encrypted NameID beside the plain one": {"inside": ENCRYPTED_ID},
    "two NameIDs": {"inside": "<saml:NameID>carol@acme.test</saml:NameID>"},
    "two issuers": {"inside": "<saml:Issuer>https://idp.acme.test/saml</saml:Issuer>"},
    "an element in the NameID": {"rewrite": lambda raw: raw.replace(b">bob@", b"><saml:Issuer/>bob@")},
    "extensions": {"inside": "<samlp:Extensions/>"},
    "a signature inside": {"inside": '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'},
    "no ID": {"id": None},
    "an ID that is no name": {"id": '1"/>'},
    "SAML 1.1": {"version": "1.1"},
}
CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "another issuer": ("issuer", {"issuer": "https://idp.elsewhere.test/saml"}),
    "an issuer with a blank": ("issuer", {"issuer": "https://idp.acme.test/saml "}),
    "no issuer": ("issuer", {"issuer": None}),
    "no destination": ("destination", {"destination": None}),
    "another destination": ("destination", {"destination": "http://localhost:8000/api/v1/auth/saml/other/slo"}),
    "a longer destination": ("destination", {"destination": f"{OURS}/x"}),
    "a shorter destination": ("destination", {"destination": OURS[:-1]}),
    "another letter case": ("destination", {"destination": OURS.replace("localhost", "LOCALHOST")}),
    "our address for assertions": ("destination", {"destination": OURS.replace("/slo", "/acs")}),
    "made ten minutes ago": ("clock", {"issued": -600, "not_on_or_after": None}),
    "made in ten minutes": ("clock", {"issued": 600}),
    "made never": ("clock", {"issued": None}),
    "made at no time": ("clock", {"issued": "yesterday"}),
    "over": ("not_on_or_after", {"issued": -280, "not_on_or_after": -180}),
    "over at no time": ("not_on_or_after", {"not_on_or_after": "tomorrow"}),
    "nobody": ("name_id", {"name_id": None}),
    "an empty name": ("name_id", {"name_id": ""}),
    "a name with a blank": ("name_id", {"name_id": " bob@acme.test"}),
    "a long name": ("name_id", {"name_id": "b" * 255}),
    "a name at another service": ("name_id", {"name_qualifier": "https://elsewhere.test"}),
    "an empty session": ("name_id", {"session_indexes": [""]}),
    "very many sessions": ("name_id", {"session_indexes": ["_x"] * 101}),
    "an attribute that SAML does not know": (
        "library",
        {"rewrite": lambda raw: raw.replace(b" ID=", b' Su="1" ID=')},
    ),
}
UNREADABLE = ADDRESSES | DOCUMENTS


def assert_refused_beside_the_honest(idp: SamlIdp, lies: dict[str, Any]) -> str:
    """Let a lie be refused and end nothing, then the honest message end the sign-in. Returns the check that failed."""
    his = enter(idp)

    failed = refused_logout(bring(logout_request(idp, **lies)))

    assert alive(his) == [True]
    assert not AuditEvent.objects.filter(action="sso.logged_out").exists()
    assert (bring(logout_request(idp)).status_code, alive(his)) == (302, [False])
    return failed


@pytest.mark.parametrize("lies", SIGNATURES.values(), ids=SIGNATURES)
def test_a_request_that_the_provider_has_not_signed_as_it_is(bob, idp, connection, lies):
    assert assert_refused_beside_the_honest(idp, lies) == "signature"


@pytest.mark.parametrize("lies", UNREADABLE.values(), ids=UNREADABLE)
def test_a_request_that_could_be_read_in_two_ways_or_none(bob, idp, connection, lies):
    assert assert_refused_beside_the_honest(idp, lies) == "logout_message"


@pytest.mark.parametrize(("check", "lies"), CLAIMS.values(), ids=CLAIMS)
def test_a_request_that_says_what_does_not_hold(bob, idp, connection, check, lies):
    assert assert_refused_beside_the_honest(idp, lies) == check


def test_a_request_works_once(bob, idp, connection):
    query = logout_request(idp, id="_once")
    first = bring(query).status_code
    his = enter(idp)

    again = refused_logout(bring(query))
    signed_anew = refused_logout(bring(logout_request(idp, id="_once", relay_state="x")))

    assert (first, again, signed_anew, alive(his)) == (302, "replay", "replay", [True])


def test_a_refused_request_is_not_spent(bob, idp, connection):
    """Nobody makes a request worthless by bringing it with a lie in it."""
    his = enter(idp)
    refused_logout(bring(logout_request(idp, id="_one", key="stranger")))

    assert (bring(logout_request(idp, id="_one")).status_code, alive(his)) == (302, [False])


def test_owners_see_each_check_and_whoever_came_sees_none(alice, bob, idp, connection):
    response = bring(logout_request(idp, key="stranger", destination="https://elsewhere.test/"))

    shown = alice.client.get("/api/v1/workspaces/saml-config/attempts").json()["attempts"][0]
    checks = {check["check"]: check for check in shown["checks"]}
    assert shown["reference"] == response.json()["reference"]
    assert [name for name, check in checks.items() if not check["passed"]] == ["signature", "destination"]
    assert fingerprint(certificate("idp")) in checks["signature"]["expected"]
    assert checks["destination"]["received"] == "https://elsewhere.test/" and checks["logout_request"]["passed"]
    assert "elsewhere" not in response.content.decode() and "signature" not in response.content.decode()


# --- Other connections


def test_another_tenants_provider_is_refused(bob, mallory, idp, connection):
    """Mallory's own, properly signed for acme in every way that she can, and by acme's name."""
    his = enter(idp)
    hers = SamlIdp(entity_id="https://idp.other.test/saml", key="mallory")
    hers.configure(mallory.workspace, slo_url="https://idp.other.test/slo")

    by_her_name = refused_logout(bring(logout_request(hers, bob.workspace)))
    by_his_name = refused_logout(bring(logout_request(hers, bob.workspace, issuer=idp.entity_id)))
    at_her_own = bring(logout_request(hers), slug="other").status_code

    assert (by_her_name, by_his_name, at_her_own, alive(his)) == ("issuer", "signature", 302, [True])


def test_the_same_provider_of_two_workspaces_ends_each_ones_own(bob, mallory, idp, connection):
    """One entity ID and one key for both: the address and the Destination say which is meant."""
    his = enter(idp)
    twin = SamlIdp()
    twin.configure(mallory.workspace, slo_url=SLO_URL)

    carried_over = refused_logout(bring(logout_request(twin), slug="acme"))
    at_the_other = bring(logout_request(twin), slug="other").status_code

    assert (carried_over, at_the_other, alive(his)) == ("destination", 302, [True])


def test_a_staged_connection_is_refused(bob, idp, connection):
    his = enter(idp)
    staged = SamlIdp(entity_id="https://staged.acme.test/saml", key="staged")
    staged.configure(bob.workspace, slo_url=SLO_URL, state="staged")

    assert refused_logout(bring(logout_request(staged))) == "issuer"
    assert (bring(logout_request(idp)).status_code, alive(his)) == (302, [False])


def test_a_key_that_was_replaced_ends_nothing_of_the_new_connection(bob, idp, connection):
    """The former key may be in wrong hands; it has a say about what it began itself."""
    IdentityProvider.objects.update(state="former")
    rekeyed = SamlIdp(key="new")
    rekeyed.configure(bob.workspace, slo_url=SLO_URL)
    present = enter(rekeyed)

    bring(logout_request(idp))

    assert alive(present) == [True]
    assert (bring(logout_request(rekeyed)).status_code, alive(present)) == (302, [False])


def test_a_connection_that_offers_no_single_logout_is_refused(bob, idp, connection):
    IdentityProvider.objects.update(slo_url="")

    assert refused_logout(bring(logout_request(idp))) == "connection"


# --- Answers to ours


ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"signature {name}": ("signature", lies) for name, lies in SIGNATURES.items() if "bend" not in lies},
    "signature stripped": ("signature", {"bend": without("Signature")}),
    "a RelayState added": ("signature", {"bend": with_parts(RelayState="https%3A%2F%2Felsewhere.test")}),
    "no request": ("request", {"in_response_to": None}),
    "an unknown request": ("request", {"in_response_to": "_unknown"}),
    "another issuer": ("issuer", {"issuer": "https://idp.elsewhere.test/saml"}),
    "another destination": ("destination", {"destination": f"{OURS}/x"}),
    "no destination": ("destination", {"destination": None}),
    "made ten minutes ago": ("clock", {"issued": -600}),
    "a DTD": ("logout_message", {"rewrite": dtd}),
    "an assertion in it": ("logout_message", {"inside": '<saml:Assertion ID="_a" Version="2.0"/>'}),
}


@pytest.mark.parametrize(("check", "lies"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_does_not_hold_leads_nowhere(bob, idp, connection, browser, check, lies):
    other = enter(idp)
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    assert refused_logout(bring(logout_response(idp, url, **lies))) == check

    assert alive(other) == [True]
    again = leave(client_of(arrive(browser, idp))).json()["logout_url"]
    assert bring(logout_response(idp, again))["Location"] == FRONT


@pytest.mark.parametrize(
    "lies", [{"key": "stranger"}, {"bend": without("Signature", "SigAlg")}, {"destination": OURS + "/x"}]
)
def test_what_does_not_hold_leaves_the_logout_open(bob, idp, connection, browser, lies):
    """Whoever sees the request in an address must not keep its answer from counting."""
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    refused_logout(bring(logout_response(idp, url, **lies)))

    assert bring(logout_response(idp, url))["Location"] == FRONT


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59Z", "9999-12-31T23:58:00Z"])
def test_an_end_that_never_comes_is_one(bob, idp, connection, end):
    his = enter(idp)

    assert (bring(logout_request(idp, not_on_or_after=end)).status_code, alive(his)) == (302, [False])


def test_a_request_means_the_name_of_its_format(bob, idp, connection):
    his = enter(idp)
    said = {"name_id": "bob@acme.test"}

    assert bring(logout_request(idp, **said, name_id_format=WINDOWS)).status_code == 302
    assert alive(his) == [True]
    assert bring(logout_request(idp, **said, name_id_format=None)).status_code == 302
    assert alive(his) == [False]


def test_an_answer_works_once(bob, idp, connection, browser):
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])

    assert bring(query).status_code == 302
    assert refused_logout(bring(query)) == "request"


def test_an_answer_that_comes_too_late(bob, idp, connection, browser):
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])
    SamlLogout.objects.update(expires_at="2026-01-01T00:00:00Z")

    assert refused_logout(bring(query)) == "request"


def test_an_answer_at_another_workspace(bob, mallory, idp, connection, browser):
    SamlIdp(key="mallory").configure(mallory.workspace, slo_url=SLO_URL)
    query = logout_response(idp, leave(client_of(arrive(browser, idp))).json()["logout_url"])

    assert refused_logout(bring(query, slug="other")) == "request"


def test_our_own_request_comes_back(bob, idp, connection, browser):
    """Mirrored at our own address it is not the provider's word, though properly signed by us."""
    other = enter(idp)
    url = leave(client_of(arrive(browser, idp))).json()["logout_url"]

    assert refused_logout(bring(urlsplit(url).query)) == "issuer"
    assert alive(other) == [True]


# --- At once


def fetch(server: str, query: str) -> int:
    parts = urlsplit(server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", f"/api/v1/auth/saml/acme/slo?{query}")
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_of_copies_of_one_request_one_counts(server, bob, idp, connection):
    his, query = enter(idp), logout_request(idp)

    results = at_once(12, lambda _: fetch(server, query))

    assert Counter(results) == {302: 1, 400: 11}
    assert alive(his) == [False]
    assert AuditEvent.objects.filter(action="sso.logged_out").count() == 1
    assert SamlAttempt.objects.count() == 11


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_of_a_logout_and_a_code_of_its_session_no_sign_in_survives(server, bob, idp, connection, browser, attempt):
    """Whichever comes first: a traded code is ended, and a code that was not traded is none any more."""
    code = get_code(browser, idp, session_index="_his")
    query = logout_request(idp, session_indexes=["_his"])
    body = {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}
    steps = [
        lambda: call(server, "POST", "/api/v1/auth/sso/exchange", body).status,
        lambda: fetch(server, query),
    ]

    traded, logged_out = at_once(2, lambda index: steps[index]())

    assert (traded in (200, 401), logged_out) == (True, 302)
    assert not SignIn.objects.live().filter(method="saml").exists()
