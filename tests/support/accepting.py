"""Accepting invitations, for tests: where, with which link, and what is answered."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from rest_framework.test import APIClient

from tests.support.cast import Actor
from tests.support.invitations import INVITATIONS

ACCEPT = "/api/v1/auth/accept-invite"
PASSWORDLESS = f"{ACCEPT}/passwordless"
NEW_PASSWORD = "a quiet harbour at dawn"
anyone = APIClient()


def link_of(inviter: Actor, email: str = "dana@else.test", role: str = "field_worker") -> dict[str, str]:
    """Return invite_id and token of a new invitation."""
    response = inviter.client.post(INVITATIONS, {"email": email, "role": role}, format="json")
    query = parse_qs(urlsplit(response.json()["invite_link"]).query)
    return {name: values[0] for name, values in query.items()}


def accept(link: dict[str, Any], path: str = ACCEPT, client: APIClient = anyone, **body: Any) -> tuple[int, Any]:
    response = client.post(path, {**link, **body}, format="json")
    return response.status_code, response.json()


def refused(link: dict[str, Any], path: str = ACCEPT, client: APIClient = anyone, **body: Any) -> tuple[int, str]:
    status, answer = accept(link, path, client, **body)
    return status, answer["error_code"]
