"""HEAD is safe: whoever sends it, a link checker or a preview, neither begins nor records anything."""

import re

import pytest
from django.apps import apps

from tests.support.cast import Actor
from tests.support.oauth import CHALLENGED
from tests.support.urls import EXAMPLE_ID, api_patterns

pytestmark = pytest.mark.django_db

KEPT = ("accounts", "apikeys", "geofences", "sso", "social_django")
ACTING = {
    "audit-logs/export",
    "auth/oauth/<str:provider>/authorize",
    "auth/oauth/<str:provider>/callback",
    "auth/saml/<str:workspace_slug>/initiate",
    "auth/saml/<str:workspace_slug>/slo",
    "auth/sso/start",
    "geofences/export",
}
# Counts of use, which a HEAD is in as well; and a workspace's key pair, which is made where it is first read.
NO_ACT = ("credentialusage", "samlkeypair")


def rows() -> dict[str, int]:
    """Return how many rows there are of each kind."""
    models = [model for label in KEPT for model in apps.get_app_config(label).get_models()]
    return {model._meta.label: model.objects.count() for model in models if model._meta.model_name not in NO_ACT}


def routes() -> list[str]:
    readable = [(route, getattr(pattern.callback, "cls", None)) for route, pattern in api_patterns()]
    return [route.removeprefix("/api/v1/") for route, view in readable if view is not None and hasattr(view, "get")]


@pytest.mark.parametrize("route", routes())
def test_it_changes_nothing(alice: Actor, route: str):
    values = {"<str:provider>": "google", "<str:workspace_slug>": alice.workspace.slug}
    path = re.sub(r"<[^>]+>", lambda found: values.get(found.group(), EXAMPLE_ID), route)
    before = rows()

    answer = alice.client.head(f"/api/v1/{path}", CHALLENGED)

    assert rows() == before
    assert answer.status_code < 500
    if route in ACTING:
        assert answer.status_code == 405
        assert "HEAD" not in answer["Allow"]


def test_every_route_that_acts_is_one():
    assert set(routes()) >= ACTING


def test_an_export_by_get_still_is_an_event(alice: Actor):
    before = rows()

    assert alice.client.get("/api/v1/audit-logs/export").status_code == 200

    assert rows() == before | {"accounts.AuditEvent": before["accounts.AuditEvent"] + 1}
