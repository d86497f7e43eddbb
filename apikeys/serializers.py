"""What the key endpoints take and give, in the contract's words: `permissions` are scopes."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.scopes import DEFAULT_KEY_SCOPES, KEY_SCOPES, ROLE_SCOPES, with_implied
from apikeys.keys import is_well_formed, shown_prefix
from apikeys.lifecycle import MAX_GRACE_DAYS
from apikeys.models import ApiKey
from apikeys.usage import LONGEST_WINDOW_DAYS, KeyUsage
from spatialflow.digits import WholeNumberField
from spatialflow.strict_fields import TextField, TrueOrFalseField
from spatialflow.texts import refuse_invisible

LONGEST_LIFE = timedelta(days=3653)


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": list(KEY_SCOPES)}, "uniqueItems": True})
class PermissionsField(serializers.ListField):
    """A list of scopes that a key can carry and that its maker holds. An empty list means none at all."""

    child = TextField(max_length=50)

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


class ExpirationField(serializers.DateTimeField):
    """When a key ends: a moment to come, within ten years."""

    def to_internal_value(self, value: Any) -> datetime:
        moment: datetime = super().to_internal_value(value)
        if moment <= timezone.now():
            raise serializers.ValidationError("Name a moment in the future; to end the key now, delete it.")
        if moment > timezone.now() + LONGEST_LIFE:
            raise serializers.ValidationError("Name a moment within ten years, or none for a key that never expires.")
        return moment


class KeySearchSerializer(serializers.Serializer):
    """Which keys to look for, by a part of their name or by how they begin; empty means all."""

    search = serializers.CharField(max_length=100, allow_blank=True, default="")

    def validate_search(self, search: str) -> str:
        return shown_prefix(search) if is_well_formed(search) else search  # a whole key is shown nowhere again


class ApiKeyCreateSerializer(serializers.Serializer):
    name = TextField(max_length=100, default="Default", allow_null=True, validators=[refuse_invisible])
    permissions = PermissionsField(source="scopes", required=False, allow_null=True, max_length=len(KEY_SCOPES))
    read_only = TrueOrFalseField(source="is_read_only", default=False, allow_null=True)
    description = TextField(max_length=500, required=False, allow_null=True, allow_blank=True)
    expires_at = ExpirationField(required=False, allow_null=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes.get("scopes") is None:
            attributes["scopes"] = list(DEFAULT_KEY_SCOPES)
        attributes["description"] = attributes.get("description") or ""
        attributes["name"] = attributes["name"] or "Default"
        attributes["is_read_only"] = bool(attributes["is_read_only"])
        return attributes


class ApiKeyUpdateSerializer(serializers.Serializer):
    """What is absent stays. A null description empties it, a null limit means the plan's; other nulls are left out.

    The SDK's `from_dict()` sends a null for every member that it was not given: the nulls of a body with all members
    are left out.
    """

    name = TextField(max_length=100, required=False, allow_null=True, validators=[refuse_invisible])
    permissions = PermissionsField(source="scopes", required=False, allow_null=True, max_length=len(KEY_SCOPES))
    is_active = TrueOrFalseField(required=False, allow_null=True)
    rate_limit_per_hour = WholeNumberField(
        source="hourly_limit",
        required=False,
        allow_null=True,
        min_value=1,
        max_value=max(settings.PLAN_LIMITS.values()),
    )
    read_only = TrueOrFalseField(source="is_read_only", required=False, allow_null=True)
    description = TextField(max_length=500, required=False, allow_null=True, allow_blank=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and self.fields.keys() <= data.keys():
            data = {name: value for name, value in data.items() if value is not None}
        return super().to_internal_value(data)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if "description" in attributes:
            attributes["description"] = attributes["description"] or ""
        return {name: value for name, value in attributes.items() if value is not None or name == "hourly_limit"}


class RegenerateQuerySerializer(serializers.Serializer):
    """`key_prefix`: the prefix of the secret that is to be replaced. Another one by now is left alone (409). Read from
    a plain dict, where an empty one is not taken for none.
    """

    key_prefix = TextField(max_length=20, default=None)


class RotateQuerySerializer(serializers.Serializer):
    grace_period_days = WholeNumberField(default=7, min_value=0, max_value=MAX_GRACE_DAYS)


class ExpiringQuerySerializer(serializers.Serializer):
    days = WholeNumberField(default=30, min_value=0, max_value=3650)


class ExpirationQuerySerializer(serializers.Serializer):
    """`expires_at` absent, empty or "null" means never."""

    expires_at = ExpirationField(required=False, allow_null=True, default=None)

    def to_internal_value(self, data: Any) -> Any:
        if data.get("expires_at") in ("", "null", "None"):
            data = {}
        return super().to_internal_value(data)


class ApiKeySerializer(serializers.ModelSerializer):
    """The contract's ApiKeyResponse and what else is known of a key from `with_usage()`. Never the key: nobody has
    it.
    """

    id = serializers.CharField()
    key_prefix = serializers.CharField(source="prefix")
    permissions = serializers.ListField(child=serializers.CharField(), source="scopes")
    usage_count = serializers.IntegerField()
    rate_limit_per_hour = serializers.SerializerMethodField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    last_used_ip = serializers.CharField(allow_null=True)
    last_used_client = serializers.CharField(allow_null=True)
    read_only = serializers.BooleanField(source="is_read_only")
    description = serializers.SerializerMethodField()
    workspace_id = serializers.CharField()
    replaced_by_id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(["active", "disabled", "rotated", "expired"])
    usage_count_since_rotation = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields: ClassVar[list[str]] = [
            *(
                "id",
                "name",
                "key_prefix",
                "permissions",
                "is_active",
                "usage_count",
                "rate_limit_per_hour",
                "last_used_at",
            ),
            *(
                "last_used_ip",
                "last_used_client",
                "created_at",
                "read_only",
                "description",
                "workspace_id",
                "expires_at",
            ),
            *("state", "rotated_at", "replaced_by_id", "usage_count_since_rotation"),
        ]

    def get_rate_limit_per_hour(self, key: ApiKey) -> int:
        plan_limit: int = settings.PLAN_LIMITS[self.context["principal"].plan]
        return min(plan_limit, key.hourly_limit or plan_limit)

    def get_description(self, key: ApiKey) -> str | None:
        return key.description or None

    def get_usage_count_since_rotation(self, key: Any) -> int | None:
        return key.usage_count - key.usage_count_at_rotation if key.rotated_at else None


class UsageQuerySerializer(serializers.Serializer):
    days = WholeNumberField(default=2, min_value=1, max_value=LONGEST_WINDOW_DAYS)


class HourSerializer(serializers.Serializer):
    """One hour with a request; it begins at a minute of the key's own."""

    started_at = serializers.DateTimeField()
    requests = serializers.IntegerField()
    refusals = serializers.IntegerField()


class UsedScopeSerializer(serializers.Serializer):
    permission = serializers.CharField()
    last_used_hour = serializers.DateTimeField()


class KeyUsageSerializer(serializers.Serializer):
    """The use of a key, as `apikeys.usage.KeyUsage` explains it."""

    since = serializers.DateTimeField()
    hours = HourSerializer(many=True)
    permissions_watched_since = serializers.DateTimeField(source="watched_since")
    scopes_used = serializers.SerializerMethodField()
    scopes_unused = serializers.ListField(child=serializers.CharField())
    suggested_permissions = serializers.ListField(
        child=serializers.CharField(), source="suggested_scopes", allow_null=True
    )

    @extend_schema_field(UsedScopeSerializer(many=True))
    def get_scopes_used(self, usage: KeyUsage) -> list[dict[str, Any]]:
        used = [{"permission": name, "last_used_hour": hour} for name, hour in sorted(usage.scopes_used.items())]
        return list(UsedScopeSerializer(used, many=True).data)


class ExpirationSerializer(serializers.Serializer):
    """This member alone: the official clients type the answer as a map of texts and nulls."""

    expires_at = serializers.DateTimeField(allow_null=True)


class ExpiringKeySerializer(ApiKeySerializer):
    days_until_expiration = serializers.SerializerMethodField()

    class Meta(ApiKeySerializer.Meta):
        fields: ClassVar[list[str]] = [*ApiKeySerializer.Meta.fields, "days_until_expiration"]

    def get_days_until_expiration(self, key: ApiKey) -> int:
        return ((key.expires_at or timezone.now()) - timezone.now()).days


class MakerSerializer(serializers.Serializer):
    id = serializers.CharField()
    email = serializers.CharField()
    name = serializers.CharField()


class WorkspaceKeySerializer(ApiKeySerializer):
    """A key as an owner sees it: with its maker."""

    created_by = MakerSerializer()

    class Meta(ApiKeySerializer.Meta):
        fields: ClassVar[list[str]] = [*ApiKeySerializer.Meta.fields, "created_by"]


class WorkspaceKeyListSerializer(serializers.Serializer):
    api_keys = WorkspaceKeySerializer(many=True)
    total = serializers.IntegerField()


class CurrentKeySerializer(serializers.Serializer):
    """What a key may know of itself, with what is left of its hour."""

    id = serializers.CharField()
    name = serializers.CharField()
    key_prefix = serializers.CharField(source="prefix")
    permissions = serializers.ListField(child=serializers.CharField(), source="scopes")
    effective_permissions = serializers.SerializerMethodField()
    read_only = serializers.BooleanField(source="is_read_only")
    workspace_id = serializers.CharField()
    workspace_slug = serializers.CharField(source="workspace.slug")
    expires_at = serializers.DateTimeField(allow_null=True)
    state = serializers.CharField()
    rate_limit_per_hour = serializers.SerializerMethodField()
    rate_limit_remaining = serializers.SerializerMethodField()
    rate_limit_reset_at = serializers.SerializerMethodField()

    def get_effective_permissions(self, key: ApiKey) -> list[str]:
        return sorted(scope for scope in self.context["principal"].scopes if scope in KEY_SCOPES)

    def get_rate_limit_per_hour(self, key: ApiKey) -> int:
        return int(self.context["usage"].limit)

    def get_rate_limit_remaining(self, key: ApiKey) -> int:
        return int(self.context["usage"].remaining)

    def get_rate_limit_reset_at(self, key: ApiKey) -> datetime:
        return timezone.now().replace(microsecond=0) + timedelta(seconds=self.context["usage"].resets_in)


class NewApiKeyDetailSerializer(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    api_key = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    read_only = serializers.BooleanField(source="is_read_only")
    description = serializers.SerializerMethodField()
    permissions = serializers.ListField(child=serializers.CharField(), source="scopes")

    def get_api_key(self, key: ApiKey) -> str:
        return str(self.context["raw"])

    def get_description(self, key: ApiKey) -> str | None:
        return key.description or None


class NewApiKeySerializer(serializers.Serializer):
    """The contract's ApiKeyCreateResponse, the only answer that holds a key."""

    message = serializers.CharField()
    api_key = NewApiKeyDetailSerializer()


def new_key_json(key: ApiKey, raw: str, message: str) -> dict[str, Any]:
    return NewApiKeySerializer({"message": message, "api_key": key}, context={"raw": raw}).data
