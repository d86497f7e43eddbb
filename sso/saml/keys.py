"""The key pair of a workspace's service provider: signs what we ask of its identity provider, and decrypts answers."""

from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.db import transaction
from django.utils import timezone

from accounts.audit import Action, record
from accounts.models import Workspace
from accounts.operations import OPERATOR
from spatialflow.encryption import decrypt, encrypt
from sso.models import SamlKeyPair

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
    """Return the workspace's key pair, which is made when it is first asked for; the private key is stored encrypted.

    Of several requests that ask for the first time at once, all get the pair whose INSERT came first. Raises
    `CannotDecrypt` where the key of ENCRYPTION_KEYS is gone that it was encrypted with.
    """
    stored = SamlKeyPair.objects.filter(workspace=workspace).first()
    if stored is None:
        made = _make(workspace.slug)
        row = SamlKeyPair(workspace=workspace, private_key=encrypt(made.private_key), certificate=made.certificate)
        SamlKeyPair.objects.bulk_create([row], ignore_conflicts=True)
        stored = SamlKeyPair.objects.get(workspace=workspace)
    return KeyPair(decrypt(stored.private_key), stored.certificate)


@transaction.atomic
def replace_key_pair(workspace: Workspace) -> str:
    """Give the workspace's service provider a new key pair at once, and return its certificate. Only the operator may.

    The identity provider knows nothing of it: until its administrators have entered the certificate, what is signed by
    the new key is not believed there, and what is encrypted for the old one is refused here.
    """
    made = _make(workspace.slug)
    fields = {"private_key": encrypt(made.private_key), "certificate": made.certificate, "created_at": timezone.now()}
    SamlKeyPair.objects.update_or_create(workspace=workspace, defaults=fields)
    record(
        Action.SSO_CONFIGURED,
        OPERATOR,
        "The operator replaced the service provider's key.",
        workspace_id=workspace.id,
        resource=("workspace", workspace.id),
    )
    return made.certificate


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
