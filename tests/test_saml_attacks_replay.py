"""Answers that were good once or are good elsewhere: replayed, re-spelt, in a new envelope, of another provider; and
what owners are shown of what was refused.
"""

import base64
import re
from copy import deepcopy
from typing import Any

import pytest
from lxml import etree

from sso.models import IdentityProvider, LoginCode, SamlAttempt
from sso.saml.response import judge, unverified_names
from tests.support.oauth import told
from tests.support.saml_attacks import ACS, ENTITY, Scene, encoded
from tests.support.saml_idp import NS, SamlIdp, certificate, fingerprint, parse_request
from tests.support.saml_steps import came_in, initiate, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures", "tests.support.saml_scene"]
pytestmark = pytest.mark.django_db

UNASKED = "/signed-in/unasked?code="


# --- Replay


def new_envelope(answer: str, request_id: str | None) -> str:
    """Return a response of nobody's around the assertion of another one."""
    root = etree.fromstring(base64.b64decode(answer))
    if root.find("ds:Signature", NS) is None:
        root.set("ID", "_envelope")
    root.attrib.pop("InResponseTo", None)
    if request_id is not None:
        root.set("InResponseTo", request_id)
    return encoded(etree.tostring(root))


def folded(answer: str) -> str:
    return base64.encodebytes(base64.b64decode(answer)).decode()


def with_blanks(answer: str) -> str:
    return encoded(base64.b64decode(answer).replace(b"><samlp:Status>", b">\n  <samlp:Status>"))


RESPELLINGS = {
    "as_it_was": lambda answer: answer,
    "in_lines": folded,
    "with_blanks": with_blanks,
    "in_a_new_envelope": lambda answer: new_envelope(answer, None),
}


@pytest.mark.parametrize("respelt", RESPELLINGS.values(), ids=RESPELLINGS.keys())
def test_an_assertion_that_was_not_asked_for_works_once(bob, idp, connection, browser, respelt):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    bind(browser, idp)
    answer = idp.respond(None)
    assert post(browser, answer)["Location"].startswith(UNASKED)

    response = post(browser, respelt(answer))

    assert response.status_code == 400
    assert SamlAttempt.objects.get(reference=response.json()["reference"]).failed_check == "replay"
    assert LoginCode.objects.count() == 1
    assert post(browser, idp.respond(None))["Location"].startswith(UNASKED)


def bind(browser: Any, idp: SamlIdp) -> None:
    """Sign in once as it should be: what the provider begins binds no identity."""
    assert came_in(sign_in(browser, idp))


@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_the_assertion_of_one_request_answers_no_other(bob, idp, connection, browser, sign):
    first, second = initiate(browser), initiate(browser)
    answer = idp.respond(first, sign=sign)
    moved = new_envelope(answer, parse_request(second).id)

    assert refused_by(post(browser, moved)) == ("in_response_to" if sign == "assertion" else "signature")
    assert not signed_in_by_saml()
    assert came_in(post(browser, answer))


@pytest.mark.parametrize("sign", ["assertion", "response"])
def test_what_was_asked_for_is_not_taken_as_unasked(bob, idp, connection, browser, sign):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    answer = idp.respond(initiate(browser), sign=sign)

    response = post(browser, new_envelope(answer, None))

    assert (response.status_code, signed_in_by_saml()) == (400, [])
    failed = SamlAttempt.objects.get(reference=response.json()["reference"]).failed_check
    assert failed == ("in_response_to" if sign == "assertion" else "signature")
    assert came_in(post(browser, answer))


@pytest.mark.parametrize("claimed", ["", "_made_up"])
def test_an_unasked_answer_names_no_request(bob, idp, connection, browser, claimed):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    bind(browser, idp)

    assert post(browser, idp.respond(None, in_response_to=claimed)).status_code == 400
    assert post(browser, idp.respond(None, confirmation_in_response_to=claimed)).status_code == 400
    assert len(signed_in_by_saml()) == 1
    assert post(browser, idp.respond(None))["Location"].startswith(UNASKED)


# --- Of another provider


@pytest.mark.parametrize("key", ["other", "idp"])
@pytest.mark.parametrize("entity_id", ["https://idp.other.test/saml", "https://idp.acme.test/saml"])
def test_an_answer_of_another_tenants_provider_is_refused(scene: Scene, connection, mallory, key, entity_id):
    """Only the provider that the workspace trusts, with the key that it trusts, for its own service."""
    foreign = SamlIdp(entity_id=entity_id, key=key)
    foreign.configure(mallory.workspace)
    asked = parse_request(scene.url).id
    is_the_same = key == "idp" and entity_id == connection.entity_id

    verdict = judge(foreign.respond(asked, ACS, ENTITY), connection, asked)
    assert (verdict.failed_check == "") is is_the_same
    verdict = judge(foreign.respond(asked), connection, asked)  # for the other workspace
    assert verdict.failed_check and {"destination", "audience", "recipient"} <= failed(verdict)


def failed(verdict: Any) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


# --- What is read of it


def test_what_an_assertion_says_is_read(scene: Scene, connection):
    said = {"email": "bob@acme.test", "groups": ["a", " b ", ""], "empty": ""}
    asked = parse_request(scene.url).id
    lies = {"attributes": said, "session_index": "_s", "session_not_on_or_after": "2099-01-01T00:00:00Z"}

    assertion = judge(scene.say(assertion_id="_a", **lies), connection, asked).assertion

    assert assertion is not None
    assert (assertion.id, assertion.name_id, assertion.session_index) == ("_a", "carol@acme.test", "_s")
    assert assertion.attributes == {"email": ["bob@acme.test"], "groups": ["a", " b "], "empty": []}
    assert (assertion.in_response_to, assertion.session_ends_at.year) == (asked, 2099)
    assert judge(scene.say(sign="none", **lies), connection, asked).assertion is None


def test_an_attribute_that_is_there_twice_has_both_values(bob, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})

    def twice(root: Any) -> None:
        attribute = root.find("saml:Assertion/saml:AttributeStatement/saml:Attribute", NS)
        again = deepcopy(attribute)
        again.find("saml:AttributeValue", NS).text = "alice@acme.test"
        attribute.addnext(again)

    said = {"attributes": {"mail": "bob@acme.test"}}
    assert refused_by(sign_in(browser, idp, edit=twice, **said)) == "email"
    assert not signed_in_by_saml()
    assert came_in(sign_in(browser, idp, **said))


def test_a_name_counts_before_a_friendly_one(scene: Scene, connection):
    def befriend(root: Any) -> None:
        for attribute in root.iter(f"{{{NS['saml']}}}Attribute"):
            attribute.set("FriendlyName", "email")

    said = {"attributes": {"urn:oid:1": "carol@acme.test", "email": "bob@acme.test"}, "edit": befriend}
    assertion = judge(scene.say(**said), connection, parse_request(scene.url).id).assertion
    assert assertion.attributes == {"urn:oid:1": ["carol@acme.test"], "email": ["bob@acme.test"]}


@pytest.mark.parametrize("answer", ["", "%%%", "PHg+", encoded(b"<a/>"), encoded(b"<!DOCTYPE a><a/>"), "A" * 300_000])
def test_what_cannot_be_read_names_nothing(answer):
    names = unverified_names(answer)
    assert (names.in_response_to, names.issuer) == ("", "")


def test_what_can_be_read_names_its_request_and_issuer(scene: Scene):
    names = unverified_names(scene.say(sign="none"))
    assert (names.in_response_to, names.issuer) == (parse_request(scene.url).id, "https://idp.acme.test/saml")
    assert unverified_names(scene.say(response_issuer=None)).issuer == "https://idp.acme.test/saml"


# --- What owners are shown


def shown(verdict: Any, name: str) -> tuple[bool, str, str]:
    check = next(check for check in verdict.checks if check.name == name)
    return check.passed, check.expected, check.received


def test_owners_see_everything_that_is_wrong_at_once(scene: Scene, connection):
    asked = parse_request(scene.url).id
    wrong = {
        "key": "stranger",
        "issuer": "https://evil.test",
        "destination": None,
        "recipient": "https://evil.test/acs",
        "audiences": [["https://evil.test/metadata"]],
        "confirmation_in_response_to": "_other",
        "not_on_or_after": -600,
        "confirmation_not_on_or_after": "yesterday",
        "name_id": "a\x7fb" * 200,
    }

    verdict = judge(scene.say(**wrong), connection, asked)

    trusted, claimed = fingerprint(certificate("idp")), fingerprint(certificate("stranger"))
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", trusted)
    assert shown(verdict, "signature") == (False, trusted, claimed)
    assert shown(verdict, "issuer")[2] == "https://evil.test, https://idp.acme.test/saml"
    assert shown(verdict, "destination") == (False, ACS, "nothing")
    assert shown(verdict, "recipient") == (False, ACS, "https://evil.test/acs")
    assert shown(verdict, "audience") == (False, ENTITY, "https://evil.test/metadata")
    assert shown(verdict, "in_response_to") == (False, asked, f"{asked}, _other")
    assert re.fullmatch(r"-60[01] s, yesterday", shown(verdict, "not_on_or_after")[2])
    assert shown(verdict, "name_id")[2] == ("a<U+007F>b" * 200)[:200]
    assert shown(verdict, "clock")[0] and shown(verdict, "encoding")[0] and verdict.failed_check == "signature"


@pytest.mark.parametrize(
    ("lies", "received"),
    [
        ({"sign": "none"}, "no signature"),
        ({"embeds_certificate": False, "key": "stranger"}, "a signature without a certificate"),
        ({"key": "weak"}, "a signature with a certificate that cannot be used"),
    ],
)
def test_owners_see_what_signature_there_is(scene: Scene, connection, lies, received):
    verdict = judge(scene.say(**lies), connection, parse_request(scene.url).id)
    assert shown(verdict, "signature") == (False, fingerprint(certificate("idp")), received)


def test_owners_see_how_far_their_clock_is_off(scene: Scene, connection):
    verdict = judge(scene.say(issued=300, not_before=240), connection, parse_request(scene.url).id)
    assert failed(verdict) == {"clock", "not_before", "authn_statement"}
    assert shown(verdict, "clock")[2] in ("+299 s", "+300 s")


def test_owners_see_why_their_provider_signed_nobody_in(bob, idp, connection, browser):
    response = sign_in(browser, idp, status="urn:oasis:names:tc:SAML:2.0:status:NoPassive")

    attempt = SamlAttempt.objects.get(reference=told(response)["reference"])
    assert {"check": "status", "passed": False, "expected": "Success", "received": "NoPassive"} in attempt.checks


def test_owners_see_that_reason_in_a_message_of_an_odd_shape_too(scene: Scene, connection):
    def detail(root: Any) -> None:
        etree.SubElement(root.find("samlp:Status", NS), f"{{{NS['samlp']}}}StatusDetail")

    answer = scene.say(status="urn:oasis:names:tc:SAML:2.0:status:Responder", edit=detail)
    verdict = judge(answer, connection, parse_request(scene.url).id)

    assert shown(verdict, "structure")[2] == "an element that has no place there: StatusDetail"
    assert shown(verdict, "status") == (False, "Success", "Responder")


@pytest.mark.parametrize("encrypts", [False, True])
def test_an_assertion_that_must_be_encrypted_is(scene: Scene, connection, encrypts):
    connection.requires_encryption = True
    lies = {"encrypt_for": scene.sp_certificate} if encrypts else {}

    verdict = judge(scene.say(**lies), connection, parse_request(scene.url).id)

    assert failed(verdict) == (set() if encrypts else {"encryption"})
    assert shown(verdict, "encryption")[2] == ("encrypted" if encrypts else "not encrypted")


def test_a_certificate_that_is_trusted_no_more_signs_nobody_in(bob, idp, connection, browser):
    old, new = certificate("idp"), certificate("new")
    for trusted, works in (([old, new], True), ([new], False), ([], False), ([old], True)):
        IdentityProvider.objects.update(certificates=trusted)
        response = sign_in(browser, idp)
        if works:
            assert came_in(response)
        else:
            assert refused_by(response) == "signature"
