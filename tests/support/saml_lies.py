"""Hostile answers, continued: documents that are no honest XML, encryption that is not as it should be, and providers
that sign what they must not. Importing this module registers them in ATTACKS.
"""

import base64
import gzip
import json
import zlib
from copy import deepcopy
from itertools import pairwise
from typing import Any

from lxml import etree

from tests.support.saml_attacks import (
    ACS,
    ASSERTION,
    ATTACKER,
    DS,
    ENTITY,
    IDP,
    NAME_ID,
    SAML,
    SAMLP,
    VICTIM,
    XENC,
    Maker,
    Scene,
    add,
    assertion_of,
    before,
    bent,
    both,
    child,
    encoded,
    forged,
    grown,
    removed,
    repeated,
    spelt,
    tampered,
    without,
)
from tests.support.saml_idp import BEARER, NS, certificate

# --- XML and its encoding


def remade(rewrite: Any, **lies: Any) -> Maker:
    return lambda scene: scene.say(**{"rewrite": rewrite, **lies})


def doctype(subset: str, use: str = "") -> Maker:
    """Return an attack with a document type; `use` stands in the NameID."""

    def rewrite(raw: bytes) -> bytes:
        return f"<!DOCTYPE r {subset}>".encode() + raw.replace(ATTACKER.encode(), use.encode() or VICTIM.encode())

    return remade(rewrite)


def inside(text: bytes) -> Maker:
    """Return an attack with something before the end of the assertion."""
    return spelt(b"</saml:Assertion>", text + b"</saml:Assertion>")


BOMB = "[<!ENTITY a 'lol'>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in pairwise("abcdefghij")) + "]"

add(
    "xml",
    "encoding",
    doctype=doctype(""),
    doctype_lower=remade(lambda raw: b"<!doctype r>" + raw),
    external_dtd=doctype('SYSTEM "http://127.0.0.1:9/x.dtd"'),
    external_dtd_of_a_file=doctype('SYSTEM "file:///etc/passwd"'),
    entity_of_a_file=doctype('[<!ENTITY x SYSTEM "file:///etc/passwd">]', "&x;"),
    entity_of_an_address=doctype('[<!ENTITY x SYSTEM "http://127.0.0.1:9/">]', "&x;"),
    entity_of_parameters=doctype('[<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]'),
    entity_bomb=doctype(BOMB, "&j;"),
    entity_long=doctype(f'[<!ENTITY x "{"A" * 50_000}">]', "&x;" * 500),
    entity_undefined=spelt(ATTACKER.encode(), b"&x;"),
    default_attribute=doctype('[<!ATTLIST r ID CDATA "x">]'),
    utf_16=remade(lambda raw: raw.decode().encode("utf-16")),
    utf_16_without_mark=remade(lambda raw: raw.decode().encode("utf-16-be")),
    utf_16_declared=remade(lambda raw: b'<?xml version="1.0" encoding="UTF-16"?>' + raw),
    utf_32=remade(lambda raw: raw.decode().encode("utf-32")),
    utf_7=remade(lambda raw: b'<?xml version="1.0" encoding="UTF-7"?>' + raw.replace(b"carol", b"+AGM-arol")),
    latin_1=remade(lambda raw: b'<?xml version="1.0" encoding="ISO-8859-1"?>' + raw.replace(b"carol", b"c\xe4rol")),
    ebcdic=remade(lambda raw: b'<?xml version="1.0" encoding="IBM037"?>' + raw.decode().encode("cp037")),
    xml_1_1=remade(lambda raw: b'<?xml version="1.1"?>' + raw),
    declared_twice=remade(lambda raw: b'<?xml version="1.0"?>' * 2 + raw),
    declared_late=remade(lambda raw: b'\n<?xml version="1.0"?>' + raw),
    invalid_utf_8=spelt(b"carol", b"c\xffrol"),
    overlong_utf_8=spelt(b"carol", b"c\xc1\xa1rol"),
    lone_surrogate=spelt(b"carol", b"c\xed\xa0\x80rol"),
    lone_surrogate_by_number=spelt(b"carol", b"c&#xD800;rol"),
    nul=spelt(b"carol", b"carol\x00"),
    nul_by_number=spelt(b"carol", b"carol&#0;"),
    control_character=spelt(b"carol", b"carol\x01"),
    control_character_by_number=spelt(b"carol", b"carol&#8;"),
    two_roots=remade(lambda raw: raw + raw),
    text_behind_the_root=remade(lambda raw: raw + b"x"),
    cut_off=remade(lambda raw: raw[:-20]),
    attribute_twice=spelt(b"<samlp:Response ", b'<samlp:Response Version="2.0" '),
    undeclared_prefix=spelt(b"<saml:Subject>", b"<saml:Subject x:y='z'>"),
    nested_5000_deep=inside(b"<saml:Advice>" * 5000 + b"</saml:Advice>" * 5000),
    nested_200_deep=inside(b"<saml:Advice>" * 200 + b"</saml:Advice>" * 200),
    elements_6000=inside(b"<a/>" * 6000),
    attributes_10000=inside(b"<a " + b" ".join(b"a%d=''" % n for n in range(10_000)) + b"/>"),
    namespaces_5000=inside(
        b"<a " + b" ".join(b"xmlns:n%d='u:%d'" % (n, n) for n in range(5_000)) + b"/>" + b"<b/>" * 4000
    ),
    namespaces_4000=inside(b"<a " + b" ".join(b"xmlns:n%d='u:%d'" % (n, n) for n in range(4_000)) + b"/>"),
    attributes_100000=inside(b"<a " + b" ".join(b"a%d=''" % n for n in range(100_000)) + b"/>"),
    text_of_5_megabytes=inside(b"A" * 5_000_000),
    nothing=lambda scene: "",
    blank=lambda scene: " \r\n ",
    plain_xml=lambda scene: scene.message().build().decode(),
    not_base64=lambda scene: "%%%%",
    padding_early=lambda scene: "AA=A" + scene.say(),
    padding_missing=lambda scene: encoded(scene.message().build().ljust(6001))[:-1],
    padding_too_much=lambda scene: scene.say().rstrip("=") + "=====",
    url_safe_base64=lambda scene: base64.urlsafe_b64encode(b"\xff\xfe\xfb" * 100).decode(),
    not_ascii=lambda scene: "é" + scene.say(),
    fullwidth_base64=lambda scene: "\uff21\uff21" + scene.say(),
    base64_twice=lambda scene: encoded(scene.say().encode()),
    deflated=lambda scene: encoded(zlib.compress(scene.message().build())[2:-4]),
    deflate_bomb=lambda scene: encoded(zlib.compress(b"A" * 50_000_000)[2:-4]),
    gzip_bomb=lambda scene: encoded(gzip.compress(b"A" * 50_000_000)),
    json=lambda scene: encoded(json.dumps({"name_id": VICTIM}).encode()),
    padded_with_blanks=lambda scene: scene.say() + " " * 300_000,
)
add(
    "xml",
    "structure",
    xinclude=inside(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'),
    xinclude_by_http=inside(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="http://127.0.0.1:9/"/>'),
    schema_location=inside(
        b'<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="u http://127.0.0.1:9/"/>'
    ),
    html=lambda scene: encoded(b"<html><body>Sorry</body></html>"),
    soap=remade(
        lambda raw: b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">' + raw + b"</e:Envelope>"
    ),
    assertion_alone=lambda scene: encoded(etree.tostring(assertion_of(etree.fromstring(scene.message().build())))),
    saml_1_1_response=spelt(NS["samlp"].encode(), b"urn:oasis:names:tc:SAML:1.0:protocol", sign="none"),
    another_namespace=spelt(NS["saml"].encode(), b"urn:x", sign="none"),
)

add(
    "transforms",
    "structure",
    prefix_list_of_10000=lambda scene: scene.say(inclusive_prefixes=[f"p{n}" for n in range(10_000)]),
)

# --- IDs and versions

add(
    "ids",
    "structure",
    of_both_the_same={"response_id": "_same", "assertion_id": "_same"},
    of_both_the_same_and_both_signed={"response_id": "_same", "assertion_id": "_same", "sign": "both"},
    again_as_xml_id=bent(
        lambda root: root.set("{http://www.w3.org/XML/1998/namespace}id", assertion_of(root).get("ID"))
    ),
    again_in_lower_case=bent(lambda root: root.set("id", assertion_of(root).get("ID"))),
    again_on_the_signature=bent(lambda root: root.find(".//ds:Signature", NS).set("Id", assertion_of(root).get("ID"))),
    again_on_the_issuer=bent(lambda root: root.find("saml:Issuer", NS).set("ID", assertion_of(root).get("ID"))),
    none_on_the_response={"response_id": None},
    none_on_the_assertion={"assertion_id": None, "sign": "response"},
    empty_on_the_assertion={"assertion_id": "", "sign": "response"},
    empty_on_the_response={"response_id": ""},
    with_a_blank={"assertion_id": "_a b", "sign": "response"},
    with_quotes={"assertion_id": "_a'b", "sign": "response"},
    with_a_digit_first={"assertion_id": "1", "sign": "response"},
    with_other_letters={"assertion_id": "_\u0430", "sign": "response"},
    too_long={"assertion_id": "_" + "a" * 300},
)
add(
    "versions",
    "structure",
    response_1_1={"version": "1.1"},
    response_none={"version": None},
    response_empty={"version": ""},
    response_3={"version": "3.0"},
    response_with_a_blank={"version": "2.0 "},
    assertion_1_1={"assertion_version": "1.1"},
    assertion_none={"assertion_version": None},
    assertion_empty={"assertion_version": ""},
    assertion_2={"assertion_version": "2"},
)

# --- Status

STATUS = "urn:oasis:names:tc:SAML:2.0:status:"
add(
    "status",
    "status",
    requester={"status": f"{STATUS}Requester"},
    responder={"status": f"{STATUS}Responder"},
    no_passive={"status": f"{STATUS}NoPassive"},
    failed={"status": f"{STATUS}AuthnFailed"},
    missing={"status": None},
    empty={"status": ""},
    in_lower_case={"status": f"{STATUS}success"},
    with_a_blank={"status": f"{STATUS}Success "},
    of_another_kind={"status": "Success"},
    success_below_failure=before(
        grown(".//samlp:StatusCode", f"{SAMLP}StatusCode", Value=f"{STATUS}Success"),
        status=f"{STATUS}Responder",
    ),
    failure_without_assertion=before(removed(ASSERTION), status=f"{STATUS}Responder", sign="response"),
    element_missing=before(removed("samlp:Status")),
)
add(
    "status",
    "structure",
    twice=before(repeated("samlp:Status")),
    two_codes=before(repeated("samlp:Status/samlp:StatusCode")),
    success_without_assertion=before(removed(ASSERTION), sign="response"),
    success_with_two_assertions=before(repeated(ASSERTION), sign="response"),
)

# --- Whom and what it is for

NOT_OURS: dict[str, str | None] = {
    "longer": "/",
    "with_a_query": "?x=1",
    "with_a_fragment": "#x",
    "with_a_blank": " ",
    "with_a_newline": "\n",
}


def strangers_to(address: str) -> dict[str, str | None]:
    return {
        **{name: address + (end or "") for name, end in NOT_OURS.items()},
        "shorter": address[:-1],
        "contained": f"https://evil.test/?{address}",
        "in_capitals": address.upper(),
        "host_in_capitals": address.replace("localhost", "LOCALHOST"),
        "of_another_workspace": address.replace("/acme/", "/other/"),
        "of_another_host": address.replace("localhost:8000", "evil.test"),
        "on_https": address.replace("http:", "https:"),
        "with_dots": address.replace("/acme/", "/acme/../acme/"),
        "escaped": address.replace("acme", "%61cme"),
        "empty": "",
        "missing": None,
    }


add("recipient", "recipient", **{name: {"recipient": value} for name, value in strangers_to(ACS).items()})
add("destination", "destination", **{name: {"destination": value} for name, value in strangers_to(ACS).items()})
add(
    "audience",
    "audience",
    **{name: {"audiences": [[value]] if value is not None else []} for name, value in strangers_to(ENTITY).items()},
    restriction_empty={"audiences": [[]]},
    conditions_missing={"has_conditions": False, "confirmation_not_on_or_after": 300},
    two_restrictions_first_foreign={"audiences": [["https://other.test"], [ENTITY]]},
    two_restrictions_last_foreign={"audiences": [[ENTITY], ["https://other.test"]]},
    two_restrictions_one_empty={"audiences": [[ENTITY], []]},
    many_foreign={"audiences": [[f"https://{n}.test" for n in range(20)]]},
    two_in_one={"audiences": [[f"{ENTITY} https://other.test"]]},
    our_acs={"audiences": [[ACS]]},
)
add(
    "audience",
    "structure",
    outside_of_a_restriction=before(
        lambda root: root.find(".//saml:Conditions", NS).append(root.find(".//saml:Audience", NS))
    ),
    conditions_twice=before(repeated(f"{ASSERTION}/saml:Conditions")),
    unknown_condition=before(grown(".//saml:Conditions", f"{SAML}Condition")),
)
add(
    "issuer",
    "issuer",
    **{f"of_assertion_{name}": {"issuer": value} for name, value in strangers_to(IDP).items() if value != IDP},
    **{
        f"of_response_{name}": {"response_issuer": value}
        for name, value in strangers_to(IDP).items()
        if value not in (IDP, None)
    },
    both_empty={"issuer": "", "response_issuer": ""},
    both_missing={"issuer": None, "response_issuer": None},
    swapped={"issuer": "https://idp.other.test/saml", "response_issuer": IDP},
)
add(
    "issuer",
    "structure",
    twice=before(repeated(f"{ASSERTION}/saml:Issuer")),
    in_the_response_twice=before(repeated("saml:Issuer")),
)

# --- Whose question it answers

add(
    "in_response_to",
    "in_response_to",
    confirmation_missing={"confirmation_in_response_to": None},
    confirmation_empty={"confirmation_in_response_to": ""},
    confirmation_foreign={"confirmation_in_response_to": "_foreign"},
    confirmation_longer=lambda scene: scene.say(confirmation_in_response_to=str(scene.message().in_response_to) + "x"),
    response_foreign={"in_response_to": "_foreign"},
    response_empty={"in_response_to": ""},
    response_missing={"in_response_to": None},
    response_missing_confirmation_right=lambda scene: scene.say(
        in_response_to=None, confirmation_in_response_to=str(scene.message().in_response_to)
    ),
    response_stripped=bent(without(".", "InResponseTo")),
    response_longer=lambda scene: scene.say(in_response_to=str(scene.message().in_response_to) + "x"),
    response_without_underscore=lambda scene: scene.say(in_response_to=str(scene.message().in_response_to)[1:]),
    two_ids=lambda scene: scene.say(in_response_to=f"{scene.message().in_response_to} _foreign"),
)

# --- Who is meant to bring it

add(
    "confirmation",
    "confirmation",
    method_missing={"method": None},
    method_empty={"method": ""},
    method_longer={"method": f"{BEARER}x"},
    holder_of_key={"method": "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"},
    sender_vouches={"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"},
    of_saml_1_1={"method": "urn:oasis:names:tc:SAML:1.0:cm:bearer"},
    none=before(removed(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation")),
    without_data=before(removed(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")),
    twice=before(repeated(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation")),
)
add(
    "confirmation",
    "structure",
    data_twice=before(repeated(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")),
    key_in_the_data=before(grown(".//saml:SubjectConfirmationData", f"{DS}KeyInfo")),
    subject_twice=before(repeated(f"{ASSERTION}/saml:Subject")),
)

# --- Times

NO_TIMES = {
    "empty": "",
    "word": "tomorrow",
    "nan": "NaN",
    "number": "1764000000",
    "date": "2099-01-01",
    "impossible_month": "2027-13-01T00:00:00Z",
    "impossible_day": "2027-02-30T00:00:00Z",
    "impossible_hour": "2027-01-01T25:00:00Z",
    "leap_second": "2027-06-30T23:59:60Z",
    "year_0": "0000-01-01T00:00:00Z",
    "year_99999": "99999-01-01T00:00:00Z",
    "negative_year": "-2027-01-01T00:00:00Z",
    "no_zone": "2027-01-01T00:00:00",
    "another_zone": "2027-01-01T00:00:00+02:00",
    "zero_offset": "2027-01-01T00:00:00+00:00",
    "lower_case": "2027-01-01t00:00:00z",
    "blank_in_it": "2027-01-01 00:00:00Z",
    "other_digits": "\u0662\u0660\u0662\u0667-01-01T00:00:00Z",
    "fraction_of_100_digits": f"2027-01-01T00:00:00.{'1' * 100}Z",
}
TOO_LATE = {"last_second": 3600 + 125, "a_day": 86_400, "a_year": 31_536_000, "year_9999": "9999-12-31T23:59:59Z"}
add(
    "times",
    "not_on_or_after",
    **{f"confirmation_ends_{name}": {"confirmation_not_on_or_after": text} for name, text in NO_TIMES.items()},
    **{f"conditions_end_{name}": {"not_on_or_after": text} for name, text in NO_TIMES.items()},
    **{f"confirmation_ends_late_by_{name}": {"confirmation_not_on_or_after": when} for name, when in TOO_LATE.items()},
    confirmation_ends_never={"confirmation_not_on_or_after": None},
    confirmation_has_ended={"confirmation_not_on_or_after": -122},
    confirmation_ended_long_ago={"confirmation_not_on_or_after": "2001-01-01T00:00:00Z"},
    conditions_end_never={"not_on_or_after": None},
    conditions_without_times={"not_on_or_after": None, "not_before": None},
    conditions_have_ended={"not_on_or_after": -122},
    conditions_end_late={"not_on_or_after": 70 * 60 + 125},
    conditions_last_two_hours={"not_before": -7200, "not_on_or_after": 300},
    both_have_ended={"not_on_or_after": -122, "confirmation_not_on_or_after": -122},
)
add(
    "times",
    "not_before",
    **{f"conditions_begin_{name}": {"not_before": text} for name, text in NO_TIMES.items() if name != "blank_in_it"},
    conditions_begin_ahead={"not_before": 125},
    conditions_begin_tomorrow={"not_before": 86_400},
    conditions_begin_year_9999={"not_before": "9999-12-31T23:59:59Z"},
    confirmation_begins_ahead={"confirmation_not_before": 125},
    confirmation_begins_nonsense={"confirmation_not_before": "NaN"},
)


def in_statement(**attributes: str | None) -> Maker:
    """Return a lie about the AuthnStatement's attributes; None takes one away."""

    def edit(root: Any) -> None:
        statement = root.find(f"{ASSERTION}/saml:AuthnStatement", NS)
        for name, value in attributes.items():
            statement.attrib.pop(name, None)
            if value is not None:
                statement.set(name, value)

    return before(edit)


add(
    "times",
    "clock",
    issued_ahead={"issued": 125},
    issued_in_year_9999={"issued": "9999-12-31T23:59:59Z"},
    issued_never={"issued": None},
    issued_nonsense={"issued": "NaN"},
    assertion_issued_ahead=before(tampered(ASSERTION, IssueInstant="2099-01-01T00:00:00Z")),
)
add(
    "times",
    "authn_statement",
    signed_in_ahead=in_statement(AuthnInstant="2099-01-01T00:00:00Z"),
    signed_in_nonsense=in_statement(AuthnInstant="NaN"),
    signed_in_never=in_statement(AuthnInstant=None),
)
add(
    "times",
    "session",
    session_has_ended={"session_not_on_or_after": -122},
    session_ended_long_ago={"session_not_on_or_after": "2001-01-01T00:00:00Z"},
    **{f"session_ends_{name}": {"session_not_on_or_after": text} for name, text in NO_TIMES.items()},
)
add(
    "statements",
    "authn_statement",
    none={"has_authn_statement": False},
    two=before(repeated(f"{ASSERTION}/saml:AuthnStatement")),
)
add(
    "statements",
    "structure",
    authorization=before(grown(ASSERTION, f"{SAML}AuthzDecisionStatement")),
    of_an_unknown_kind=before(grown(ASSERTION, f"{SAML}Statement")),
    advice=before(grown(ASSERTION, f"{SAML}Advice")),
    extensions=before(lambda root: root.insert(1, etree.Element(f"{SAMLP}Extensions"))),
    encrypted_attribute=before(
        both(
            grown(ASSERTION, f"{SAML}AttributeStatement"),
            grown(f"{ASSERTION}/saml:AttributeStatement", f"{SAML}EncryptedAttribute"),
        )
    ),
)

# --- The name

add(
    "name_id",
    "name_id",
    missing={"name_id": None},
    empty={"name_id": ""},
    blank={"name_id": " "},
    newline={"name_id": "\n"},
    newline_at_the_end={"name_id": f"{VICTIM}\n"},
    newline_in_it={"name_id": f"{VICTIM}\n{ATTACKER}"},
    blank_before={"name_id": f" {VICTIM}"},
    blank_in_it={"name_id": f"{VICTIM} {ATTACKER}"},
    tab={"name_id": f"{VICTIM}\t"},
    carriage_return={"name_id": f"{VICTIM}\r"},
    no_break_blank={"name_id": f"{VICTIM}\u00a0"},
    ideographic_blank={"name_id": f"{VICTIM}\u3000"},
    zero_width_blank={"name_id": "alice\u200b@acme.test"},
    soft_hyphen={"name_id": "al\u00adice@acme.test"},
    right_to_left={"name_id": f"\u202e{VICTIM}"},
    byte_order_mark={"name_id": f"\ufeff{VICTIM}"},
    line_separator={"name_id": f"{VICTIM}\u2028"},
    next_line={"name_id": f"{VICTIM}\u0085"},
    delete={"name_id": f"{VICTIM}\x7f"},
    private_use={"name_id": f"{VICTIM}\ue000"},
    unassigned={"name_id": f"{VICTIM}\u0378"},
    too_long={"name_id": "a" * 245 + "@acme.test"},
    much_too_long={"name_id": "a" * 100_000},
    transient={"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
    encrypted_format={"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"},
    for_another_service=before(tampered(NAME_ID, SPNameQualifier="https://other.test")),
    for_no_service=before(tampered(NAME_ID, SPNameQualifier="")),
    subject_missing=before(removed(NAME_ID)),
)
add(
    "name_id",
    "structure",
    twice=before(repeated(NAME_ID)),
    two_names=before(
        lambda root: root.find(NAME_ID, NS).addnext(
            deepcopy(forged(assertion_of(root)).find("saml:Subject/saml:NameID", NS))
        )
    ),
    encrypted=before(grown(f"{ASSERTION}/saml:Subject", f"{SAML}EncryptedID")),
    base_id=before(grown(f"{ASSERTION}/saml:Subject", f"{SAML}BaseID")),
)

# --- Encryption


def encrypted(**lies: Any) -> Maker:
    return lambda scene: scene.say(**{"encrypt_for": scene.sp_certificate, **lies})


def encrypted_text(text: bytes) -> Maker:
    """Return an attack whose plain text is anything; an outer signature is not there."""

    def make(scene: Scene) -> str:
        message = scene.message(sign="none", encrypt_for=None)

        def edit(root: Any) -> None:
            message.encrypt_for = scene.sp_certificate
            message.encrypt_bytes(root, assertion_of(root), text)

        message.edit_signed = edit
        return encoded(message.build())

    return make


def ciphertext_bent(root: Any) -> None:
    value = root.find(".//xenc:EncryptedData/xenc:CipherData/xenc:CipherValue", NS)
    raw = bytearray(base64.b64decode(value.text))
    raw[len(raw) // 2] ^= 1
    value.text = encoded(bytes(raw))


def key_bent(root: Any) -> None:
    value = root.find(".//xenc:EncryptedKey/xenc:CipherData/xenc:CipherValue", NS)
    raw = bytearray(base64.b64decode(value.text))
    raw[-1] ^= 1
    value.text = encoded(bytes(raw))


def cipher_reference(where: str) -> Any:
    def edit(root: Any) -> None:
        data = root.find(f".//xenc:{where}/xenc:CipherData", NS)
        data.clear()
        child(data, f"{XENC}CipherReference", URI="http://127.0.0.1:9/")

    return edit


DATA = "saml:EncryptedAssertion/xenc:EncryptedData"
KEY = f"{DATA}/ds:KeyInfo/xenc:EncryptedKey"
add(
    "encryption",
    "signature",
    unsigned=encrypted(sign="none", name_id=VICTIM),
    strangers_key=encrypted(key="stranger", name_id=VICTIM),
    strangers_key_outside=encrypted(key="stranger", sign="response", name_id=VICTIM),
    tampered_before_it_was_encrypted=encrypted(
        edit_assertion=lambda assertion: setattr(assertion.find("saml:Subject/saml:NameID", NS), "text", VICTIM)
    ),
    bent_below_an_outer_signature=encrypted(sign="response", edit_signed=ciphertext_bent),
    replaced_below_an_outer_signature=encrypted(sign="both", edit_signed=key_bent),
)
add(
    "encryption",
    "encryption",
    for_another_key=lambda scene: scene.say(encrypt_for=certificate("stranger")),
    bent=encrypted(edit_signed=ciphertext_bent),
    bent_cbc=encrypted(edit_signed=ciphertext_bent, cipher="AES128", sign="none"),
    key_bent=encrypted(edit_signed=key_bent),
    value_empty=encrypted(edit_signed=tampered(f"{DATA}/xenc:CipherData/xenc:CipherValue", "")),
    value_of_one_byte=encrypted(edit_signed=tampered(f"{DATA}/xenc:CipherData/xenc:CipherValue", "AA==")),
    value_not_base64=encrypted(edit_signed=tampered(f"{DATA}/xenc:CipherData/xenc:CipherValue", "%%%")),
    key_empty=encrypted(edit_signed=tampered(f"{KEY}/xenc:CipherData/xenc:CipherValue", "")),
    another_cipher_claimed=encrypted(
        edit_signed=tampered(f"{DATA}/xenc:EncryptionMethod", Algorithm=f"{NS['xenc']}aes256-cbc")
    ),
    text=encrypted_text(b"alice@acme.test"),
    nothing=encrypted_text(b" "),
    cut_off=encrypted_text(b"<saml:Assertion>"),
    a_doctype=encrypted_text(b"<!DOCTYPE x [<!ENTITY a 'b'>]><saml:Assertion/>"),
    a_comment=encrypted_text(b"<!-- --><saml:Assertion ID='_x' Version='2.0'/>"),
    a_program=encrypted_text(b"<?x y?><saml:Assertion ID='_x' Version='2.0'/>"),
    two_assertions=encrypted_text(b"<saml:Assertion ID='_x' Version='2.0'/><saml:Assertion ID='_y' Version='2.0'/>"),
    a_response=encrypted_text(b"<samlp:Response ID='_x' Version='2.0'/>"),
    a_status=encrypted_text(b"<samlp:Status><samlp:StatusCode Value='x'/></samlp:Status>"),
    encrypted_again=encrypted_text(b"<saml:EncryptedAssertion/>"),
    the_end_of_the_response=encrypted_text(b"</samlp:Response><samlp:Response>"),
    broken_utf_8=encrypted_text(b"<saml:Assertion ID='_x' Version='2.0'>\xff</saml:Assertion>"),
    deep=encrypted_text(b"<saml:Advice>" * 300 + b"</saml:Advice>" * 300),
    an_odd_assertion=encrypted_text(b"<saml:Assertion ID='_x' Version='2.0'><saml:Advice/></saml:Assertion>"),
    of_version_1_1=encrypted_text(b"<saml:Assertion ID='_x' Version='1.1'/>"),
)
add(
    "encryption",
    "structure",
    rsa_1_5=encrypted(key_transport="RSA_PKCS1"),
    triple_des=encrypted(edit_signed=tampered(f"{DATA}/xenc:EncryptionMethod", Algorithm=f"{NS['xenc']}tripledes-cbc")),
    key_by_aes=encrypted(edit_signed=tampered(f"{KEY}/xenc:EncryptionMethod", Algorithm=f"{NS['xenc']}kw-aes128")),
    cipher_reference=encrypted(edit_signed=cipher_reference("EncryptedData")),
    cipher_reference_of_the_key=encrypted(edit_signed=cipher_reference("EncryptedKey")),
    two_keys=encrypted(edit_signed=repeated(KEY)),
    key_beside_the_data=encrypted(
        edit_signed=lambda root: root.find("saml:EncryptedAssertion", NS).append(root.find(KEY, NS))
    ),
    two_data=encrypted(edit_signed=repeated(DATA)),
    two_boxes=encrypted(edit_signed=repeated("saml:EncryptedAssertion")),
    no_key=encrypted(edit_signed=removed(KEY)),
    no_key_info=encrypted(edit_signed=removed(f"{DATA}/ds:KeyInfo")),
    no_data=encrypted(edit_signed=removed(DATA)),
    no_method=encrypted(edit_signed=removed(f"{DATA}/xenc:EncryptionMethod")),
    no_type=encrypted(edit_signed=without(DATA, "Type")),
    content_alone=encrypted(edit_signed=tampered(DATA, Type=f"{NS['xenc']}Content")),
    retrieval_method=encrypted(
        edit_signed=grown(f"{DATA}/ds:KeyInfo", f"{DS}RetrievalMethod", URI="http://127.0.0.1:9/")
    ),
    agreement_method=encrypted(edit_signed=grown(f"{DATA}/ds:KeyInfo", f"{XENC}AgreementMethod")),
    data_outside_of_a_box=encrypted(edit_signed=lambda root: root.append(root.find(DATA, NS))),
)
