"""How API keys and their counts are written in the dashboard's pages."""

from typing import Any

from django import template

from apikeys.models import ApiKey

register = template.Library()
KINDS = {"active": "good", "disabled": "warn", "rotated": "warn", "expired": "bad"}


@register.inclusion_tag("dashboard/api_keys/state.html")
def keystate(key: ApiKey) -> dict[str, Any]:
    """Show what state a key is in."""
    return {"state": key.state, "kind": KINDS[key.state]}


@register.filter
def counted(number: int) -> str:
    """Show a count with its thousands apart."""
    return f"{number:,}"


@register.filter
def shortly(scopes: list[str]) -> str:
    """Show scopes by resource: "geofences: read, write"."""
    by_resource: dict[str, list[str]] = {}
    for scope in scopes:
        resource, _, action = scope.partition(":")
        by_resource.setdefault(resource, []).append(action)
    return "; ".join(f"{resource}: {', '.join(actions)}" for resource, actions in by_resource.items()) or "none"
