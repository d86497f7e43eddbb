"""Settings / API Keys: the list, a new key, one key with its use, and changing it. What ends or replaces a key is in
key_decisions.py.
"""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts.devices import in_words
from accounts.principal import Principal
from accounts.scopes import API_KEYS_READ, API_KEYS_WRITE, WATCHED_KEY_SCOPES, WORKSPACE_KEYS_READ
from apikeys import lifecycle
from apikeys.models import ApiKey
from apikeys.serializers import ApiKeyCreateSerializer, ApiKeyUpdateSerializer, KeySearchSerializer
from apikeys.usage import KeyUsage, get_usage
from dashboard import session
from dashboard.charts import by_day, by_hour
from dashboard.key_forms import (
    EXPIRIES,
    FIELDS,
    NEW_KEY,
    explained,
    held_by,
    new_key_body,
    permission_groups,
    update_body,
    values_of,
)
from dashboard.listing import listing
from dashboard.moments import moments_of
from dashboard.once import new_once, read_once
from dashboard.pages import Form, FormPage, Page, validated
from dashboard.seen import at_fields, read_seen, seen_field
from spatialflow.edited import EditedMeanwhile

PLACE = "/settings/api-keys"
USAGE_DAYS = 30


def get_key(principal: Principal, key_id: str, scope_for_all: str) -> ApiKey:
    """Return one of the caller's keys, or any of the workspace for who holds that scope. Raises `NotFound`."""
    if scope_for_all in principal.scopes:
        return lifecycle.get_workspace_key(principal, key_id)
    return lifecycle.get_own_key(principal, key_id)


class KeysPage(Page):
    """List the person's own keys, or with ?of=workspace, for owners, everybody's: page by page, all or those searched
    for.
    """

    scopes = {"GET": API_KEYS_READ}
    template = "dashboard/api_keys/list.html"
    title = "API Keys"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        may_see_all = WORKSPACE_KEYS_READ in request.auth.scopes
        shows_all = may_see_all and request.GET.get("of") == "workspace"
        keys = lifecycle.workspace_keys(request.auth) if shows_all else lifecycle.own_keys(request.auth)
        search = validated(KeySearchSerializer, request.GET)["search"]
        listed = listing(request, keys.named(search), search, PLACE, **({"of": "workspace"} if shows_all else {}))
        return {**listed, "may_see_all": may_see_all, "shows_all": shows_all}


class ShownKey(Page):
    """What the pages that make a key's plain text answer with; it has no address."""

    template = "dashboard/api_keys/shown_once.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"public_url": settings.PUBLIC_URL, **kwargs}


def show_key(request: HttpRequest, key: ApiKey, raw: str, **kwargs: Any) -> HttpResponse:
    """Answer with the plain text of a key, this once."""
    return ShownKey().show(request, key=key, raw=raw, **kwargs)


class NewKeyPage(FormPage):
    """Make a key, and show it once."""

    scopes = {"GET": API_KEYS_WRITE, "POST": API_KEYS_WRITE}
    needs_fresh = True
    template = "dashboard/api_keys/new.html"
    title = "Generate New API Key"
    done_already = (lifecycle.KeyMadeAlready,)

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        form = form or Form(NEW_KEY)
        return super().show(request, form, status, groups=permission_groups(request.auth, form), **kwargs)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**kwargs, "expiries": EXPIRIES, "once": new_once(request)}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        key_id = read_once(request)
        body = new_key_body(request.POST, moments_of(request.auth))
        fields = validated(ApiKeyCreateSerializer, body, principal=request.auth)
        key, raw = lifecycle.create_key(request, key_id, **fields)
        return show_key(request, key, raw, title="Copy your new API key", done="Your API key is ready.")


class KeyPage(Page):
    """One key: what it is, what it was used for, and what can be done with it."""

    scopes = {"GET": API_KEYS_READ}
    template = "dashboard/api_keys/detail.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        key = get_key(request.auth, kwargs["key_id"], WORKSPACE_KEYS_READ)
        usage, now, reads = get_usage(key, USAGE_DAYS), timezone.now(), moments_of(request.auth)
        plan_limit = settings.PLAN_LIMITS[request.auth.plan]
        return {
            "title": key.name,
            "key": key,
            "client": in_words(key.last_used_client or ""),
            "hourly_limit": min(plan_limit, key.hourly_limit or plan_limit),
            "is_own": key.created_by_id == request.auth.user_id,
            "rotation": _since_rotation(key) if key.rotated_at else None,
            "predecessor": _predecessor(request.auth, key),
            "charts": [by_hour(usage, now, reads), by_day(usage, now, reads, USAGE_DAYS)],
            "permissions": _permissions(key, usage),
            "usage": usage,
            "removable": usage.scopes_unused,
            "added": [scope for scope in usage.suggested_scopes or [] if scope not in key.scopes],
            "watched_days": (now - usage.watched_since).days,
            "days": USAGE_DAYS,
        }


def _predecessor(principal: Principal, key: ApiKey) -> dict[str, Any] | None:
    """Return who still uses the key that this one replaces."""
    old = lifecycle.find_predecessor(principal, key)
    return _since_rotation(old) if old else None


def _since_rotation(old: ApiKey) -> dict[str, Any]:
    uses = old.usage_count - old.usage_count_at_rotation
    is_refused = bool(old.last_refused_at and old.last_refused_at > old.rotated_at)
    return {"key": old, "uses": uses, "is_refused": is_refused, "client": in_words(old.last_used_client or "")}


def _permissions(key: ApiKey, usage: KeyUsage) -> list[dict[str, Any]]:
    """Return the key's scopes with what each allows and when it was needed last."""
    reads_by_write = {scope.replace(":write", ":read") for scope in key.scopes if scope.endswith(":write")}
    return [
        {
            "name": name,
            "text": text,
            "is_granted": name in key.scopes,
            "is_watched": name in WATCHED_KEY_SCOPES,
            "last_used": usage.scopes_used.get(name),
        }
        for name, text in explained({*key.scopes, *(reads_by_write & usage.scopes_used.keys())})
    ]


class EditKeyPage(FormPage):
    """Change what a key is called and may do. Widening it wants a fresh proof of who is there."""

    scopes = {"GET": API_KEYS_WRITE, "POST": API_KEYS_WRITE}
    template = "dashboard/api_keys/edit.html"
    title = "Edit API key"

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        key = lifecycle.get_own_key(request.auth, kwargs["key_id"])
        form = form or Form(values_of(key))
        seen = seen_field(request, form, status, held_by(key), FIELDS)
        return super().show(request, form, status, key=key, seen=seen, groups=permission_groups(request.auth, form))

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        plan_limit = settings.PLAN_LIMITS[request.auth.plan]
        return {
            **kwargs,
            "limit_help": f"Leave it empty for your plan's {plan_limit:,}; a lower number limits this key alone.",
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        key = lifecycle.get_own_key(request.auth, kwargs["key_id"])
        seen = read_seen(request.POST, held_by(key))
        return change(request, key, update_body(request.POST, key), "Your changes are saved.", seen)


class NarrowKeyPage(FormPage):
    """Leave a key only the scopes that it has needed."""

    scopes = {"GET": API_KEYS_READ, "POST": API_KEYS_WRITE}
    template = "dashboard/api_keys/narrow.html"
    title = "Remove permissions"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        key = lifecycle.get_own_key(request.auth, kwargs["key_id"])
        usage = get_usage(key, USAGE_DAYS)
        return {
            "key": key,
            "watched_days": (timezone.now() - usage.watched_since).days,
            "seen": json.dumps(held_by(key)),
            "removable": explained(usage.scopes_unused),
            "suggested": None if usage.suggested_scopes is None else explained(usage.suggested_scopes),
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        key = lifecycle.get_own_key(request.auth, kwargs["key_id"])
        body = {"permissions": request.POST.getlist("permissions")}
        done = "The key now has only the permissions that it has used."
        return change(request, key, body, done, read_seen(request.POST, held_by(key)))


def change(
    request: HttpRequest, key: ApiKey, body: dict[str, Any], done: str, seen: dict[str, Any] | None = None
) -> HttpResponse:
    """Change a key as a body of the API says, and go to its page. Raises `NotFresh` where that widens the key."""
    changes = validated(ApiKeyUpdateSerializer, body, principal=request.auth)
    try:
        lifecycle.update_key(request, key, seen, session.is_fresh(request), **changes)
    except lifecycle.KeyWidened as refusal:
        raise session.NotFresh() from refusal
    except EditedMeanwhile as refusal:
        raise at_fields(refusal, FIELDS) from None
    messages.success(request, done)
    return redirect(f"{PLACE}/{key.id}")
