"""Settings / API Keys: what ends, replaces, stops or prolongs a key, each on a page that asks first."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.scopes import API_KEYS_WRITE, WORKSPACE_KEYS_WRITE
from apikeys import lifecycle
from apikeys.models import ApiKey
from apikeys.serializers import ExpirationQuerySerializer, RotateQuerySerializer
from dashboard import session
from dashboard.key_forms import EXPIRIES, expiry_of
from dashboard.moments import moments_of
from dashboard.pages import FormPage, validated
from dashboard.views.api_keys import PLACE, change, get_key, show_key


class DecisionPage(FormPage):
    """Base of the pages that ask whether to do something with one of the person's own keys."""

    scopes = {"GET": API_KEYS_WRITE, "POST": API_KEYS_WRITE}

    def find_key(self, request: HttpRequest, key_id: str) -> ApiKey:
        return lifecycle.get_own_key(request.auth, key_id)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"key": self.find_key(request, kwargs["key_id"])}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.decide(request, self.find_key(request, kwargs["key_id"]))

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        raise NotImplementedError


class RotatePage(DecisionPage):
    """Make the key's successor and show it once; the old one works on for some days."""

    needs_fresh = True
    template = "dashboard/api_keys/rotate.html"
    title = "Rotate API key"
    done_already = (lifecycle.KeyRotated,)

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        days = validated(RotateQuerySerializer, request.POST)["grace_period_days"]
        successor, raw = lifecycle.rotate(request, key, timedelta(days=days))
        ends_at = moments_of(request.auth).exact(key.expires_at)
        done = f"The old key works until {ends_at}. Its page shows who still uses it."
        return show_key(request, successor, raw, title="Copy your new API key", done=done, old=key)


class RegeneratePage(DecisionPage):
    """Replace the key's secret at once, and show the new one once."""

    needs_fresh = True
    template = "dashboard/api_keys/regenerate.html"
    title = "Regenerate API key"
    done_already = (lifecycle.KeyChanged, lifecycle.KeyRotated)

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        raw = lifecycle.regenerate(request, key, request.POST.get("prefix", ""))
        return show_key(request, key, raw, title="Copy your new API key", done="The old secret works no more.")


class DisablePage(DecisionPage):
    """Stop the key until it is enabled again."""

    template = "dashboard/api_keys/disable.html"
    title = "Disable API key"

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        return change(request, key, {"is_active": False}, "The key is disabled. Whoever sends it is refused.")


class EnablePage(DecisionPage):
    """Let a disabled key work again."""

    needs_fresh = True
    template = "dashboard/api_keys/enable.html"
    title = "Enable API key"

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        return change(request, key, {"is_active": True}, "The key works again.")


class ExpirationPage(DecisionPage):
    """Set when the key ends. More time wants a fresh proof of who is there."""

    template = "dashboard/api_keys/expiration.html"
    title = "Change expiration"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**super().context(request, **kwargs), "expiries": EXPIRIES}

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        body = {"expires_at": expiry_of(request.POST, moments_of(request.auth))}
        expires_at = validated(ExpirationQuerySerializer, body)["expires_at"]
        try:
            lifecycle.set_expiration(request, key, expires_at, may_widen=session.is_fresh(request))
        except lifecycle.KeyWidened as refusal:
            raise session.NotFresh() from refusal
        messages.success(request, "The key's expiration is changed.")
        return redirect(f"{PLACE}/{key.id}")


class RevokePage(DecisionPage):
    """End the key for good; owners end any of the workspace's."""

    template = "dashboard/api_keys/revoke.html"
    title = "Revoke API key"

    def find_key(self, request: HttpRequest, key_id: str) -> ApiKey:
        return get_key(request.auth, key_id, WORKSPACE_KEYS_WRITE)

    def decide(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        lifecycle.revoke(request, key)
        messages.success(request, f"“{key.name}” is revoked. Whoever sends it is refused from now on.")
        is_own = key.created_by_id == request.auth.user_id
        return redirect(PLACE if is_own else f"{PLACE}?of=workspace")
