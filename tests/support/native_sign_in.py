"""Signing in with Google and Apple as an app does, invited or not, and the trail of it."""

from typing import Any

from rest_framework.test import APIClient

from accounts.invitations import invite
from accounts.models import AuditEvent
from tests.support.cast import Actor
from tests.support.oidc_issuer import APPLE, GOOGLE, Issuer, apple_body, nonce_for


def google(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    body = {name: changes.pop(name) for name in ("invite_id", "invite_token") if name in changes}
    return client.post(GOOGLE, {"id_token": provider.google_token(**changes), **body}, format="json")


def apple(client: APIClient, provider: Issuer, **changes: Any) -> Any:
    return client.post(APPLE, apple_body(provider, nonce_for(client), **changes), format="json")


def trail() -> list[tuple[str, Any]]:
    return list(AuditEvent.objects.order_by("sequence").values_list("action", "changes"))


def an_invitation(alice: Actor, email: str, role: str = "field_worker") -> dict[str, str]:
    issued = invite(alice.request(), email, role)
    return {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}
