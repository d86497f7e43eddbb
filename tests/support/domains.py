"""Domains of workspaces for tests: claimed by the API, proven in a DNS of the test's own, moved through time."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import AuditEvent, Workspace, WorkspaceDomain
from tests.support.cast import Actor
from tests.support.dns_server import DnsServer

DOMAINS = "/api/v1/workspaces/domains"
CHALLENGE = "_spatialflow-challenge.acme.test"


def claim(actor: Actor, domain: str = "acme.test") -> dict[str, Any]:
    response = actor.client.post(DOMAINS, {"domain": domain}, format="json")
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def verify(actor: Actor, claimed: dict[str, Any]) -> Any:
    return actor.client.post(f"{DOMAINS}/{claimed['id']}/verify")


def prove(actor: Actor, dns: DnsServer, domain: str = "acme.test") -> dict[str, Any]:
    """Claim a domain, enter its record, have it checked."""
    claimed = claim(actor, domain)
    dns.records[claimed["dns_name"]] = [claimed["dns_value"]]
    response = verify(actor, claimed)
    assert (response.status_code, response.json()["status"]) == (200, "proven"), response.content
    answer: dict[str, Any] = response.json()
    return answer


def proven_row(workspace: Workspace, domain: str = "acme.test", **fields: Any) -> WorkspaceDomain:
    """Store a domain as it is after its proof, without a DNS."""
    now = timezone.now()
    return WorkspaceDomain.objects.create(
        **{"workspace": workspace, "domain": domain, "verified_at": now, "checked_at": now, **fields}
    )


def let_pass(elapsed: timedelta) -> None:
    """Let time pass for every domain: what is stored about it happened that much earlier."""
    for row in WorkspaceDomain.objects.all():
        for name in ("verified_at", "checked_at", "lost_at"):
            if moment := getattr(row, name):
                setattr(row, name, moment - elapsed)
        row.save()


def move_away(actor: Actor) -> None:
    """Give somebody an address that no domain covers, so that required single sign-on is nothing to them."""
    actor.user.email = f"{actor.user.name.lower()}@elsewhere.test"
    actor.user.save(update_fields=["email"])


def trail() -> list[tuple[str, Any]]:
    rows = AuditEvent.objects.filter(action__startswith="domain.").order_by("sequence")
    return list(rows.values_list("action", "changes"))
