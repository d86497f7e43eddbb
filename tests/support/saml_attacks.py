"""What hostile answers are made of: each is made by Carol, who has a valid account at the provider, or by a stranger,
to come in as Alice, and says which check must refuse it, so that no refusal passes for another's reason.
"""

import base64
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lxml import etree

from tests.support.saml_idp import NS, Message, SamlIdp

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


# --- Edits of a tree, and where

ASSERTION = "saml:Assertion"
SIGNATURE = f"{ASSERTION}/ds:Signature"
INFO = f"{SIGNATURE}/ds:SignedInfo"
REFERENCE = f"{INFO}/ds:Reference"
NAME_ID = f"{ASSERTION}/saml:Subject/saml:NameID"


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
