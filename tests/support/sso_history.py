"""A workspace whose single sign-on has a history: three connections, domains in several states, tests and refusals."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import WorkspaceDomain
from sso.models import IdentityProvider, SamlAttempt
from tests.support.cast import Actor
from tests.support.saml_idp import certificate, fingerprint

State = IdentityProvider.State
NAME = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"


def connected(actor: Actor) -> dict[str, Any]:
    """Give the actor's workspace what single sign-on can have, once; return what a session has to hold: nothing."""
    workspace = actor.workspace
    if not IdentityProvider.objects.for_workspace(workspace.id).exists():
        _connect(actor, State.SERVING, "okta", [certificate("idp", 20)])
        _connect(actor, State.STAGED, "entra", [certificate("idp", 300), certificate("other", -3)])
        _connect(actor, State.FORMER, "onelogin", [certificate("other", 90)])
        now = timezone.now()
        proven = {"verified_at": now, "checked_at": now}
        lost = {**proven, "lost_at": now - timedelta(hours=9)}
        for prefix, fields in (("", {**proven, "is_primary": True}), ("shop.", {}), ("old.", lost)):
            WorkspaceDomain.objects.create(workspace=workspace, domain=f"{prefix}{workspace.slug}.test", **fields)
        _attempts(actor)
    return {}


def shown(state: str = State.SERVING) -> dict[str, str]:
    """Return what a form carries that was drawn now about the connection in this state of the one workspace."""
    return {"connection": str(IdentityProvider.objects.get(state=state).id)}


def _connect(actor: Actor, state: str, name: str, certificates: list[str]) -> None:
    address = f"https://login.{name}.example/{actor.workspace.slug}"
    IdentityProvider.objects.create(
        workspace=actor.workspace,
        state=state,
        preset=name,
        entity_id=address,
        sso_url=f"{address}/sso",
        certificates=certificates,
        metadata_url=f"{address}/metadata",
        metadata_read_at=timezone.now() - timedelta(hours=6),
        attribute_mapping={"email": "email"},
        tested_at=None if state == State.STAGED else timezone.now() - timedelta(days=2),
    )


def _attempts(actor: Actor) -> None:
    serving = IdentityProvider.objects.for_workspace(actor.workspace.id).get(state=State.SERVING)
    passed = [{"check": name, "passed": True, "expected": "", "received": ""} for name in ("connection", "structure")]
    refused = {
        "check": "signature",
        "passed": False,
        "expected": f"one of the certificates {fingerprint(serving.certificates[0])}",
        "received": fingerprint(certificate("other")),
    }
    said = {"NameID": [f"bo@{actor.workspace.slug}.test"], NAME: ["Bo Lindqvist"]}
    common = {"workspace": actor.workspace, "provider": serving}
    SamlAttempt.objects.create(**common, is_test=True, succeeded=True, checks=passed, attributes=said)
    SamlAttempt.objects.create(**common, failed_check="signature", checks=[*passed, refused])


def a_domain(actor: Actor) -> Any:
    """Return the id of a domain of the actor's that is not proven yet."""
    connected(actor)
    return WorkspaceDomain.objects.for_workspace(actor.workspace.id).get(verified_at=None).id


def an_attempt(actor: Actor) -> Any:
    """Return the id of the sign-in that was refused."""
    connected(actor)
    return SamlAttempt.objects.for_workspace(actor.workspace.id).get(succeeded=False).id
