"""Which names and addresses of an identity provider are stored: what browsers are sent to must lead nowhere odd."""

import re
from urllib.parse import urlsplit

from django.conf import settings
from rest_framework.serializers import ValidationError

from accounts.models import Workspace
from sso.outbound import LOOPBACK
from sso.saml import service_provider

MAX_URL = 2000
MAX_ENTITY_ID = 1024  # SAML core 8.3.6
VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # ASCII without blanks and the backslash, which browsers repair


def refuse_unusable_url(text: str) -> None:
    """Raise the 422 unless browsers may be sent to this address: https, or http to this machine in development."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or not VISIBLE.fullmatch(text):
        raise ValidationError("Enter the address as the identity provider shows it, beginning with https://.")
    if len(text) > MAX_URL:
        raise ValidationError(f"Enter an address of at most {MAX_URL} characters.")
    is_local = parts.scheme == "http" and host in LOOPBACK and not settings.PRODUCTION
    if parts.scheme != "https" and not is_local:
        raise ValidationError("Enter an https:// address.")
    if "@" in parts.netloc or parts.fragment:
        raise ValidationError("Enter an address without a user name and without a # in it.")


def refuse_unusable_entity_id(text: str) -> None:
    """Raise the 422 unless this can be the name of an identity provider (SAML core 8.3.6)."""
    if not 1 <= len(text) <= MAX_ENTITY_ID or not text.isprintable():
        raise ValidationError(
            f"Enter the entity ID (issuer) as the identity provider shows it, at most {MAX_ENTITY_ID} characters."
        )


def refuse_own_entity_id(text: str, workspace: Workspace) -> None:
    """Raise the 422 where our own entity ID was taken for the provider's."""
    if text == service_provider.entity_id(workspace):
        raise ValidationError(
            {"entity_id": ["This is the entity ID of this service. Enter that of your identity provider."]}
        )
