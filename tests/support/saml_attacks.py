"""Hostile answers, by class: each made by Carol, who has a valid account at the provider, or by a stranger, to come in
as Alice. Each says which check must refuse it, so that no refusal passes for another's reason.
"""

import base64
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import xmlsec
from lxml import etree

from tests.support.saml_idp import NS, Message, SamlIdp, certificate, private_key

ACS = "http://localhost:8000/api/v1/auth/saml/acme/acs"
ENTITY = "http://localhost:8000/api/v1/auth/saml/acme/metadata"
IDP = "https://idp.acme.test/saml"
SAML, SAMLP, DS, XENC = (f"{{{NS[prefix]}}}" for prefix in ("saml", "samlp", "ds", "xenc"))
VICTIM, ATTACKER = "alice@acme.test", "carol@acme.test"

Maker = Callable[["Scene"], str]


@dataclass
class Scene:
    """What an attacker has to work with: the provider signs for them, and they know where the browser was sent."""

    idp: SamlIdp
    url: str
    sp_certificate: str

    def message(self, **lies: Any) -> Message:
        return self.idp.message(self.url, **{"name_id": ATTACKER, **lies})

    def say(self, **lies: Any) -> str:
        return encoded(self.message(**lies).build())


@dataclass(frozen=True)
class Attack:
    family: str
    name: str
    check: str  # that refuses it
    make: Maker

    def __str__(self) -> str:
        return f"{self.family}-{self.name}"


ATTACKS: list[Attack] = []


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def add(family: str, check: str, **makers: Maker | dict[str, Any]) -> None:
    """Register attacks of a family; a dictionary is what the provider signs, lies included."""
    for name, maker in makers.items():
        make = maker if callable(maker) else (lambda scene, lies=maker: scene.say(**lies))
        ATTACKS.append(Attack(family, name, check, make))


def bent(edit: Callable[[Any], Any], **lies: Any) -> Maker:
    """Return an attack that changes the signed tree."""
    return lambda scene: scene.say(**{"edit_signed": edit, **lies})


def before(edit: Callable[[Any], Any], **lies: Any) -> Maker:
    """Return an attack that changes the tree before it is signed: what the provider signs is odd."""
    return lambda scene: scene.say(**{"edit": edit, **lies})


def spelt(old: bytes, new: bytes, **lies: Any) -> Maker:
    """Return an attack that changes the signed bytes."""

    def rewrite(raw: bytes) -> bytes:
        assert old in raw
        return raw.replace(old, new, 1)

    return lambda scene: scene.say(**{"rewrite": rewrite, **lies})


# --- Parts of a tree


def assertion_of(root: Any) -> Any:
    return root.find("saml:Assertion", NS)


def signature_of(element: Any) -> Any:
    return element.find("ds:Signature", NS)


def forged(assertion: Any, new_id: str = "_forged", signed: bool = False) -> Any:
    """Return a copy that names the victim."""
    copy = deepcopy(assertion)
    copy.set("ID", new_id)
    copy.find("saml:Subject/saml:NameID", NS).text = VICTIM
    if not signed and signature_of(copy) is not None:
        copy.remove(signature_of(copy))
    return copy


def child(parent: Any, tag: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


# --- Wrapping: what is signed is kept somewhere, what is read is another


def xsw_1(root: Any) -> Any:
    """The signed Response inside of the signature of a forged one."""
    evil = deepcopy(root)
    evil.set("ID", "_evil")
    assertion_of(evil).find("saml:Subject/saml:NameID", NS).text = VICTIM
    original = deepcopy(root)
    original.remove(signature_of(original))
    signature_of(evil).append(original)
    return evil


def xsw_2(root: Any) -> Any:
    """The signed Response beside its signature in a forged one."""
    evil = deepcopy(root)
    evil.set("ID", "_evil")
    assertion_of(evil).find("saml:Subject/saml:NameID", NS).text = VICTIM
    original = deepcopy(root)
    original.remove(signature_of(original))
    signature_of(evil).addprevious(original)
    return evil


def xsw_3(root: Any) -> None:
    """A forged assertion before the signed one."""
    assertion_of(root).addprevious(forged(assertion_of(root)))


def xsw_4(root: Any) -> None:
    """The signed assertion inside of a forged one."""
    original = assertion_of(root)
    evil = forged(original)
    root.replace(original, evil)
    evil.append(original)


def xsw_5(root: Any) -> None:
    """A forged assertion with the signature of the original, which follows."""
    original = assertion_of(root)
    evil = forged(original, signed=True)
    root.replace(original, evil)
    original.remove(signature_of(original))
    root.append(original)


def xsw_6(root: Any) -> None:
    """The original inside of the signature that a forged assertion took from it."""
    original = assertion_of(root)
    evil = forged(original, signed=True)
    root.replace(original, evil)
    original.remove(signature_of(original))
    signature_of(evil).append(original)


def xsw_7(root: Any) -> None:
    """A forged assertion with the original's ID in Extensions."""
    extensions = etree.Element(f"{SAMLP}Extensions")
    root.insert(1, extensions)
    extensions.append(forged(assertion_of(root), assertion_of(root).get("ID")))


def xsw_8(root: Any) -> None:
    """The original in an Object of the signature that a forged assertion took from it."""
    original = assertion_of(root)
    evil = forged(original, signed=True)
    root.replace(original, evil)
    original.remove(signature_of(original))
    child(signature_of(evil), f"{DS}Object").append(original)


def hidden_in(*path: str) -> Callable[[Any], None]:
    """Return an edit: a forged assertion in place, the signed one below the new elements of that path in the root."""

    def edit(root: Any) -> None:
        original = assertion_of(root)
        root.replace(original, forged(original))
        place = root
        for tag in path:
            found = place.find(tag)
            place = child(place, tag) if found is None else found
        place.append(original)

    return edit


def hidden_in_forged(*path: str) -> Callable[[Any], None]:
    """Return an edit: the signed assertion below the elements of that path in a forged one."""

    def edit(root: Any) -> None:
        original = assertion_of(root)
        evil = forged(original)
        root.replace(original, evil)
        place = evil
        for tag in path:
            found = place.find(tag)
            place = child(place, tag) if found is None else found
        place.append(original)

    return edit


def forged_in(*path: str) -> Callable[[Any], None]:
    """Return an edit: the signed assertion stays, and a forged one is below the elements of that path in the root."""

    def edit(root: Any) -> None:
        place = root
        for tag in path:
            found = place.find(tag)
            place = child(place, tag) if found is None else found
        place.append(forged(assertion_of(root)))

    return edit


def twin(position: str, same_id: bool) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        original = assertion_of(root)
        evil = forged(original, original.get("ID") if same_id else "_forged")
        original.addprevious(evil) if position == "before" else original.addnext(evil)

    return edit


def nested_response(root: Any) -> Any:
    evil = deepcopy(root)
    evil.set("ID", "_outer")
    evil.replace(assertion_of(evil), deepcopy(root))
    evil.append(forged(assertion_of(root)))
    return evil


def beside_encrypted(forged_is_encrypted: bool) -> Maker:
    """Return an attack with two assertions: the attacker's own, signed, and a forged one; one of them encrypted."""

    def make(scene: Scene) -> str:
        message = scene.message()

        def edit(root: Any) -> None:
            own = assertion_of(root)
            evil = forged(own)
            root.append(evil)
            message.encrypt_for = scene.sp_certificate
            message.encrypt(root, evil if forged_is_encrypted else own)

        message.edit_signed = edit
        return encoded(message.build())

    return make


add(
    "wrapping",
    "structure",
    xsw_1=bent(xsw_1, sign="response"),
    xsw_2=bent(xsw_2, sign="response"),
    xsw_3=bent(xsw_3),
    xsw_4=bent(xsw_4),
    xsw_5=bent(xsw_5),
    xsw_6=bent(xsw_6),
    xsw_7=bent(xsw_7),
    xsw_8=bent(xsw_8),
    original_in_extensions=bent(hidden_in(f"{SAMLP}Extensions")),
    original_in_status_detail=bent(hidden_in(f"{SAMLP}Status", f"{SAMLP}StatusDetail")),
    original_in_status_message=bent(hidden_in(f"{SAMLP}Status", f"{SAMLP}StatusMessage")),
    original_in_foreign_element=bent(hidden_in("{urn:x}wrapper")),
    original_in_element_without_namespace=bent(hidden_in("wrapper")),
    original_in_object_of_new_signature=bent(hidden_in(f"{DS}Signature", f"{DS}Object")),
    original_in_response_issuer=bent(hidden_in(f"{SAML}Issuer")),
    original_in_encrypted_assertion=bent(hidden_in(f"{SAML}EncryptedAssertion")),
    original_in_advice=bent(hidden_in_forged(f"{SAML}Advice")),
    original_in_conditions=bent(hidden_in_forged(f"{SAML}Conditions")),
    original_in_subject=bent(hidden_in_forged(f"{SAML}Subject")),
    original_in_confirmation_data=bent(
        hidden_in_forged(f"{SAML}Subject", f"{SAML}SubjectConfirmation", f"{SAML}SubjectConfirmationData")
    ),
    original_in_attribute_value=bent(
        hidden_in_forged(f"{SAML}AttributeStatement", f"{SAML}Attribute", f"{SAML}AttributeValue")
    ),
    original_in_authn_context_decl=bent(
        hidden_in_forged(f"{SAML}AuthnStatement", f"{SAML}AuthnContext", f"{SAML}AuthnContextDecl")
    ),
    original_in_key_info=bent(hidden_in_forged(f"{DS}Signature", f"{DS}KeyInfo")),
    forged_in_extensions=bent(forged_in(f"{SAMLP}Extensions")),
    forged_in_status_detail=bent(forged_in(f"{SAMLP}Status", f"{SAMLP}StatusDetail")),
    forged_in_signed_response=bent(forged_in(f"{DS}Signature", f"{DS}Object"), sign="response"),
    forged_in_key_info_of_signed_response=bent(forged_in(f"{DS}Signature", f"{DS}KeyInfo"), sign="response"),
    twin_before_same_id=bent(twin("before", True)),
    twin_after_same_id=bent(twin("after", True)),
    twin_after=bent(twin("after", False)),
    nested_response=bent(nested_response),
    nested_signed_response=bent(nested_response, sign="response"),
    forged_encrypted_beside_own=beside_encrypted(True),
    own_encrypted_beside_forged=beside_encrypted(False),
)


# --- Signatures


def tampered(path: str, text: str | None = None, **attributes: str) -> Callable[[Any], None]:
    """Return an edit of an element's text or attributes."""

    def edit(root: Any) -> None:
        element = root.find(path, NS)
        if text is not None:
            element.text = text
        for name, value in attributes.items():
            element.set(name, value)

    return edit


def removed(path: str) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        element = root.find(path, NS)
        element.getparent().remove(element)

    return edit


def repeated(path: str) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        element = root.find(path, NS)
        element.addnext(deepcopy(element))

    return edit


def grown(path: str, tag: str, text: str | None = None, **attributes: str) -> Callable[[Any], None]:
    """Return an edit that adds an element at the end of another."""

    def edit(root: Any) -> None:
        child(root.find(path, NS), tag, text, **attributes)

    return edit


def without(path: str, name: str) -> Callable[[Any], None]:
    """Return an edit that takes an attribute away."""

    def edit(root: Any) -> None:
        del root.find(path, NS).attrib[name]

    return edit


def both(*edits: Callable[[Any], None]) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        for one in edits:
            one(root)

    return edit


def value_cut(root: Any) -> None:
    value = root.find(".//ds:SignatureValue", NS)
    value.text = encoded(base64.b64decode(value.text)[:-1])


def value_doubled(root: Any) -> None:
    value = root.find(".//ds:SignatureValue", NS)
    value.text = encoded(base64.b64decode(value.text) * 2)


def claims_our_certificate(root: Any) -> None:
    """Signed by a stranger's key, beside the certificate that the workspace trusts."""
    pem = certificate("idp").replace("-----BEGIN CERTIFICATE-----", "").replace("-----END CERTIFICATE-----", "")
    root.find(".//ds:X509Certificate", NS).text = pem


def signed_again(key: str, response: bool) -> Maker:
    """Return an attack with two signatures: the provider's, and another key's on the response or the assertion."""

    def make(scene: Scene) -> str:
        message = scene.message(sign="none")

        def edit(root: Any) -> None:
            message.key = "idp" if response else key
            message.add_signature(assertion_of(root))
            message.key = key if response else "idp"
            message.add_signature(root)

        message.edit_signed = edit
        return encoded(message.build())

    return make


def with_hmac(scene: Scene) -> str:
    """Signed with the certificate, which everybody knows, as a shared secret."""
    message = scene.message(name_id=VICTIM, sign="none")

    def edit(root: Any) -> None:
        assertion = assertion_of(root)
        signature = xmlsec.template.create(assertion, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.HMAC_SHA256, ns="ds")
        assertion.insert(1, signature)
        reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=f"#{assertion.get('ID')}")
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.tree.add_ids(assertion, ["ID"])
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_binary_data(xmlsec.KeyData.HMAC, certificate("idp").encode())
        context.sign(signature)

    message.edit_signed = edit
    return encoded(message.build())


def with_key_value(root: Any) -> None:
    """A stranger's signature with the stranger's key beside it."""
    numbers = private_key("stranger").public_key().public_numbers()
    key_info = root.find(".//ds:KeyInfo", NS)
    key_info.clear()
    value = child(child(key_info, f"{DS}KeyValue"), f"{DS}RSAKeyValue")
    child(value, f"{DS}Modulus", encoded(numbers.n.to_bytes(256, "big")))
    child(value, f"{DS}Exponent", encoded(numbers.e.to_bytes(3, "big")))


def second_reference(root: Any) -> None:
    reference = root.find(".//ds:Reference", NS)
    other = deepcopy(reference)
    other.set("URI", f"#{root.get('ID')}")
    reference.addnext(other)


def digest_in_object(root: Any) -> None:
    value = root.find(".//ds:DigestValue", NS)
    box = child(root.find(".//ds:Signature", NS), f"{DS}Object")
    box.append(deepcopy(value))
    value.text = encoded(b"\0" * 32)


def moved_to_response(root: Any) -> None:
    root.insert(1, signature_of(assertion_of(root)))


ASSERTION = "saml:Assertion"
SIGNATURE = f"{ASSERTION}/ds:Signature"
INFO = f"{SIGNATURE}/ds:SignedInfo"
REFERENCE = f"{INFO}/ds:Reference"
NAME_ID = f"{ASSERTION}/saml:Subject/saml:NameID"

add(
    "signature",
    "signature",
    unsigned={"sign": "none", "name_id": VICTIM},
    stripped=bent(removed(SIGNATURE)),
    stripped_and_tampered=bent(both(removed(SIGNATURE), tampered(NAME_ID, VICTIM))),
    stripped_from_response=bent(removed("ds:Signature"), sign="response"),
    tampered=bent(tampered(NAME_ID, VICTIM)),
    tampered_in_signed_response=bent(tampered(NAME_ID, VICTIM), sign="response"),
    tampered_in_both=bent(tampered(NAME_ID, VICTIM), sign="both"),
    tampered_audience=bent(tampered(f"{ASSERTION}/saml:Conditions", NotOnOrAfter="2026-11-24T23:00:00Z")),
    tampered_id=bent(both(tampered(ASSERTION, ID="_x"), tampered(REFERENCE, URI="#_x"))),
    outer_by_a_stranger=signed_again("stranger", response=True),
    inner_by_a_stranger=signed_again("stranger", response=False),
    outer_tampered_inner_good=bent(lambda root: root.set("Consent", "urn:x"), sign="both"),
    inner_tampered_outer_stripped=bent(both(removed("ds:Signature"), tampered(NAME_ID, VICTIM)), sign="both"),
    strangers_key={"key": "stranger", "name_id": VICTIM},
    strangers_key_without_certificate={"key": "stranger", "name_id": VICTIM, "embeds_certificate": False},
    strangers_key_on_response={"key": "stranger", "name_id": VICTIM, "sign": "response"},
    strangers_key_on_both={"key": "stranger", "name_id": VICTIM, "sign": "both"},
    strangers_key_with_our_certificate=bent(claims_our_certificate, key="stranger", name_id=VICTIM),
    strangers_curve={"key": "ec-stranger", "signature_method": "ECDSA_SHA256", "name_id": VICTIM},
    value_truncated=bent(value_cut),
    value_doubled=bent(value_doubled),
    value_of_zeros=bent(tampered(f"{SIGNATURE}/ds:SignatureValue", encoded(b"\0" * 256))),
    value_of_one_byte=bent(tampered(f"{SIGNATURE}/ds:SignatureValue", "AA==")),
    digest_of_zeros=bent(tampered(f"{REFERENCE}/ds:DigestValue", encoded(b"\0" * 32))),
    digest_truncated=bent(tampered(f"{REFERENCE}/ds:DigestValue", "AA==")),
    another_algorithm_claimed=bent(
        tampered(f"{INFO}/ds:SignatureMethod", Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha512")
    ),
    a_curve_claimed=bent(
        tampered(f"{INFO}/ds:SignatureMethod", Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")
    ),
)
add(
    "signature",
    "signature",
    hmac_with_the_certificate=with_hmac,
    rsa_sha1={"signature_method": "RSA_SHA1"},
    sha1_digest={"digest_method": "SHA1"},
    sha1_on_response={"signature_method": "RSA_SHA1", "digest_method": "SHA1", "sign": "response"},
    sha1_on_one_of_both=bent(
        tampered("ds:Signature/ds:SignedInfo/ds:SignatureMethod", Algorithm=f"{NS['ds']}rsa-sha1"), sign="both"
    ),
    md5=bent(tampered(f"{INFO}/ds:SignatureMethod", Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-md5")),
    no_algorithm=bent(tampered(f"{INFO}/ds:SignatureMethod", Algorithm="")),
)
add(
    "signature",
    "structure",
    value_empty=bent(tampered(f"{SIGNATURE}/ds:SignatureValue", "")),
    value_blank=bent(tampered(f"{SIGNATURE}/ds:SignatureValue", " \n ")),
    value_missing=bent(removed(f"{SIGNATURE}/ds:SignatureValue")),
    value_twice=bent(repeated(f"{SIGNATURE}/ds:SignatureValue")),
    info_missing=bent(removed(INFO)),
    info_twice=bent(repeated(INFO)),
    signature_twice=bent(repeated(SIGNATURE)),
    signature_of_assertion_on_response=bent(moved_to_response),
    digest_empty=bent(tampered(f"{REFERENCE}/ds:DigestValue", "")),
    digest_missing=bent(removed(f"{REFERENCE}/ds:DigestValue")),
    digest_twice=bent(repeated(f"{REFERENCE}/ds:DigestValue")),
    digest_elsewhere=bent(digest_in_object),
    key_value=bent(with_key_value, key="stranger", name_id=VICTIM),
    hmac_output_length=bent(grown(f"{INFO}/ds:SignatureMethod", f"{DS}HMACOutputLength", "0")),
    object_in_signature=bent(grown(SIGNATURE, f"{DS}Object", "x")),
    manifest_in_signature=bent(grown(SIGNATURE, f"{DS}Manifest")),
    retrieval_method=bent(grown(f"{SIGNATURE}/ds:KeyInfo", f"{DS}RetrievalMethod", URI="#x")),
    signature_in_subject=bent(lambda root: root.find(f"{ASSERTION}/saml:Subject", NS).append(root.find(SIGNATURE, NS))),
)


# --- Transforms and references

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
