"""Nobody reaches what belongs to another workspace, whatever id they name.

Everything here is generated: the operations from the URL map and from the API's description, the ids from the tables
below. A new operation fails these tests until it stands in them:

- An address with an id, `things/<str:thing_id>`: say in OBJECTS how to make a thing of an actor's. Where the operation
  looks at its body before it looks for the thing, give it a good one in BODIES.
- An id in a body or a query (a member whose name ends in `_id` or `_ids`): say in NAMED_IDS how to make what it names,
  and what else the request needs.
- Any operation: say in tests/test_roles.py who may call it.

An id of a stranger's and one that nothing has are answered alike to the byte, and no row is changed.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from rest_framework.test import APIClient

from accounts.models import Invitation, Membership
from accounts.scopes import KEY_SCOPES
from spatialflow.api import WorkspaceAPIView
from spatialflow.docs import description
from sso.models import SamlAttempt
from tests.support.cast import Actor, make_workspace
from tests.support.domains import proven_row
from tests.support.fences import store_row
from tests.support.urls import EXAMPLE_ID, api_patterns

NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}


def invite(actor: Actor) -> Any:
    return Invitation.objects.create(
        workspace=actor.workspace,
        email="guest@guests.test",
        role="member",
        digest=actor.user.id.bytes,
        invited_by=actor.user,
        expires_at="2999-01-01T00:00:00Z",
    ).id


def group(actor: Actor) -> Any:
    return store_row(actor, "Grouped", group_id=actor.user.id, group_name="North").group_id


def attempt(actor: Actor) -> Any:
    return SamlAttempt.objects.create(workspace=actor.workspace, failed_check="audience").id


# Makes a thing of the actor's and returns its id, by the name of the variable in the address.
OBJECTS: dict[str, Callable[[Actor], Any]] = {
    "attempt_id": attempt,
    "domain_id": lambda actor: proven_row(actor.workspace, f"{actor.workspace.slug}.test").id,
    "geofence_id": lambda actor: store_row(actor, "Depot").id,
    "group_id": group,
    "invite_id": invite,
    "key_id": lambda actor: actor.make_key()[0].id,
    "session_id": lambda actor: actor.sign_in_id,
    "user_id": lambda actor: actor.user.id,
}

# Variables in addresses that are nobody's.
NOBODYS: dict[str, str] = {
    "provider": "google or apple",
    "workspace_slug": "anonymous: whose identity provider to go to",
}

# What an operation wants to read before it looks for the thing.
BODIES: dict[str, Any] = {
    "PATCH workspaces/members/<user_id>": {"role": "member"},
    "PATCH workspaces/invitations/<invite_id>": {"expires_at": "2026-12-24T00:00:00Z"},
    "POST geofences/groups/<group_id>/test-point": {"lat": 47.3, "lng": 8.5},
    "PUT geofences/<geofence_id>/group": "North",
}


def second_workspace(actor: Actor) -> Any:
    workspace = make_workspace(f"second-of-{actor.user.name.lower()}")
    Membership.objects.create(user=actor.user, workspace=workspace, role="owner")
    return workspace.id


# Ids in bodies and queries, by operation id and name: what makes one of the actor's, and what else to send.
NAMED_IDS: dict[tuple[str, str], tuple[Callable[[Actor], Any], dict[str, Any]]] = {
    ("select_workspace", "workspace_id"): (second_workspace, {}),
    ("mobile_select_workspace", "workspace_id"): (second_workspace, {}),
    ("resend_missing_invitations", "invitation_ids"): (invite, {}),
    ("test_point", "geofence_ids"): (lambda actor: store_row(actor, "Depot").id, {"lat": 47.35, "lng": 8.58}),
    ("list_audit_logs", "user_id"): (lambda actor: actor.user.id, {}),
    ("export_audit_logs", "user_id"): (lambda actor: actor.user.id, {"format": "csv"}),
}

# Ids that mean nothing without the secret that goes with them.
UNKNOWING: dict[tuple[str, str], str] = {
    **dict.fromkeys(
        (
            ("upsert_saml_config", "entity_id"),
            ("patch_saml_config", "entity_id"),
            ("upsert_staged_saml_config", "entity_id"),
            ("patch_staged_saml_config", "entity_id"),
        ),
        "what an identity provider calls itself; it names nothing of ours",
    ),
    ("accept_invitation", "invite_id"): "anonymous; it takes the token, see tests/test_accept_invitation_link.py",
    ("accept_invitation_passwordless", "invite_id"): "likewise",
    ("oauth_authorize", "invite_id"): "likewise",
    ("google_token_exchange", "invite_id"): "likewise, see tests/test_native_sign_in_invitations.py",
    ("apple_token_exchange", "invite_id"): "likewise",
}


def operations() -> Iterator[tuple[str, str, type]]:
    """Yield method, route and view of everything that takes an id in its address."""
    for route, pattern in api_patterns():
        view = pattern.callback.view_class
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if "<" in route and hasattr(view, method.lower()):
                yield method, route, view


def variables(route: str) -> list[str]:
    return re.findall(r"<(?:\w+:)?(\w+)>", route)


ABOUT_THINGS = [
    pytest.param(*operation, id=f"{operation[0]} {operation[1]}")
    for operation in operations()
    if not set(variables(operation[1])) & NOBODYS.keys()
]
CREDENTIALS = ["token", "key"]
DIRECTIONS = ["of acme by mallory", "of other by alice"]


def test_every_id_in_an_address_is_known_here():
    names = {name for _, route, _ in operations() for name in variables(route)}

    print(f"{len(ABOUT_THINGS) * len(DIRECTIONS) * len(CREDENTIALS)} pairs of operation and stranger are tried.")
    assert names <= OBJECTS.keys() | NOBODYS.keys()
    assert all(issubclass(parameter.values[2], WorkspaceAPIView) for parameter in ABOUT_THINGS)


def rows() -> dict[str, list[Any]]:
    """Return everything that is stored but the record of use and the audit trail, which the requests write."""
    written = {"CredentialUsage", "AuditEvent", "AuditHead"}
    ours = (app for app in apps.get_app_configs() if (settings.BASE_DIR / app.name).is_dir())
    models = (model for app in ours for model in app.get_models() if model.__name__ not in written)
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}


def client_of(actor: Actor, credential: str) -> APIClient:
    return actor.client if credential == "token" else actor.key_client(list(KEY_SCOPES))


def send(client: APIClient, method: str, route: str, identifier: object) -> Any:
    path = re.sub(r"<[^>]+>", str(identifier), route)
    template = re.sub(r"<\w+:", "<", route.removeprefix("/api/v1/"))
    return client.generic(
        method, path, json.dumps(BODIES.get(f"{method} {template}", {})), content_type="application/json"
    )


@pytest.fixture(params=DIRECTIONS)
def victim_and_stranger(request: Any, alice: Actor, mallory: Actor) -> tuple[Actor, Actor]:
    return (alice, mallory) if request.param == DIRECTIONS[0] else (mallory, alice)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(("method", "route", "view"), ABOUT_THINGS)
def test_a_strangers_thing_is_not_there(victim_and_stranger, method, route, view, credential):
    victim, stranger = victim_and_stranger
    (name,) = variables(route)
    theirs = OBJECTS[name](victim)
    client = client_of(stranger, credential)
    before = rows()

    absent = send(client, method, route, EXAMPLE_ID)
    foreign = send(client, method, route, theirs)

    may_call = credential == "token" or view.scopes[method] in KEY_SCOPES
    assert (absent.status_code, foreign.status_code) == ((404, 404) if may_call else (403, 403))
    assert foreign.content == absent.content
    assert not may_call or foreign.json() == NOT_FOUND
    assert headers(foreign) == headers(absent)
    assert rows() == before


@pytest.mark.parametrize(("method", "route", "view"), ABOUT_THINGS)
def test_ones_own_thing_is_there(alice, method, route, view):
    """So that the test above cannot pass because everything is refused."""
    (name,) = variables(route)

    response = send(alice.client, method, route, OBJECTS[name](alice))

    assert response.status_code != 404 or response.json() != NOT_FOUND


def headers(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.items() if not name.startswith(("RateLimit-", "X-Request-ID"))}


def named_ids() -> Iterator[tuple[str, str, str, str]]:
    """Yield operation id, name of an id in its body or query, method and path, from the API's description."""
    document = json.loads(description())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for name in sorted(body_members(document, operation) | query_members(operation)):
                if re.search(r"(^|_)ids?$", name):
                    yield operation["operationId"], name, method, path


def query_members(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}


def body_members(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {})
    schemas = [part["schema"] for part in content.values()]
    resolved = [document["components"]["schemas"][s["$ref"].rpartition("/")[2]] if "$ref" in s else s for s in schemas]
    return {name for schema in resolved for name in schema.get("properties", {})}


def test_every_id_in_a_body_or_query_is_known_here():
    found = {(operation, name) for operation, name, _, _ in named_ids()}

    assert found <= NAMED_IDS.keys() | UNKNOWING.keys()
    assert found >= NAMED_IDS.keys()


@pytest.mark.parametrize(("operation", "name"), NAMED_IDS)
def test_a_strangers_thing_named_in_a_request_is_not_there(victim_and_stranger, operation, name):
    victim, stranger = victim_and_stranger
    method, path = next(found[2:] for found in named_ids() if found[:2] == (operation, name))
    make, others = NAMED_IDS[operation, name]
    theirs = make(victim)
    before = rows()

    answers = []
    for identifier in (EXAMPLE_ID, str(theirs)):
        value: Any = [identifier] if name.endswith("ids") else identifier
        request = getattr(stranger.client, method)
        answer = request(path, {**others, name: value}, **({} if method == "get" else {"format": "json"}))
        content = answer.getvalue() if answer.streaming else answer.content
        answers.append((answer.status_code, content.replace(identifier.encode(), b"ID")))

    assert answers[0] == answers[1]
    assert answers[0][0] in (200, 403)
    assert rows() == before
