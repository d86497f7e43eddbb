"""Hostile answers whose signature is missing, another's, altered, weak or of an odd shape."""

import base64
from copy import deepcopy
from typing import Any

import xmlsec

from tests.support.saml_attacks import (
    ASSERTION,
    DS,
    INFO,
    NAME_ID,
    REFERENCE,
    SIGNATURE,
    VICTIM,
    Maker,
    Scene,
    add,
    assertion_of,
    bent,
    both,
    child,
    encoded,
    grown,
    removed,
    repeated,
    signature_of,
    tampered,
)
from tests.support.saml_idp import NS, certificate, private_key


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


def digest_in_object(root: Any) -> None:
    value = root.find(".//ds:DigestValue", NS)
    box = child(root.find(".//ds:Signature", NS), f"{DS}Object")
    box.append(deepcopy(value))
    value.text = encoded(b"\0" * 32)


def moved_to_response(root: Any) -> None:
    root.insert(1, signature_of(assertion_of(root)))


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
