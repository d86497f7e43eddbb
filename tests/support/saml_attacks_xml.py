"""Hostile answers that are no honest XML: what is inserted into their texts, how they are encoded, how big they are."""

import base64
import gzip
import json
import zlib
from itertools import pairwise
from typing import Any

from lxml import etree

from tests.support.saml_attacks import (
    ASSERTION,
    ATTACKER,
    ENTITY,
    IDP,
    NAME_ID,
    REFERENCE,
    SAML,
    VICTIM,
    Maker,
    add,
    assertion_of,
    before,
    bent,
    encoded,
    grown,
    spelt,
)
from tests.support.saml_idp import NS

# --- What is inside of a text


def in_text(old: str, insertion: str) -> Maker:
    """Return an attack with something between the letters of a signed text, which canonicalization drops or joins."""
    half = len(old) // 2
    return spelt(f">{old}<".encode(), f">{old[:half]}{insertion}{old[half:]}<".encode())


INSERTED = {"comment": "<!---->", "pi": "<?x y?>", "cdata": "<![CDATA[]]>"}
for _kind, _text in INSERTED.items():
    add(
        "inserted",
        "encoding",
        **{
            f"{_kind}_in_name_id": in_text(ATTACKER, _text),
            f"{_kind}_in_audience": in_text(ENTITY, _text),
            f"{_kind}_in_issuer": in_text(IDP, _text),
            f"{_kind}_before_subject": spelt(b"<saml:Subject>", f"{_text}<saml:Subject>".encode()),
            f"{_kind}_in_digest": spelt(b"</ds:DigestValue>", f"{_text}</ds:DigestValue>".encode()),
            f"{_kind}_in_signature_value": spelt(b"</ds:SignatureValue>", f"{_text}</ds:SignatureValue>".encode()),
        },
    )
add(
    "inserted",
    "encoding",
    comment_that_cuts=lambda scene: scene.say(
        name_id=f"{VICTIM}.evil.test", rewrite=lambda raw: raw.replace(b".evil.test", b"<!-- -->.evil.test")
    ),
    pi_that_cuts=lambda scene: scene.say(
        name_id=f"{VICTIM}.evil.test", rewrite=lambda raw: raw.replace(b".evil.test", b"<?a?>.evil.test")
    ),
    comment_before_the_root=lambda scene: scene.say(rewrite=lambda raw: b"<!-- -->" + raw),
    comment_behind_the_root=lambda scene: scene.say(rewrite=lambda raw: raw + b"<!-- -->"),
    pi_before_the_root=lambda scene: scene.say(
        rewrite=lambda raw: b'<?xml-stylesheet href="http://127.0.0.1:9/"?>' + raw
    ),
    pi_behind_the_root=lambda scene: scene.say(rewrite=lambda raw: raw + b"<?x y?>"),
    whole_name_id_as_cdata=spelt(f">{ATTACKER}<".encode(), f"><![CDATA[{ATTACKER}]]><".encode()),
)
add(
    "inserted",
    "structure",
    element_in_name_id=before(grown(NAME_ID, "{urn:x}b")),
    name_id_in_name_id=before(grown(NAME_ID, f"{SAML}NameID", VICTIM)),
    element_in_audience=before(grown(".//saml:Audience", "{urn:x}b")),
    element_in_digest=bent(grown(f"{REFERENCE}/ds:DigestValue", "{urn:x}b")),
    text_between_elements=before(lambda root: setattr(root.find(f"{ASSERTION}/saml:Subject", NS), "text", VICTIM)),
)


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
