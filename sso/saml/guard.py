"""What a document must look like before anything else reads it: its bytes, then the place of every element.

An allowlist, not a list of attacks: whatever has no place here is refused, wherever it stands. What the document says
is no matter of this module.
"""

import base64
import binascii
import re
from collections import Counter
from typing import Any

import xmlsec
from lxml import etree

# No document makes xmlsec open a file or an address: what it refers to must be in the document itself.
xmlsec.cleanup_callbacks()
# Nor does what a document says end up in the process's error output.
xmlsec.enable_debug_trace(False)

MAX_ENCODED = 256 * 1024
MAX_NODES = 3_000  # elements, attributes and declarations of namespaces
MAX_DEPTH = 40
MAX_ID = 256
MAX_PREFIX_LIST = 256  # canonicalization looks each prefix up at each element

SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
DS = "http://www.w3.org/2000/09/xmldsig#"
DSIG_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
NS = {"samlp": SAMLP, "saml": SAML, "ds": DS, "xenc": XENC, "xenc11": XENC11, "ec": EXCLUSIVE_C14N}

SIGNATURE_METHODS = {f"{DSIG_MORE}{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512)}
DIGEST_METHODS = {f"{XENC}sha256": "sha256", f"{DSIG_MORE}sha384": "sha384", f"{XENC}sha512": "sha512"}
CIPHERS = {f"{XENC}aes{bits}-cbc" for bits in (128, 192, 256)} | {f"{XENC11}aes{bits}-gcm" for bits in (128, 192, 256)}
KEY_TRANSPORTS = {f"{XENC}rsa-oaep-mgf1p", f"{XENC11}rsa-oaep"}
OAEP_DIGESTS = {f"{DS}sha1", *DIGEST_METHODS}  # inside OAEP collisions are of no use to anybody

# Each element that may be there, and in what.
PLACES = {
    "samlp:Status": "samlp:Response samlp:LogoutResponse",
    "samlp:StatusCode": "samlp:Status samlp:StatusCode",
    "samlp:StatusMessage": "samlp:Status",
    "saml:Assertion": "samlp:Response",
    "saml:EncryptedAssertion": "samlp:Response",
    "saml:Issuer": "samlp:Response saml:Assertion samlp:LogoutRequest samlp:LogoutResponse",
    "saml:Subject": "saml:Assertion",
    "saml:NameID": "saml:Subject saml:AttributeValue samlp:LogoutRequest",
    "samlp:SessionIndex": "samlp:LogoutRequest",
    "saml:SubjectConfirmation": "saml:Subject",
    "saml:SubjectConfirmationData": "saml:SubjectConfirmation",
    "saml:Conditions": "saml:Assertion",
    "saml:AudienceRestriction": "saml:Conditions",
    "saml:Audience": "saml:AudienceRestriction saml:ProxyRestriction",
    "saml:OneTimeUse": "saml:Conditions",
    "saml:ProxyRestriction": "saml:Conditions",
    "saml:AuthnStatement": "saml:Assertion",
    "saml:SubjectLocality": "saml:AuthnStatement",
    "saml:AuthnContext": "saml:AuthnStatement",
    "saml:AuthnContextClassRef": "saml:AuthnContext",
    "saml:AuthnContextDeclRef": "saml:AuthnContext",
    "saml:AuthenticatingAuthority": "saml:AuthnContext",
    "saml:AttributeStatement": "saml:Assertion",
    "saml:Attribute": "saml:AttributeStatement",
    "saml:AttributeValue": "saml:Attribute",
    "ds:Signature": "samlp:Response saml:Assertion",
    "ds:SignedInfo": "ds:Signature",
    "ds:SignatureValue": "ds:Signature",
    "ds:KeyInfo": "ds:Signature xenc:EncryptedData xenc:EncryptedKey",
    "ds:CanonicalizationMethod": "ds:SignedInfo",
    "ds:SignatureMethod": "ds:SignedInfo",
    "ds:Reference": "ds:SignedInfo",
    "ds:Transforms": "ds:Reference",
    "ds:Transform": "ds:Transforms",
    "ds:DigestMethod": "ds:Reference xenc:EncryptionMethod",
    "ds:DigestValue": "ds:Reference",
    "ds:X509Data": "ds:KeyInfo",
    "ds:X509Certificate": "ds:X509Data",
    "ds:X509SubjectName": "ds:X509Data",
    "ds:X509IssuerSerial": "ds:X509Data",
    "ds:X509IssuerName": "ds:X509IssuerSerial",
    "ds:X509SerialNumber": "ds:X509IssuerSerial",
    "ds:X509SKI": "ds:X509Data",
    "ds:KeyName": "ds:KeyInfo",
    "ec:InclusiveNamespaces": "ds:CanonicalizationMethod ds:Transform",
    "xenc:EncryptedData": "saml:EncryptedAssertion",
    "xenc:EncryptionMethod": "xenc:EncryptedData xenc:EncryptedKey",
    "xenc:CipherData": "xenc:EncryptedData xenc:EncryptedKey",
    "xenc:CipherValue": "xenc:CipherData",
    "xenc:EncryptedKey": "ds:KeyInfo",
    "xenc11:MGF": "xenc:EncryptionMethod",
}
# The others are there once at most in what they stand in.
REPEATABLE = {
    "saml:AudienceRestriction",
    "saml:Audience",
    "saml:AuthenticatingAuthority",
    "saml:Attribute",
    "saml:AttributeValue",
    "saml:AttributeStatement",
    "saml:AuthnStatement",  # counted where statements are judged
    "saml:SubjectConfirmation",  # likewise
    "samlp:SessionIndex",
    "ds:Transform",
    "ds:X509Data",
    "ds:X509Certificate",
}
# Elements whose children are exactly these, in this order; "?" marks one that may be missing.
CHILDREN = {
    "ds:Signature": "ds:SignedInfo ds:SignatureValue ds:KeyInfo?",
    "ds:SignedInfo": "ds:CanonicalizationMethod ds:SignatureMethod ds:Reference",
    "ds:Reference": "ds:Transforms ds:DigestMethod ds:DigestValue",
    "ds:Transforms": "ds:Transform ds:Transform",
    "saml:EncryptedAssertion": "xenc:EncryptedData",
    "xenc:EncryptedData": "xenc:EncryptionMethod ds:KeyInfo xenc:CipherData",
    "xenc:EncryptedKey": "xenc:EncryptionMethod ds:KeyInfo? xenc:CipherData",
    "xenc:CipherData": "xenc:CipherValue",
}
TEXT_IS_KEPT = {"saml:AttributeValue"}  # the one element where text and elements may stand side by side

_DECLARATION = re.compile(
    rb"""\s*<\?xml\s+version=(["'])1\.0\1(\s+encoding=(["'])utf-8\3)?(\s+standalone=(["'])(yes|no)\5)?\s*\?>""",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_PREFIXES = {uri: prefix for prefix, uri in NS.items()}


class Refused(Exception):
    """A document that is not looked at any further. Of what it says only the name of an element may be in the text."""


class ForbiddenAlgorithm(Refused):
    """A signature that would prove nothing, such as one over SHA-1."""


def decode(encoded: str) -> bytes:
    """Return the bytes of a posted message. Lines may be broken, as in MIME; raises Refused for any other oddity."""
    if len(encoded) > MAX_ENCODED:
        raise Refused(f"more than {MAX_ENCODED // 1024} kB")
    packed = encoded.translate({9: None, 10: None, 13: None, 32: None})
    return strict_base64(packed)


def strict_base64(packed: str) -> bytes:
    """Return the bytes that a base64 text of one character or more stands for. Raises Refused."""
    if not _BASE64.fullmatch(packed):
        raise Refused("not base64")
    try:
        return base64.b64decode(packed, validate=True)
    except binascii.Error:
        raise Refused("not base64") from None


def parse(raw: bytes) -> Any:
    """Return the root of a document that is UTF-8 and nothing but elements and text. Raises Refused.

    There is no DTD, entity, comment, CDATA or processing instruction in it, so every parser reads the same from it.
    """
    declaration = _DECLARATION.match(raw)
    body = raw[declaration.end() :] if declaration else raw
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    if "\x00" in text or b"<!" in body or b"<?" in body:
        raise Refused("a DTD, comment, CDATA, processing instruction or another encoding than UTF-8")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Refused("not well-formed XML") from None
    _refuse_excess(root, raw.count(b"xmlns"))
    return root


def _refuse_excess(root: Any, nodes: int) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        nodes += sum(1 + len(element.attrib) for element in level)
        level = [child for element in level for child in element]
        if nodes > MAX_NODES:
            raise Refused(f"more than {MAX_NODES} elements, attributes and declarations")
    if level:
        raise Refused(f"elements in one another more than {MAX_DEPTH} deep")


def inspect(root: Any) -> None:
    """Let a Response pass whose every element has its place, and at most one assertion. Raises Refused.

    Signatures stand directly in what they sign and refer to just that, by algorithms of the allowlist.
    """
    if root.tag != f"{{{SAMLP}}}Response":
        raise Refused("another document than a Response")
    _inspect_elements(root)
    assertions = root.xpath("saml:Assertion | saml:EncryptedAssertion", namespaces=NS)
    if len(assertions) > 1:
        raise Refused("more than one assertion")
    for assertion in root.iterfind("saml:Assertion", NS):
        _refuse_nameless(assertion)
    for signature in root.iterfind(".//ds:Signature", NS):
        _refuse_odd_signature(signature)
    for method in root.iterfind(".//xenc:EncryptionMethod", NS):
        _refuse_odd_encryption(method)
    for data in root.iterfind(".//xenc:EncryptedData", NS):
        if data.get("Type") != f"{XENC}Element" or [_name(e) for e in data.find("ds:KeyInfo", NS)] != [
            "xenc:EncryptedKey"
        ]:
            raise Refused("encrypted data of another kind than an element with its one key")


def inspect_logout(root: Any, name: str) -> None:
    """Let a document pass that is a LogoutRequest or LogoutResponse, as `name` says, and every element of which has
    its place. Raises Refused.

    By HTTP-Redirect it holds no signature: that one is in the address (SAML bindings 3.4.4.1).
    """
    if root.tag != f"{{{SAMLP}}}{name}":
        raise Refused(f"another document than a {name}")
    if root.find("saml:EncryptedID", NS) is not None:
        raise Refused("an encrypted NameID, which is not supported here: send it in the clear")
    _inspect_elements(root)


def _inspect_elements(root: Any) -> None:
    for element in root.iter():
        _refuse_misplaced(element)
    _refuse_ambiguous_ids(root)
    _refuse_nameless(root)


def _refuse_nameless(element: Any) -> None:
    if element.get("Version") != "2.0":
        raise Refused("another version than 2.0")
    if not element.get("ID"):
        raise Refused(f"no ID on {_name(element)}")


def _name(element: Any) -> str:
    """Return an element's name with the prefix that this module calls its namespace by, or nothing."""
    name = etree.QName(element)
    return f"{_PREFIXES[name.namespace]}:{name.localname}" if name.namespace in _PREFIXES else ""


def _refuse_misplaced(element: Any) -> None:
    name = _name(element)
    parent = element.getparent()
    if parent is not None and (name not in PLACES or _name(parent) not in PLACES[name].split()):
        raise Refused(f"an element that has no place there: {etree.QName(element).localname}")
    children = [_name(child) for child in element]
    if any(count > 1 and child not in REPEATABLE for child, count in Counter(children).items()):
        raise Refused(f"an element twice in {name}")
    if name in CHILDREN and not _matches(children, CHILDREN[name].split()):
        raise Refused(f"{name} with other elements than it must have")
    if children and name not in TEXT_IS_KEPT and any(text.strip() for text in element.xpath("text()")):
        raise Refused(f"text between the elements of {name}")


def _matches(children: list[str], wanted: list[str]) -> bool:
    return children in ([w.rstrip("?") for w in wanted], [w for w in wanted if not w.endswith("?")])


def _refuse_ambiguous_ids(root: Any) -> None:
    """Let each ID stand for one element, whatever a parser takes for an ID."""
    ids = [
        value
        for element in root.iter()
        for attribute, value in element.attrib.items()
        if etree.QName(attribute).localname.lower() == "id"
    ]
    if len(set(ids)) != len(ids):
        raise Refused("an ID twice")
    if any(len(one) > MAX_ID or not _ID.fullmatch(one) for one in ids):
        raise Refused("an ID that is no name")


def _refuse_odd_signature(signature: Any) -> None:
    """Let a signature refer to the element it stands in, as SAML core 5.4 has it."""
    info = signature.find("ds:SignedInfo", NS)
    reference = info.find("ds:Reference", NS)
    if reference.get("URI") != f"#{signature.getparent().get('ID')}":
        raise Refused("a signature of another element than it stands in")
    transforms = [transform.get("Algorithm") for transform in reference.find("ds:Transforms", NS)]
    if transforms != [ENVELOPED, EXCLUSIVE_C14N]:
        raise Refused("other transforms than enveloped signature and exclusive canonicalization")
    if any(
        len(each.get("PrefixList", "")) > MAX_PREFIX_LIST for each in info.iterfind(".//ec:InclusiveNamespaces", NS)
    ):
        raise Refused("a long list of prefixes")
    if info.find("ds:CanonicalizationMethod", NS).get("Algorithm") != EXCLUSIVE_C14N:
        raise Refused("another canonicalization than the exclusive one")
    if info.find("ds:SignatureMethod", NS).get("Algorithm") not in SIGNATURE_METHODS:
        raise ForbiddenAlgorithm("another signature algorithm than RSA or ECDSA with SHA-256, SHA-384 or SHA-512")
    if reference.find("ds:DigestMethod", NS).get("Algorithm") not in DIGEST_METHODS:
        raise ForbiddenAlgorithm("another digest than SHA-256, SHA-384 or SHA-512")
    for value in (signature.find("ds:SignatureValue", NS), reference.find("ds:DigestValue", NS)):
        strict_base64("".join((value.text or "").split()))
    if signature.xpath("ds:KeyInfo/xenc:EncryptedKey", namespaces=NS):
        raise Refused("an encrypted key in a signature")


def _refuse_odd_encryption(method: Any) -> None:
    """Let AES wrapped with RSA-OAEP pass."""
    wraps_a_key = _name(method.getparent()) == "xenc:EncryptedKey"
    if method.get("Algorithm") not in (KEY_TRANSPORTS if wraps_a_key else CIPHERS):
        raise Refused("another encryption than AES wrapped with RSA-OAEP")
    digests = method.findall("ds:DigestMethod", NS)
    if any(digest.get("Algorithm") not in OAEP_DIGESTS for digest in digests):
        raise Refused("another digest in RSA-OAEP than SHA-1 or SHA-2")
