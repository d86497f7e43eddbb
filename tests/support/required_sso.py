"""Workspaces that require single sign-on, and sign-ins as an identity provider or a recovery link begins them, stored
without one.
"""

import re
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Membership, User, Workspace, WorkspaceDomain
from accounts.principal import Client
from accounts.tokens import TokenPair, issue
from tests.support.cast import Actor, bearer, make_user, make_workspace

LOGIN = "/api/v1/auth/login"


def demand(workspace: Workspace, domain: str = "acme.test", **fields: Any) -> WorkspaceDomain:
    """Let a workspace require single sign-on of a proven domain, as if it had always done so."""
    Workspace.objects.filter(id=workspace.id).update(requires_sso=True)
    return WorkspaceDomain.objects.create(
        **{"workspace": workspace, "domain": domain, "verified_at": timezone.now(), **fields}
    )


def refusal(slug: str = "acme", detail: str | None = None) -> dict[str, str]:
    """Return what is answered to whoever has to come in by the provider of this workspace."""
    return {
        "detail": detail or "Your organisation requires single sign-on. Open sso_url in a browser to sign in.",
        "error_code": "sso_required",
        "workspace_slug": slug,
        "sso_url": f"{settings.PUBLIC_URL}/api/v1/auth/saml/{slug}/initiate",
    }


def sign_in_by(actor: Actor, method: str = "saml", ends_by: datetime | None = None) -> TokenPair:
    return issue(actor.membership, method, Client("192.0.2.9", "tests"), ends_by=ends_by)


def client_by(actor: Actor, method: str = "saml") -> APIClient:
    return bearer(sign_in_by(actor, method).access_token)


def post(client: Any, path: str, **body: Any) -> tuple[int, Any]:
    response = client.post(path, body, format="json")
    return response.status_code, response.json()


def person(email: str, **fields: Any) -> User:
    """Return a person with a workspace of their own."""
    user = make_user(email, **{"email_verified_at": timezone.now(), **fields})
    own = make_workspace(re.sub(r"\W", "-", email), plan="free")
    Membership.objects.create(user=user, workspace=own, role="owner")
    return user
