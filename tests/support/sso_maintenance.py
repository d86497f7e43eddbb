"""The hourly command of single sign-on, as its tests run it, and the identity providers that it looks at."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command

from accounts.models import AuditEvent, Workspace
from sso.models import IdentityProvider
from tests.support.mails import delivered

DAY = timedelta(days=1)


def maintain() -> list[str]:
    """Run the command once and return its lines."""
    output = StringIO()
    call_command("sso_maintenance", stdout=output)
    return output.getvalue().splitlines()


def told() -> list[tuple[str, str]]:
    return sorted((message.to[0], message.subject) for message in delivered())


def actions() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="domain.").order_by("sequence")
    return list(events.values_list("action", flat=True))


def certificate(left: timedelta) -> str:
    """Return a certificate that ends after this time, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.test")])
    ends_at = datetime.now(UTC) + left
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(ends_at - timedelta(days=900)).not_valid_after(ends_at)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def a_provider(workspace: Workspace, certificates: list[str], **fields: Any) -> IdentityProvider:
    return IdentityProvider.objects.create(
        **{
            "workspace": workspace,
            "entity_id": "https://idp.test/metadata",
            "sso_url": "https://idp.test/sso",
            "certificates": certificates,
            **fields,
        }
    )
