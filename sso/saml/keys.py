"""The keys of a workspace's service provider: one signs what we ask of its identity provider, each decrypts answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.utils import timezone

from accounts.models import Workspace
from spatialflow import clock
from spatialflow.encryption import decrypt, encrypt
from sso.models import SamlKeyPair

State = SamlKeyPair.State
KEY_BITS = 3072
# Identity providers pin the certificate; its end is no protection, and nobody could sign in on the day after it.
CERTIFICATE_LIFETIME = timedelta(days=3650)
MAX_COMMON_NAME = 64  # RFC 5280 appendix A.1, ub-common-name


@dataclass(frozen=True)
class KeyPair:
    """A private key and the certificate over its public half, both in PEM."""

    private_key: str
    certificate: str

    def __repr__(self) -> str:
        return "KeyPair(private_key=…)"  # traces print values; this one never


def get_key_pair(workspace: Workspace) -> KeyPair:
    """Return the workspace's present key pair, which is made when it is first asked for; the private key is stored
    encrypted.

    Of several requests that ask for the first time at once, all get the pair whose INSERT came first. Raises
    `CannotDecrypt` where the key of ENCRYPTION_KEYS is gone that it was encrypted with.
    """
    stored = _present(workspace)
    return KeyPair(decrypt(stored.private_key), stored.certificate)


def get_certificate(workspace: Workspace) -> str:
    """Return the certificate of the present key (PEM), which is made as `get_key_pair` says: for encryption too, so
    that the provider never has to choose.
    """
    return _present(workspace).certificate


def signing_certificates(workspace: Workspace) -> list[str]:
    """Return the certificates (PEM) that what we sign may be of before this is read again: the present key's first."""
    present = _present(workspace)
    return [present.certificate, *(row.certificate for row in _beside(workspace))]


def next_certificate(workspace: Workspace) -> str | None:
    """Return the certificate (PEM) that is to take the present one's place, if one is prepared."""
    return next((row.certificate for row in _beside(workspace) if row.state == State.NEXT), None)


def decryption_keys(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Yield each private key (PEM), after the state of its row: the present one's first. Raises `CannotDecrypt`."""
    yield State.PRESENT, get_key_pair(workspace).private_key
    for row in _beside(workspace):
        yield row.state, decrypt(row.private_key)


def note_use_of_former(workspace: Workspace) -> None:
    """Note that the provider still encrypts for the former key, so that it is not taken away."""
    former = SamlKeyPair.objects.filter(workspace=workspace, state=State.FORMER)
    former.update(used_as_former_at=clock.now())


def new_row(workspace: Workspace, state: str) -> SamlKeyPair:
    """Return a new key pair for the workspace, not yet stored."""
    made = _make(workspace.slug)
    return SamlKeyPair(
        workspace=workspace, state=state, private_key=encrypt(made.private_key), certificate=made.certificate
    )


def _present(workspace: Workspace) -> SamlKeyPair:
    rows = SamlKeyPair.objects.filter(workspace=workspace, state=State.PRESENT)
    stored = rows.first()
    if stored is None:
        SamlKeyPair.objects.bulk_create([new_row(workspace, State.PRESENT)], ignore_conflicts=True)
        stored = rows.get()
    return stored


def _beside(workspace: Workspace) -> list[SamlKeyPair]:
    return list(SamlKeyPair.objects.filter(workspace=workspace).exclude(state=State.PRESENT).order_by("id"))


def _make(name: str) -> KeyPair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"spatialflow {name}"[:MAX_COMMON_NAME])])
    begins = timezone.now() - timedelta(days=1)  # for clocks behind ours
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(private, certificate.public_bytes(Encoding.PEM).decode())
