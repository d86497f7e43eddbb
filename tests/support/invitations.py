"""Invitations, for tests: where they are made, how they are refused, and what is read from an answer."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils import timezone
from rest_framework.test import APIClient

INVITATIONS = "/api/v1/workspaces/invitations"
RESEND_MISSING = f"{INVITATIONS}/resend-missing"
NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}
OWNERS_ONLY = {
    "detail": "Only owners may invite owners and change such invitations.",
    "error_code": "owners_only",
}
REVOKED = {
    "detail": "This invitation was cancelled, or replaced by a newer one; use that.",
    "error_code": "invitation_revoked",
}
ACCEPTED = {"detail": "This invitation was accepted already; its person can sign in.", "error_code": "invitation_used"}
EXPIRED = {"detail": "This invitation has expired; a new one is needed.", "error_code": "invitation_expired"}
CLOSED = {
    "revoked": ({"revoked_at": timezone.now()}, REVOKED),
    "accepted": ({"used_at": timezone.now()}, ACCEPTED),
    "expired": ({"expires_at": timezone.now()}, EXPIRED),
}


def invite(client: APIClient, email: str = "dana@else.test", role: str = "field_worker") -> dict[str, Any]:
    response = client.post(INVITATIONS, {"email": email, "role": role}, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def listed(client: APIClient, **query: Any) -> list[str]:
    return [invitation["email"] for invitation in client.get(INVITATIONS, query).json()["invitations"]]


def token_of(issued: dict[str, Any]) -> str:
    return parse_qs(urlsplit(issued["invite_link"]).query)["token"][0]


def shown(issued: dict[str, Any]) -> dict[str, Any]:
    """Return an invitation as every later answer shows it."""
    return {name: value for name, value in issued.items() if name not in ("invite_link", "invite_ttl_hours")}
