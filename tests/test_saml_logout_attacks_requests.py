"""Requests of single logout that are not what they should be are refused with one sentence for all, each beside the
honest message that it is made of, and nobody's sign-in ends.
"""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEvent
from sso.models import IdentityProvider
from tests.support.saml_idp import SamlIdp, certificate, fingerprint
from tests.support.saml_logout import bring, deflate, joined, logout_request, refused_logout
from tests.support.saml_logout_fixtures import offering_logout  # noqa: F401
from tests.support.saml_logout_lies import SIGNATURES, Parts, dtd, with_parts
from tests.support.saml_setup import SLO_URL
from tests.test_saml_logout import OURS, alive, enter

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

WINDOWS = "urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName"
ENCRYPTED_ID = (
    '<saml:EncryptedID><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"><xenc:CipherData>'
    "<xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedID>"
)


def once_more(name: str, value: str | None = None) -> Callable[[Parts], str]:
    """Let a name stand in the address a second time."""
    return lambda parts: f"{joined(parts)}&{name}={parts.get(name, '') if value is None else value}"


def spelt(name: str, spelling: str) -> Callable[[Parts], str]:
    return lambda parts: joined(parts).replace(f"{name}=", f"{spelling}=", 1)


def as_response(parts: Parts) -> str:
    return joined(parts).replace("SAMLRequest=", "SAMLResponse=", 1)


def two_messages(parts: Parts) -> str:
    return f"SAMLResponse={parts['SAMLRequest']}&{joined(parts)}"


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


# --- What holds in spite of its looks


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
