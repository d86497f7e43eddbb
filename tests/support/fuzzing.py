"""Our own description thrown at the running service by schemathesis, with all of its checks on.

It comes as one person or key, and knows a second one of another workspace, who must not be shown what it is shown.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accounts.models import Workspace
from accounts.tokens import AccessToken
from geofences.models import Geofence
from spatialflow.docs import description
from tests.support.cast import Actor
from tests.support.fences import store_fence

Headers = dict[str, str]
# Trying these would leave nothing to try the others with.
FAREWELLS = {"logout", "saml_logout", "revoke_all_sessions", "delete_account"}
MOVES = {"select_workspace", "mobile_select_workspace"}
FOR_KEYS_ALONE = {"get_current_api_key", "introspect_token"}
SECONDS = 10  # the longest that any answer may take
# How much each phase tries, as schemathesis is told.
THE_SAME_FEW = ("--max-examples", "5", "--generation-deterministic")
MANY_NEW = ("--max-examples", "100", "--generation-database", "none")
# Where a check asks for something wrong: what it must not ask, why, and of which operations.
EXCEPTIONS: list[tuple[str, str, set[str]]] = [
    (
        "positive_data_acceptance",
        "OpenAPI 3.0 gives the body of a DELETE no meaning, so it is not described.",
        {"disable_totp"},
    ),
    ("positive_data_acceptance", "The slug must be the workspace's own.", {"delete_workspace"}),
    ("positive_data_acceptance", "The cursor must be one of an answer.", {"list_saml_attempts"}),
    (
        "positive_data_acceptance",
        "The moment must be one to come.",
        {"create_api_key", "extend_invitation", "set_api_key_expiration"},
    ),
    (
        "positive_data_acceptance",
        "A time zone is one of the IANA database, and changes with it.",
        {"update_profile", "patch_workspace", "update_workspace", "signup"},
    ),
    (
        "positive_data_acceptance",
        "A domain must be under a public suffix, a certificate be one, and no member unknown.",
        {
            *("add_workspace_domain", "upsert_saml_config", "patch_saml_config"),
            *("upsert_staged_saml_config", "patch_staged_saml_config", "test_saml_config"),
        },
    ),
    (
        "positive_data_acceptance",
        "One of several ways must be chosen.",
        {"import_saml_metadata", "test_point", "test_group_point"},
    ),
    (
        "positive_data_acceptance",
        "No schema says that rings may not cross, that each index is another, nor what a file holds.",
        {"create_geofence", "update_geofence", "bulk_create_geofences", "import_geofences"},
    ),
    (
        "negative_data_rejection",
        "A body with all members is the SDK's from_dict(), whose nulls are left out.",
        {"update_geofence"},
    ),
    (
        "negative_data_rejection",
        "A wrong item becomes a result with an error, and keeps no other from being made.",
        {"bulk_create_geofences"},
    ),
    (
        "negative_data_rejection",
        "In a query, an empty parameter is none.",
        {"list_audit_logs", "export_audit_logs", "set_api_key_expiration"},
    ),
    (
        "use_after_free",
        "Deleting a fence deactivates it, as published: it can be seen, and made active again.",
        {"get_geofence", "update_geofence"},
    ),
]


def operations() -> list[dict[str, Any]]:
    return [operation for path in json.loads(description())["paths"].values() for operation in path.values()]


def configuration(folder: Path, pinned: dict[str, str]) -> str:
    """Return what schemathesis is told; `pinned` are parameters with their values."""
    lines = [
        f'hooks = "{Path(__file__).with_name("schemathesis_hooks.py")}"',
        'suppress-health-check = ["too_slow", "filter_too_much"]',  # of the machine, not of the service
        "[auth.wfc]",
        f'path = "{folder / "callers.json"}"',
        'user = "caller"',
        'peers = ["caller", "stranger"]',
        # Where a schema allows any text, NUL is refused all the same (tests/test_strict_bodies.py).
        "[generation]",
        "allow-x00 = false",
        "[checks]",
        f"max_response_time = {SECONDS}",
        "[checks.negative_data_rejection]",
        # What is sent in chunks is refused unread.
        "expected-statuses = [400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 415, 422, 429]",
        "[checks.positive_data_acceptance]",
        # 400 and 410 say what a schema cannot: a link, a code or a state that this service alone knows.
        'expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 410, 411, 429]',
        # Another workspace's id, out of an answer, would move the sign-in: the token that all else is tried with ends.
        "[[operations]]",
        f"include-operation-id = {sorted(MOVES)}",
        "phases.stateful.enabled = false",
        *(f"phases.{phase}.extra-data-sources.responses = false" for phase in ("examples", "coverage", "fuzzing")),
        "[parameters]",
        *(f'"{name}" = "{value}"' for name, value in pinned.items()),
    ]
    for check, reason, operations in EXCEPTIONS:
        lines += [f"# {reason}", "[[operations]]", f"include-operation-id = {sorted(operations)}"]
        lines += [f"checks.{check}.enabled = false"]
    return "\n".join(lines)


def fuzz(
    server: str,
    folder: Path,
    callers: tuple[Headers, Headers],
    *options: str,
    effort: tuple[str, ...],
    pinned: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Try the operations that `options` choose, as the first of the `callers`."""
    entries = [
        {"name": name, "fixedHeaders": [{"name": header, "value": value} for header, value in headers.items()]}
        for name, headers in zip(("caller", "stranger"), callers, strict=True)
    ]
    folder.joinpath("callers.json").write_text(json.dumps({"auth": entries}))
    told = folder / "schemathesis.toml"
    told.write_text(configuration(folder, pinned or {}))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(told)]
    command += ["run", f"{server}/api/v1/openapi.json", "--url", server, *effort]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--no-color"]
    command += ["--continue-on-failure", "--warnings", "off", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False, cwd=folder)


def assert_all_tried(run: subprocess.CompletedProcess[str], chosen: Callable[[dict[str, Any]], bool]) -> None:
    assert run.returncode == 0, run.stdout[-12000:]
    assert f"Tested: {sum(map(chosen, operations()))}\n" in run.stdout


def bearer(actor: Actor) -> Headers:
    return {"Authorization": f"Bearer {actor.pair.access_token}"}


def key(actor: Actor, scopes: list[str] | None = None) -> Headers:
    return {"X-API-KEY": actor.make_key(scopes)[1]}


def try_as_a_person(server: str, folder: Path, alice: Actor, mallory: Actor, *, effort: tuple[str, ...]) -> None:
    Workspace.objects.update(plan="enterprise")
    left_out = FAREWELLS | FOR_KEYS_ALONE
    options = [option for name in sorted(left_out) for option in ("--exclude-operation-id", name)]

    callers = bearer(alice), bearer(mallory)
    # What these two end is not what the caller lives on.
    pinned = {"path.session_id": str(AccessToken.read(alice.sign_in_again().access_token).sid), "query.slug": "other"}
    run = fuzz(server, folder, callers, "--exclude-tag", "geofences", *options, effort=effort, pinned=pinned)

    def chosen(operation: dict[str, Any]) -> bool:
        return "geofences" not in operation["tags"] and operation["operationId"] not in left_out

    assert_all_tried(run, chosen)
    assert alice.client.get("/api/v1/account/me").status_code == 200  # all of it was tried signed in


def try_as_a_program(server: str, folder: Path, alice: Actor, mallory: Actor, *, effort: tuple[str, ...]) -> None:
    Workspace.objects.update(plan="enterprise")
    fence = store_fence(alice, group_name="Depots")
    chosen = ("--include-tag", "geofences")
    pinned = {"path.geofence_id": fence["id"], "path.group_id": fence["group_id"]}

    run = fuzz(server, folder, (key(alice), key(mallory)), *chosen, effort=effort, pinned=pinned)

    assert_all_tried(run, lambda operation: "geofences" in operation["tags"])
    assert Geofence.objects.exclude(id=fence["id"]).filter(name="Yard").exists()  # the description's own example works


def try_alone(
    server: str, folder: Path, callers: tuple[Headers, Headers], name: str, *, effort: tuple[str, ...]
) -> None:
    """Try one operation."""
    Workspace.objects.update(plan="enterprise")

    run = fuzz(server, folder, callers, "--include-operation-id", name, effort=effort)

    assert_all_tried(run, lambda operation: operation["operationId"] == name)
