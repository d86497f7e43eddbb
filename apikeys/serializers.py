"""What the key endpoints take and give, in the contract's words: `permissions` are scopes."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers

from accounts.principal import Principal
from accounts.scopes import DEFAULT_KEY_SCOPES, KEY_SCOPES, ROLE_SCOPES, with_implied
from apikeys.lifecycle import MAX_GRACE_DAYS
from apikeys.models import ApiKey


class PermissionsField(serializers.ListField):
    """A list of scopes that a key can carry and that its maker holds. An empty list means none at all."""

    child = serializers.CharField(max_length=50)

    def to_internal_value(self, data: Any) -> list[str]:
        scopes: list[str] = super().to_internal_value(data)
        if unknown := sorted(set(scopes) - KEY_SCOPES.keys()):
            known = ", ".join(KEY_SCOPES)
            raise serializers.ValidationError(f"Unknown permission {unknown[0]!r}. Known are: {known}.")
        if len(scopes) != len(set(scopes)):
            raise serializers.ValidationError("A permission is listed twice.")
        role = self.context["principal"].role
        if beyond := sorted(set(scopes) - with_implied(ROLE_SCOPES[role])):
            raise serializers.ValidationError(f"Your role ({role}) does not hold {beyond[0]}, so no key of yours can.")
        return scopes


class ApiKeyCreateSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=100, default="Default")
    permissions = PermissionsField(source="scopes", required=False, allow_null=True, max_length=len(KEY_SCOPES))
    read_only = serializers.BooleanField(source="is_read_only", default=False)
    description = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes.get("scopes") is None:
            attributes["scopes"] = list(DEFAULT_KEY_SCOPES)
        attributes["description"] = attributes.get("description") or ""
        return attributes


class ApiKeyUpdateSerializer(serializers.Serializer):
    """What is absent or null stays, except: a null description empties it, a null limit means the plan's again."""

    name = serializers.CharField(max_length=100, required=False, allow_null=True)
    permissions = PermissionsField(source="scopes", required=False, allow_null=True, max_length=len(KEY_SCOPES))
    is_active = serializers.BooleanField(required=False, allow_null=True)
    rate_limit_per_hour = serializers.IntegerField(
        source="hourly_limit",
        required=False,
        allow_null=True,
        min_value=1,
        max_value=max(settings.PLAN_LIMITS.values()),
    )
    read_only = serializers.BooleanField(source="is_read_only", required=False, allow_null=True)
    description = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if "description" in attributes:
            attributes["description"] = attributes["description"] or ""
        return {name: value for name, value in attributes.items() if value is not None or name == "hourly_limit"}


class RotateQuerySerializer(serializers.Serializer):
    grace_period_days = serializers.IntegerField(default=7, min_value=0, max_value=MAX_GRACE_DAYS)


class ExpiringQuerySerializer(serializers.Serializer):
    days = serializers.IntegerField(default=30, min_value=0, max_value=3650)


class ExpirationQuerySerializer(serializers.Serializer):
    """`expires_at` absent, empty or "null" means never."""

    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def to_internal_value(self, data: Any) -> Any:
        if data.get("expires_at") in ("", "null", "None"):
            data = {}
        return super().to_internal_value(data)

    def validate_expires_at(self, moment: Any) -> Any:
        if moment is not None and moment <= timezone.now():
            raise serializers.ValidationError("Name a moment in the future; to end the key now, delete it.")
        return moment


def key_json(key: ApiKey, plan: str) -> dict[str, Any]:
    """Return the contract's ApiKeyResponse and what else is known. Never the key itself: nobody has it any more.

    `key` comes from `with_usage()`.
    """
    plan_limit = settings.PLAN_LIMITS[plan]
    usage: Any = key
    return {
        "id": str(key.id),
        "name": key.name,
        "key_prefix": key.prefix,
        "permissions": key.scopes,
        "is_active": key.is_active,
        "usage_count": usage.usage_count,
        "rate_limit_per_hour": min(plan_limit, key.hourly_limit or plan_limit),
        "last_used_at": usage.last_used_at,
        "last_used_ip": usage.last_used_ip,
        "last_used_client": usage.last_used_client or None,
        "created_at": key.created_at,
        "read_only": key.is_read_only,
        "description": key.description or None,
        "workspace_id": str(key.workspace_id),
        "expires_at": key.expires_at,
        "state": key.state,
        "rotated_at": key.rotated_at,
        "replaced_by_id": str(key.replaced_by_id) if key.replaced_by_id else None,
        "usage_count_since_rotation": usage.usage_count - key.usage_count_at_rotation if key.rotated_at else None,
    }


def expiring_key_json(key: ApiKey, plan: str) -> dict[str, Any]:
    left: timedelta = (key.expires_at or timezone.now()) - timezone.now()
    return {**key_json(key, plan), "days_until_expiration": left.days}


def workspace_key_json(key: ApiKey, plan: str) -> dict[str, Any]:
    """Return a key as an owner sees it: with its maker."""
    maker = {"id": str(key.created_by_id), "email": key.created_by.email, "name": key.created_by.name}
    return {**key_json(key, plan), "created_by": maker}


def current_key_json(key: ApiKey, principal: Principal, remaining: int, reset_at: Any) -> dict[str, Any]:
    """Return what a key may know of itself, with what is left of its hour."""
    scopes = sorted(scope for scope in principal.scopes if scope in KEY_SCOPES)
    return {
        "id": str(key.id),
        "name": key.name,
        "key_prefix": key.prefix,
        "permissions": key.scopes,
        "effective_permissions": scopes,
        "read_only": key.is_read_only,
        "workspace_id": str(key.workspace_id),
        "workspace_slug": key.workspace.slug,
        "expires_at": key.expires_at,
        "state": key.state,
        "rate_limit_per_hour": principal.hourly_limit,
        "rate_limit_remaining": remaining,
        "rate_limit_reset_at": reset_at,
    }


def new_key_json(key: ApiKey, raw: str, message: str) -> dict[str, Any]:
    """Return the contract's ApiKeyCreateResponse, the only answer that holds a key."""
    return {
        "message": message,
        "api_key": {
            "id": str(key.id),
            "name": key.name,
            "api_key": raw,
            "created_at": key.created_at,
            "read_only": key.is_read_only,
            "description": key.description or None,
            "permissions": key.scopes,
        },
    }
