"""The forms about API keys: what a browser sends, as the body that the API takes."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.principal import Principal
from accounts.scopes import DEFAULT_KEY_SCOPES, KEY_SCOPES, ROLE_SCOPES, with_implied
from apikeys.models import ApiKey
from dashboard.moments import Moments
from dashboard.pages import Form

# What can be changed of a key, and what that is called in its form and in the API.
FIELDS = {
    "name": "name",
    "description": "description",
    "scopes": "permissions",
    "is_read_only": "read_only",
    "hourly_limit": "rate_limit_per_hour",
}
EXPIRIES = [("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("never", "Never"), ("date", "On a date")]
NEW_KEY: dict[str, Any] = {"permissions": list(DEFAULT_KEY_SCOPES), "expires_in": "90"}


def new_key_body(form: QueryDict, reads: Moments) -> dict[str, Any]:
    """Return the body of a new key. Raises `ValidationError` for a date that is missing."""
    return {**rights_body(form), **names_body(form), "expires_at": expiry_of(form, reads)}


def update_body(form: QueryDict, key: ApiKey) -> dict[str, Any]:
    """Return the body that changes a key; of a rotated one the rights stay as they are."""
    if key.rotated_at:
        return names_body(form)
    limit = form.get("rate_limit_per_hour", "").strip()
    return {**rights_body(form), **names_body(form), "rate_limit_per_hour": limit or None}


def names_body(form: QueryDict) -> dict[str, Any]:
    return {"name": form.get("name", ""), "description": form.get("description", "")}


def rights_body(form: QueryDict) -> dict[str, Any]:
    return {"permissions": form.getlist("permissions"), "read_only": "read_only" in form}


def expiry_of(form: QueryDict, reads: Moments) -> str | None:
    """Return when the key is to end, as the API takes it. A date counts to its end, where the person is. Raises
    `ValidationError` where it is missing.
    """
    chosen, date = form.get("expires_in", ""), form.get("expires_at", "")
    if chosen == "never":
        return None
    if chosen == "date" and date:
        return reads.last_second(date)
    if chosen != "date" and chosen in dict(EXPIRIES):
        return (timezone.now() + timedelta(days=int(chosen))).isoformat()
    raise ValidationError({"expires_at": ["Choose a date."]})


def values_of(key: ApiKey) -> dict[str, Any]:
    """Return what the form that changes a key holds at first."""
    return {
        "name": key.name,
        "description": key.description,
        "permissions": key.scopes,
        "read_only": key.is_read_only,
        "rate_limit_per_hour": key.hourly_limit or "",
    }


def held_by(key: ApiKey) -> dict[str, Any]:
    """Return what can be changed of a key, as it is: what a form shows and carries unseen (dashboard/seen.py)."""
    return {name: getattr(key, name) for name in FIELDS}


def permission_groups(principal: Principal, form: Form) -> dict[str, list[dict[str, Any]]]:
    """Return the scopes that a key can carry, by resource: what each allows, whether it is ticked, and whether the
    caller's role holds it.
    """
    held, ticked = with_implied(ROLE_SCOPES[principal.role]), set(form.getlist("permissions"))
    groups: dict[str, list[dict[str, Any]]] = {}
    for scope, text in KEY_SCOPES.items():
        entry = {"name": scope, "text": text, "is_ticked": scope in ticked, "is_held": scope in held}
        groups.setdefault(scope.partition(":")[0].capitalize(), []).append(entry)
    return groups


def explained(scopes: Collection[str]) -> list[tuple[str, str]]:
    """Return scopes with what each allows, in one order."""
    return [(scope, text) for scope, text in KEY_SCOPES.items() if scope in scopes]
