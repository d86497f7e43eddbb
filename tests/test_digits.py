"""Numbers that are typed or sent as text: in the digits 0 to 9, and no others."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from accounts.models import Workspace
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.fences import POLYGON
from tests.support.pages import fill_in, signed_in

SECURITY = "/settings/workspace/security"
ODD = ["\uff13\uff10\uff10", "\u0663\u0660\u0660", "3_00"]  # full-width, Arabic-Indic, and Python's
SAID = "in the digits 0 to 9."


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


@pytest.mark.parametrize("typed", ODD)
def test_a_lifetime_is_typed_in_digits(page: Client, alice: Actor, typed: str) -> None:
    refused = fill_in(page, SECURITY, {"access_token_lifetime_seconds": typed})

    assert refused.status_code == 422 and SAID in refused.content.decode()
    assert Workspace.objects.get(id=alice.workspace.id).access_token_lifetime is None
    assert fill_in(page, SECURITY, {"access_token_lifetime_seconds": "300"}).status_code == 302
    lifetime = Workspace.objects.get(id=alice.workspace.id).access_token_lifetime
    assert lifetime and lifetime.total_seconds() == 300


@pytest.mark.parametrize("typed", ODD)
def test_a_limit_of_a_key_is_typed_in_digits(page: Client, alice: Actor, typed: str) -> None:
    path = f"/settings/api-keys/{alice.make_key(['geofences:read'], name='CI')[0].id}/edit"
    form = {"name": "CI", "permissions": ["geofences:read"]}

    refused = fill_in(page, path, {**form, "rate_limit_per_hour": typed})

    assert refused.status_code == 422 and list(refused.context["form"].errors) == ["rate_limit_per_hour"]
    assert ApiKey.objects.get().hourly_limit is None
    assert fill_in(page, path, {**form, "rate_limit_per_hour": " 300 "}).status_code == 302
    assert ApiKey.objects.get().hourly_limit == 300


@pytest.mark.parametrize("sent", ODD)
@pytest.mark.parametrize(
    ("path", "name", "digits"),
    [
        ("/api/v1/audit-logs", "page_size", "100"),
        ("/api/v1/workspaces/invitations", "offset", "300"),
        ("/api/v1/workspaces/saml-config/attempts", "limit", "30"),
    ],
)
def test_a_query_is_in_digits(alice: Actor, path: str, name: str, digits: str, sent: str) -> None:
    refused = alice.client.get(path, {name: sent})

    assert refused.status_code == 422 and SAID in refused.json()["details"][name][0]
    assert alice.client.get(path, {name: digits}).status_code == 200


@pytest.mark.parametrize("sent", [*ODD, "nan", "inf"])
def test_the_radius_of_an_import_is_in_digits(alice: Actor, sent: str) -> None:
    def send(radius: str) -> Any:
        feature = {"type": "Feature", "geometry": POLYGON, "properties": {"name": "Yard"}}
        body = {"type": "FeatureCollection", "features": [feature]}
        path = f"/api/v1/geofences/import?radius_meters={quote(radius)}"
        return alice.client.generic("POST", path, json.dumps(body), content_type="application/geo+json")

    refused = send(sent)

    assert refused.status_code == 422 and list(refused.json()["details"]) == ["radius_meters"]
    assert send("3e2").status_code in (200, 201)


@pytest.mark.parametrize(("sent", "status"), [(300, 200), ("300", 200), (300.0, 200), (True, 422), ("3.5", 422)])
def test_a_body_may_hold_the_number_as_json_or_as_text(alice: Actor, sent: object, status: int) -> None:
    answer = alice.client.patch("/api/v1/workspaces", {"access_token_lifetime_seconds": sent}, format="json")

    assert answer.status_code == status, answer.content
