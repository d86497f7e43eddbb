"""Hostile answers that wrap: what is signed is kept somewhere, what is read is another."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lxml import etree

from tests.support.saml_attacks import (
    DS,
    SAML,
    SAMLP,
    VICTIM,
    Maker,
    Scene,
    add,
    assertion_of,
    bent,
    child,
    encoded,
    forged,
    signature_of,
)
from tests.support.saml_idp import NS


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
