"""Hostile answers whose signature transforms what it signs, or refers to something else."""

from copy import deepcopy
from typing import Any

from tests.support.saml_attacks import (
    DS,
    INFO,
    REFERENCE,
    Maker,
    add,
    assertion_of,
    bent,
    child,
    removed,
    repeated,
    tampered,
    without,
)
from tests.support.saml_idp import NS

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


def transforms(*algorithms: str) -> Maker:
    def edit(root: Any) -> None:
        box = root.find(f"{REFERENCE}/ds:Transforms", NS)
        for old in list(box):
            box.remove(old)
        for algorithm in algorithms:
            child(box, f"{DS}Transform", Algorithm=algorithm)

    return bent(edit)


def with_content(tag: str, algorithm: str, text: str = "") -> Maker:
    """Return an attack with a transform that brings a program along."""

    def edit(root: Any) -> None:
        box = root.find(f"{REFERENCE}/ds:Transforms", NS)
        child(child(box, f"{DS}Transform", Algorithm=algorithm), tag, text)

    return bent(edit)


def second_reference(root: Any) -> None:
    reference = root.find(".//ds:Reference", NS)
    other = deepcopy(reference)
    other.set("URI", f"#{root.get('ID')}")
    reference.addnext(other)


ENVELOPED = f"{NS['ds']}enveloped-signature"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
XSL = "{http://www.w3.org/1999/XSL/Transform}stylesheet"

add(
    "transforms",
    "structure",
    xslt=transforms(ENVELOPED, XSLT, EXCLUSIVE),
    xslt_with_stylesheet=with_content(XSL, XSLT),
    xslt_alone=transforms(XSLT),
    xpath=transforms(ENVELOPED, XPATH),
    xpath_with_expression=with_content(f"{DS}XPath", XPATH, "not(ancestor-or-self::saml:NameID)"),
    xpath_filter_2=transforms(ENVELOPED, "http://www.w3.org/2002/06/xmldsig-filter2"),
    base64=transforms(f"{NS['ds']}base64"),
    decrypt=transforms(ENVELOPED, "http://www.w3.org/2002/07/decrypt#XML"),
    inclusive=lambda scene: scene.say(canonicalization="C14N"),
    inclusive_with_comments=lambda scene: scene.say(canonicalization="C14N_COMMENTS"),
    inclusive_11=lambda scene: scene.say(canonicalization="C14N11"),
    exclusive_with_comments=lambda scene: scene.say(canonicalization="EXCL_C14N_COMMENTS"),
    inclusive_in_the_reference=transforms(ENVELOPED, C14N),
    inclusive_of_the_info=bent(tampered(f"{INFO}/ds:CanonicalizationMethod", Algorithm=C14N)),
    none=transforms(),
    enveloped_alone=transforms(ENVELOPED),
    exclusive_alone=transforms(EXCLUSIVE),
    in_the_other_order=transforms(EXCLUSIVE, ENVELOPED),
    three=transforms(ENVELOPED, EXCLUSIVE, EXCLUSIVE),
    unknown=transforms(ENVELOPED, "urn:x"),
    empty_algorithm=transforms("", ""),
)
add(
    "references",
    "structure",
    empty=bent(tampered(REFERENCE, URI="")),
    missing=bent(without(REFERENCE, "URI")),
    hash_alone=bent(tampered(REFERENCE, URI="#")),
    of_the_response=bent(lambda root: root.find(REFERENCE, NS).set("URI", f"#{root.get('ID')}")),
    of_nothing=bent(tampered(REFERENCE, URI="#_nothing")),
    by_http=bent(tampered(REFERENCE, URI="http://127.0.0.1:9/x")),
    by_https=bent(tampered(REFERENCE, URI="https://evil.test/x")),
    by_file=bent(tampered(REFERENCE, URI="file:///etc/passwd")),
    by_path=bent(tampered(REFERENCE, URI="/etc/passwd")),
    by_ftp=bent(tampered(REFERENCE, URI="ftp://127.0.0.1/x")),
    by_xpointer=bent(tampered(REFERENCE, URI="#xpointer(/)")),
    by_xpointer_of_id=bent(lambda r: r.find(REFERENCE, NS).set("URI", f"#xpointer(id('{assertion_of(r).get('ID')}'))")),
    by_absolute_fragment=bent(lambda r: r.find(REFERENCE, NS).set("URI", f"http://x/#{assertion_of(r).get('ID')}")),
    two=bent(second_reference),
    two_of_the_same=bent(repeated(REFERENCE)),
    without=bent(removed(REFERENCE)),
)
add(
    "transforms",
    "structure",
    prefix_list_of_10000=lambda scene: scene.say(inclusive_prefixes=[f"p{n}" for n in range(10_000)]),
)
