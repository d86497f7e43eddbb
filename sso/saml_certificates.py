"""One certificate of a connection at a time, added or taken away under the lock that orders all its changes: two owners
who do so at the same moment lose nothing of one another's.
"""

from django.db import transaction
from rest_framework import serializers, status
from rest_framework.request import Request

from spatialflow.errors import ApiError, Conflict
from sso.models import IdentityProvider
from sso.saml.certificates import MAX_CERTIFICATES, describe, unique
from sso.saml_config import find_in, lock_own_workspace, store
from sso.saml_meant import refuse_others
from sso.saml_plan import refuse_other_plans


class CertificateNotHeld(Conflict):
    default_detail = "The connection holds no such certificate any more: somebody took it away before."
    default_code = "certificate_not_held"


class LastCertificate(ApiError):
    """A connection without a certificate could trust nobody."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This is the last certificate of the connection. Add the next one first."
    default_code = "last_certificate"


@transaction.atomic
def add(request: Request, certificates: list[str], state: str, meant: str | None = None) -> None:
    """Let these certificates count beside those that the connection holds at that moment.

    Raises `NotFound`, `PlanRequired`, `InsufficientPermissions`, the 422 of `certificate` for more than fit, and what
    `refuse_others` raises of the one that is `meant`.
    """
    provider = _lock(request, state, meant)
    held = unique([*provider.certificates, *certificates])
    if len(held) > MAX_CERTIFICATES:
        said = f"A connection holds at most {MAX_CERTIFICATES} certificates. Take one away first."
        raise serializers.ValidationError({"certificate": [said]})
    store(provider, provider.workspace, {"certificates": held}, request)


@transaction.atomic
def remove(request: Request, fingerprint: str, state: str, meant: str | None = None) -> None:
    """Take away the certificate with this SHA-256 fingerprint.

    Raises `NotFound`, `PlanRequired`, `InsufficientPermissions`, `CertificateNotHeld`, `LastCertificate`,
    `SsoIsRequired`, and what `refuse_others` raises of the one that is `meant`.
    """
    provider = _lock(request, state, meant)
    kept = [pem for pem in provider.certificates if describe(pem).fingerprint != fingerprint]
    if len(kept) == len(provider.certificates):
        raise CertificateNotHeld()
    if not kept:
        raise LastCertificate()
    store(provider, provider.workspace, {"certificates": kept}, request)


def _lock(request: Request, state: str, meant: str | None) -> IdentityProvider:
    """Return the connection as it is, while nobody else changes it."""
    workspace = lock_own_workspace(request)
    refuse_other_plans(workspace.plan)
    refuse_others(workspace.id, state, meant)
    return find_in(workspace.id, state)
