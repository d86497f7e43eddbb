"""What the key endpoints take and give, in the contract's words: `permissions` are scopes."""

from typing import Any

from rest_framework import serializers

from accounts.scopes import DEFAULT_KEY_SCOPES, KEY_SCOPES
from apikeys.models import ApiKey


class ScopesField(serializers.ListField):
    """A list of scopes that a key can carry. Null means the default; an empty list means none at all."""

    child = serializers.CharField(max_length=50)

    def to_internal_value(self, data: Any) -> list[str]:
        scopes: list[str] = super().to_internal_value(data)
        if unknown := sorted(set(scopes) - KEY_SCOPES.keys()):
            known = ", ".join(KEY_SCOPES)
            raise serializers.ValidationError(
                f"Unknown permission {unknown[0]!r}. Known are: {known}.", "unknown_scope"
            )
        if len(scopes) != len(set(scopes)):
            raise serializers.ValidationError("A permission is listed twice.", "duplicate_scope")
        return scopes


class ApiKeyCreateSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=100, default="Default")
    permissions = ScopesField(source="scopes", required=False, allow_null=True, max_length=len(KEY_SCOPES))
    read_only = serializers.BooleanField(source="is_read_only", default=False)
    description = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes.get("scopes") is None:
            attributes["scopes"] = list(DEFAULT_KEY_SCOPES)
        attributes["description"] = attributes.get("description") or ""
        return attributes


def key_json(key: ApiKey, plan_limit: int) -> dict[str, Any]:
    """Return the contract's ApiKeyResponse. Never the key itself: nobody has it any more."""
    return {
        "id": str(key.id),
        "name": key.name,
        "key_prefix": key.prefix,
        "permissions": key.scopes,
        "is_active": key.is_active,
        "usage_count": getattr(key, "usage_count", 0) or 0,
        "rate_limit_per_hour": min(plan_limit, key.hourly_limit or plan_limit),
        "last_used_at": getattr(key, "last_used_at", None),
        "created_at": key.created_at,
        "read_only": key.is_read_only,
        "description": key.description or None,
        "workspace_id": str(key.workspace_id),
        "expires_at": key.expires_at,
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
