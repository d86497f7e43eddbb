"""Which identity providers may sign anybody in at this moment. Asked again at every step of a sign-in, so that what an
owner or the operator changes also acts on the sign-ins in flight (ASVS 7.4).
"""

import base64
import re
import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from accounts.models import WorkspaceDomain
from accounts.sso_requirement import domain_of
from spatialflow.errors import NotFound
from sso.models import IdentityProvider
from sso.saml_plan import SAML_PLANS, refuse_other_plans

SLUG = re.compile(r"[A-Za-z0-9_-]{1,255}")
PROVIDER_NAME = re.compile(r"saml-([A-Za-z0-9_-]{22})")


@dataclass(frozen=True)
class Method:
    """How people of a mail domain sign in: by their workspace's provider, or with what they have here."""

    method: str  # saml or password
    workspace_slug: str | None = None
    idp_name: str | None = None
    required: bool = False  # nothing else is let in


def find_serving(slug: str) -> IdentityProvider:
    """Return the provider that signs in to a workspace, with the workspace. Raises `NotFound`, alike for a workspace
    that is not there, is suspended or has no provider in service; `PlanRequired`.
    """
    provider = _serving().filter(workspace__slug=slug).first() if SLUG.fullmatch(slug) else None
    if provider is None:
        raise NotFound()
    refuse_other_plans(provider.workspace.plan)
    return provider


def find_by_name(provider_name: str) -> IdentityProvider | None:
    """Return the serving provider of that name among social-auth's (`saml-...`), if its plan still fits."""
    named = PROVIDER_NAME.fullmatch(provider_name)
    if named is None:
        return None
    identifier = uuid.UUID(bytes=base64.urlsafe_b64decode(f"{named.group(1)}=="))
    return _serving().filter(id=identifier, workspace__plan__in=SAML_PLANS).first()


def detect_method(email: str) -> Method:
    """Return how people with a canonical address sign in, by its domain alone: who has it is not looked at."""
    domains = WorkspaceDomain.objects.proven().filter(domain=domain_of(email)).values("workspace_id")
    provider = _serving().filter(workspace_id__in=domains, workspace__plan__in=SAML_PLANS).first()
    if provider is None:
        return Method("password")
    workspace = provider.workspace
    return Method("saml", workspace.slug, display_name(provider), workspace.requires_sso)


def display_name(provider: IdentityProvider) -> str:
    """Return what a button calls a provider: the product, or the workspace whose own it is."""
    if provider.preset == IdentityProvider.Preset.CUSTOM:
        return provider.workspace.name
    return IdentityProvider.Preset(provider.preset).label


def why_not_serving(provider: IdentityProvider, *, is_test: bool) -> str:
    """Return what keeps a provider, as it is stored now with its workspace, from answering; nothing if nothing does.

    A test may be of one that is staged, or not enabled yet.
    """
    if provider.workspace.suspended_at is not None:
        return "the workspace is suspended"
    if provider.workspace.plan not in SAML_PLANS:
        return f"the plan is {provider.workspace.plan}"
    if provider.state == IdentityProvider.State.FORMER:
        return "replaced by another connection"
    if is_test:
        return ""
    if provider.state != IdentityProvider.State.SERVING:
        return "staged"
    return "" if provider.is_enabled else "switched off"


def _serving() -> "QuerySet[IdentityProvider]":
    serving = IdentityProvider.objects.filter(state=IdentityProvider.State.SERVING, is_enabled=True)
    return serving.filter(workspace__suspended_at=None).select_related("workspace")
