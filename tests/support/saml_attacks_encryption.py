"""Hostile answers whose encryption is not as it should be, or hides what must not be there."""

import base64
from typing import Any

from tests.support.saml_attacks import (
    DS,
    VICTIM,
    XENC,
    Maker,
    Scene,
    add,
    assertion_of,
    child,
    encoded,
    grown,
    removed,
    repeated,
    tampered,
    without,
)
from tests.support.saml_idp import NS, certificate


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
