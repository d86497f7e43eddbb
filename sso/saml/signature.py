"""Signatures of a document that has passed the guard, and what exactly they cover."""

import base64
import hashlib
from copy import deepcopy
from typing import Any

import xmlsec
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from sso.saml.certificates import UnusableCertificate, describe, fingerprints, read_base64
from sso.saml.guard import DIGEST_METHODS, NS, Refused, parse
from sso.saml.verdict import Check


class BadSignature(Exception):
    """A signature that does not hold."""


def signed_content(element: Any, certificates: list[str]) -> Any | None:
    """Return what the signature in an element covers, parsed from the very bytes whose digest was signed.

    None where the element bears no signature. A key in the message counts for nothing: one of the certificates (PEM)
    must have signed. Raises BadSignature.
    """
    signature = element.find("ds:Signature", NS)
    if signature is None:
        return None
    root = element.getroottree().getroot()
    xmlsec.tree.add_ids(root, ["ID"])
    if not any(OneLogin_Saml2_Utils.validate_node_sign(signature, root, cert=pem) for pem in certificates):
        raise BadSignature
    return _covered(element, signature.find("ds:SignedInfo/ds:Reference", NS))


def _covered(element: Any, reference: Any) -> Any:
    """Return the element in the canonical form that the reference's digest is of, computed here once more."""
    digest = DIGEST_METHODS[reference.find("ds:DigestMethod", NS).get("Algorithm")]
    wanted = base64.b64decode("".join(reference.findtext("ds:DigestValue", "", NS).split()))
    inclusive = reference.find("ds:Transforms/ds:Transform/ec:InclusiveNamespaces", NS)
    prefixes = [] if inclusive is None else inclusive.get("PrefixList", "").split()
    copies = (deepcopy, _with_every_namespace) if prefixes else (deepcopy,)
    for copy in copies:
        try:
            canonical = _canonical(copy(element), prefixes)
            if hashlib.new(digest, canonical).digest() == wanted:
                return parse(canonical)
        except (etree.LxmlError, ValueError, Refused):  # a namespace that has no canonical form, for instance
            continue
    raise BadSignature


def _with_every_namespace(element: Any) -> Any:
    """Return a copy with the prefixes that the elements around it declare: a PrefixList may name one of them."""
    copy = etree.Element(element.tag, dict(element.attrib), nsmap=element.nsmap)
    copy.text = element.text
    copy.extend(deepcopy(child) for child in element)
    return copy


def _canonical(copy: Any, prefixes: list[str]) -> bytes:
    """Return the exclusive canonical form without the enveloped signature; the text behind that one stays."""
    signature = copy.find("ds:Signature", NS)
    tail, before = signature.tail or "", signature.getprevious()
    copy.remove(signature)
    if before is None:
        copy.text = (copy.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    return etree.tostring(copy, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes)


def check(elements: list[Any], holds: bool, certificates: list[str]) -> Check:
    """Return the check `signature`; it names the certificate that the message claims, to compare with ours."""
    return Check("signature", holds, " or ".join(fingerprints(certificates)), _claimed_certificate(elements))


def _claimed_certificate(elements: list[Any]) -> str:
    signatures = [found for element in elements if (found := element.find("ds:Signature", NS)) is not None]
    if not signatures:
        return "no signature"
    claimed = signatures[0].findtext("ds:KeyInfo/ds:X509Data/ds:X509Certificate", "", NS)
    if not claimed:
        return "a signature without a certificate"
    try:
        return describe(read_base64(claimed)).fingerprint
    except UnusableCertificate:
        return "a signature with a certificate that cannot be used"
