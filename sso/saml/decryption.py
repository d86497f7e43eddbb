"""Encrypted assertions. Decrypting proves nothing: everybody can encrypt for us. So what comes out is looked at like
what came in.
"""

import secrets
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import xmlsec
from lxml import etree

from sso.saml.guard import NS, Refused, inspect, parse


def decrypted(root: Any, keys: Iterable[tuple[str, str]]) -> tuple[Any, str]:
    """Return a Response's document with its assertion in the clear, guarded again, and what the key is called that
    opened it: `keys` are names and private keys (PEM), tried in turn. Raises Refused.

    The plain text is put in place as bytes and then parsed as any document is, so that nothing is in the tree which
    that parser would not let in.
    """
    encrypted_data = root.find("saml:EncryptedAssertion/xenc:EncryptedData", NS)
    text, name = _plain_text(encrypted_data, keys)
    plain = _with_namespaces(text, encrypted_data.nsmap)
    copy = deepcopy(root)
    clear = _in_place_of(copy.find("saml:EncryptedAssertion", NS), plain)
    inspect(clear)
    if clear.find("saml:Assertion", NS) is None:
        raise Refused("something else than an assertion")
    return clear, name


def _with_namespaces(plain: bytes, nsmap: dict[str | None, str]) -> bytes:
    """Return the one element of a plain text with the namespaces that it may have from around it."""
    around = etree.Element("around", nsmap=nsmap)
    around = _in_place_of(etree.SubElement(around, "place"), plain)
    if len(around) != 1 or (around.text or "").strip() or (around[0].tail or "").strip():
        raise Refused("something else than an assertion")
    return etree.tostring(around[0], with_tail=False)


def _in_place_of(element: Any, text: bytes) -> Any:
    """Return an element's document, parsed with a text in that element's place."""
    mark = etree.ProcessingInstruction("place", secrets.token_hex(16))
    spelling = etree.tostring(mark)
    mark.tail = element.tail
    parent = element.getparent()
    parent.replace(element, mark)
    before, _, after = etree.tostring(parent).partition(spelling)
    return parse(before + text + after)


def _plain_text(encrypted_data: Any, keys: Iterable[tuple[str, str]]) -> tuple[bytes, str]:
    """Return what is encrypted, as bytes, and what the key is called. Every failure is the same one: which step fails,
    and with which key, says something of a key.
    """
    for name, private_key in keys:
        data = deepcopy(encrypted_data)
        del data.attrib["Type"]  # without it xmlsec hands out bytes and parses nothing
        manager = xmlsec.KeysManager()
        try:
            manager.add_key(xmlsec.Key.from_memory(private_key, xmlsec.KeyFormat.PEM))  # type: ignore[attr-defined]
            plain = xmlsec.EncryptionContext(manager).decrypt(data)
        except (xmlsec.Error, ValueError, TypeError):
            continue
        if isinstance(plain, bytes):
            return plain, name
    raise Refused("cannot be decrypted with our key")
