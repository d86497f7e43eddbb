"""A number is no text, "yes" is not true, and nothing takes a NUL: for every operation that is described."""

import json
from typing import Any
from uuid import UUID

from rest_framework.test import APIClient

from accounts.models import Workspace
from spatialflow.docs import description
from tests.support.cast import Actor
from tests.support.fences import store_fence

DOCUMENT = json.loads(description())
OPERATIONS = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
RESEMBLING = {"string": 5, "boolean": "yes"}


def members(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the members of the object that an operation takes as JSON, by name; none where it takes another body."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    described: dict[str, Any] = DOCUMENT["components"]["schemas"][name]["properties"] if name else {}
    return described


class Caller:
    """Alice, who owns what the paths name, each time from another address; her key where keys alone come in."""

    def __init__(self, alice: Actor, bob: Actor) -> None:
        Workspace.objects.update(plan="enterprise")
        key, raw = alice.make_key(["geofences:write", "tokens:introspect"])
        self.places = dict.fromkeys(("invite_id", "domain_id", "group_id", "session_id", "attempt_id"), UUID(int=1))
        self.places |= {"key_id": key.id, "user_id": bob.user.id, "geofence_id": store_fence(alice)["id"]}
        self.places |= {"provider": "google", "workspace_slug": alice.workspace.slug}
        self.clients = {False: alice.client, True: APIClient(headers={"X-API-KEY": raw})}
        self.count = 0

    def send(self, method: str, path: str, operation: dict[str, Any], body: Any = None, query: str = "") -> Any:
        self.count += 1
        client = self.clients[{"ApiKey": []} in operation["security"]]
        address = f"{path.format_map(self.places)}{query}"
        sender = {"REMOTE_ADDR": f"198.51.100.{self.count}"}
        return client.generic(method, address, json.dumps(body or {}), content_type="application/json", **sender)


def test_what_resembles_a_text_or_a_truth_is_none(alice: Actor, bob: Actor):
    caller, tried = Caller(alice, bob), 0
    for method, path, operation in OPERATIONS:
        kinds = {name: member.get("type") for name, member in members(operation).items() if "enum" not in member}
        body = {name: RESEMBLING[kind] for name, kind in kinds.items() if kind in RESEMBLING}
        if body:
            tried += 1
            response = caller.send(method, path, operation, body)
            assert response.status_code == 422, (method, path, response.content)
            assert body.keys() <= {name.partition(".")[0] for name in response.json()["details"]}, (method, path)
    assert tried > 30


def test_no_body_and_no_query_takes_a_nul(alice: Actor, bob: Actor):
    caller, tried = Caller(alice, bob), 0
    for method, path, operation in OPERATIONS:
        if members(operation):
            tried += 1
            response = caller.send(method, path, operation, {"note": "a\0b"})
            assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json"), (method, path)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["schema"].get("type") == "string":
                tried += 1
                response = caller.send(method, path, operation, query=f"?{parameter['name']}=a%00b")
                assert 400 <= response.status_code < 500, (method, path, parameter["name"], response.content)
    assert tried > 60
