"""Messages in an address, with their signature beside them: the HTTP-Redirect binding (SAML bindings 3.4)."""

import zlib
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Constants
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from rest_framework.exceptions import ParseError

from spatialflow.strict_forms import read_fields
from sso.saml.guard import DSIG_MORE, Refused, strict_base64

MAX_ENCODED = 32 * 1024  # servers take no longer addresses anyway
MAX_INFLATED = 64 * 1024
MAX_RELAY_STATE = 1024  # SAML bindings 3.4.3 says 80, and providers send more
DEFLATE = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"
MESSAGES = ("SAMLRequest", "SAMLResponse")
SIGNED = (*MESSAGES, "RelayState", "SigAlg")  # in this order
DIGESTS: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


@dataclass(frozen=True)
class RedirectMessage:
    """One message as it came; nothing of it is verified."""

    name: str  # SAMLRequest or SAMLResponse
    document: bytes
    relay_state: str | None
    algorithm: str  # empty where it is not signed
    signature: bytes
    signed: bytes  # the octets that the signature is of

    def is_signed_by(self, pem: str) -> bool:
        """Return whether the key of a certificate has signed this, by RSA or ECDSA with SHA-2: by its own kind."""
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        kind, _, bits = self.algorithm.removeprefix(DSIG_MORE).partition("-sha")
        if not self.algorithm.startswith(DSIG_MORE) or bits not in DIGESTS:
            return False
        try:
            if kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
                key.verify(self.signature, self.signed, padding.PKCS1v15(), DIGESTS[bits])
                return True
            if kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(_as_der(self.signature, key), self.signed, ec.ECDSA(DIGESTS[bits]))
                return True
        except InvalidSignature:
            pass
        return False


def _as_der(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a signature of XML (RFC 4050 section 3.3: r and s, each as long as the curve) as libraries spell it."""
    half = (key.key_size + 7) // 8
    if len(signature) != 2 * half:
        raise InvalidSignature
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def redirect_url(address: str, name: str, document: bytes, private_key: str, relay_state: str | None = None) -> str:
    """Return the address that brings a document to somebody. Signed with RSA-SHA256 where there is a key (PEM): the
    octets as they are sent (SAML bindings 3.4.4.1).
    """
    query = urlencode({name: OneLogin_Saml2_Utils.deflate_and_base64_encode(document)})
    if relay_state is not None:
        query += f"&{urlencode({'RelayState': relay_state})}"
    if private_key:
        query += f"&{urlencode({'SigAlg': Constants.RSA_SHA256})}"
        signature = OneLogin_Saml2_Utils.b64encode(OneLogin_Saml2_Utils.sign_binary(query, private_key))
        query += f"&{urlencode({'Signature': signature})}"
    return f"{address}{'&' if '?' in address else '?'}{query}"


def read_redirect(query: str) -> RedirectMessage:
    """Return the one message in a query, as it came over the wire. Raises Refused for whatever could be read in two
    ways: a name twice or spelt otherwise, two messages, another encoding, something behind the deflated document.
    """
    try:
        fields = read_fields(query.encode("ascii"))
    except (ParseError, UnicodeEncodeError):
        raise Refused("a query that is not UTF-8 in ASCII, or names something twice") from None
    raw = dict(part.partition("=")[::2] for part in query.split("&"))
    known = {name for name in fields if name in (*SIGNED, "Signature", "SAMLEncoding")}
    messages = known.intersection(MESSAGES)
    if len(messages) != 1:
        raise Refused("not exactly one message")
    if not known <= raw.keys() or fields.get("SAMLEncoding", DEFLATE) != DEFLATE:
        raise Refused("another encoding than DEFLATE")
    relay_state = fields.get("RelayState")
    if relay_state is not None and len(relay_state) > MAX_RELAY_STATE:
        raise Refused(f"more than {MAX_RELAY_STATE} characters of RelayState")
    (name,) = messages
    is_signed = {"SigAlg", "Signature"} <= known
    return RedirectMessage(
        name=name,
        document=_inflate(_decode(raw[name])),
        relay_state=relay_state,
        algorithm=fields["SigAlg"] if is_signed else "",
        signature=_decode(raw["Signature"]) if is_signed else b"",
        signed="&".join(f"{each}={raw[each]}" for each in SIGNED if each in known).encode(),
    )


def _decode(value: str) -> bytes:
    """Return the bytes of a value of the query: base64, percent-encoded. A bare + is one, not a blank."""
    if len(value) > MAX_ENCODED:
        raise Refused(f"more than {MAX_ENCODED // 1024} kB")
    return strict_base64(unquote_to_bytes(value).decode("latin-1"))


def _inflate(packed: bytes) -> bytes:
    """Return what a raw deflate stream holds, never more than MAX_INFLATED of it in memory (RFC 1951)."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        document = stream.decompress(packed, MAX_INFLATED)
    except zlib.error:
        raise Refused("not deflated") from None
    if stream.unconsumed_tail or not stream.eof or stream.unused_data:
        raise Refused(f"more than {MAX_INFLATED // 1024} kB, or not just one deflated document")
    return document
