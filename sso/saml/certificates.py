"""The certificates of identity providers: read from PEM or metadata, refused where they are too weak, described."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

MAX_CERTIFICATES = 10
MIN_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1)
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


class UnusableCertificate(ValueError):
    """A sentence that says what is wrong and what to do; it holds nothing of what was sent."""


@dataclass(frozen=True)
class CertificateFacts:
    """What people recognise a certificate by, and how long it lasts."""

    subject: str
    fingerprint: str  # SHA-256 over DER, in upper-case hex with colons, as identity providers show it
    not_before: datetime
    not_after: datetime
    pem: str

    @property
    def is_expired(self) -> bool:
        return self.not_after <= timezone.now()

    @property
    def expires_in_days(self) -> int:
        """Whole days that are left; negative behind its end."""
        return (self.not_after - timezone.now()).days


def read_pem(text: str) -> list[str]:
    """Return the certificates of a PEM text with one or several blocks, each in the one spelling that is stored.

    Raises `UnusableCertificate` for a private key, for anything beside the blocks, and for what `read_der` refuses.
    """
    if re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY", text):
        raise UnusableCertificate(
            "This holds a private key, which nobody else may see. Replace that key at the identity provider, for it "
            "was sent over the network, and send its certificate alone."
        )
    blocks = BLOCK.findall(text)
    if not blocks or BLOCK.sub("", text).strip():
        raise UnusableCertificate(
            "Enter X.509 certificates in PEM: each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----."
        )
    if len(blocks) > MAX_CERTIFICATES:
        raise UnusableCertificate(f"Enter at most {MAX_CERTIFICATES} certificates.")
    return unique([read_base64(block) for block in blocks])


def read_base64(text: str) -> str:
    """Return the certificate in DER and base64 as PEM. Raises `UnusableCertificate`."""
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnusableCertificate("A certificate is not base64; copy it again as a whole.") from None
    return _read_der(der)


def _read_der(der: bytes) -> str:
    """Return the certificate as PEM. Raises `UnusableCertificate` for a weak key, and for what is none."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        # What is read later must not fail then.
        _facts(certificate)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableCertificate("A certificate cannot be read; copy it again as a whole.") from None
    if isinstance(key, rsa.RSAPublicKey):
        is_strong = key.key_size >= MIN_RSA_BITS
    else:
        is_strong = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    if not is_strong:
        raise UnusableCertificate(
            "A certificate's key is too weak or of a kind that is not supported. Use RSA with at least 2048 bits, or "
            "the curve P-256 or P-384."
        )
    return certificate.public_bytes(Encoding.PEM).decode()


def unique(certificates: list[str]) -> list[str]:
    """Return the certificates without repetitions, in their order."""
    return list(dict.fromkeys(certificates))


def describe(pem: str) -> CertificateFacts:
    """Return the facts of a stored certificate."""
    return _facts(x509.load_pem_x509_certificate(pem.encode()))


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(SHA256()).hex(":").upper(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )


def fingerprints(certificates: list[str]) -> list[str]:
    """Return the fingerprints of stored certificates, for the audit trail."""
    return [describe(pem).fingerprint for pem in certificates]
