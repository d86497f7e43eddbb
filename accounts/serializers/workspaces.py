"""What the workspace endpoints take and give."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import orjson
from django.core.validators import RegexValidator, URLValidator
from rest_framework import serializers

from accounts.models import Workspace
from accounts.scopes import Role
from accounts.serializers.auth import TokenPairSerializer
from accounts.serializers.fields import refuse_unknown_timezone
from spatialflow.digits import WholeNumberField
from spatialflow.strict_fields import EmailField, TextField, TrueOrFalseField
from spatialflow.texts import refuse_invisible

MAX_MAP_HOME_BYTES = 4096
UNIT_SYSTEMS = ("imperial", "metric")
SHORTEST_LIFETIME, LONGEST_LIFETIME = 300, 86_400  # seconds

# A name stands in the subject of mails.
ONE_LINE = RegexValidator(r"^[^\x00-\x1f\x7f\u2028\u2029]*\Z", "Leave out line breaks and control characters.")
NAME_RULES = [ONE_LINE, refuse_invisible]
SLUG = RegexValidator(r"^[a-z0-9]+(-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens between them.")


class WebAddressField(TextField):
    """An http or https address: it becomes a link on pages, where javascript: would be an attack."""

    def __init__(self, **options: Any) -> None:
        only_web = URLValidator(["http", "https"], message="Enter an http:// or https:// address.")
        super().__init__(max_length=500, allow_blank=True, allow_null=True, validators=[only_web], **options)


class MapHomeField(serializers.DictField):
    """Any object of bounded size: what is in it is the map's own business."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        if len(orjson.dumps(value)) > MAX_MAP_HOME_BYTES:
            raise serializers.ValidationError(f"This is too large; send at most {MAX_MAP_HOME_BYTES} bytes of JSON.")
        # Postgres gives 1e20 back as a whole number, and none of more than 64 bits can be answered.
        if any(abs(number) >= 2**63 for number in _numbers(value)):
            raise serializers.ValidationError("A number in this is too large; keep between -2^63 and 2^63.")
        return value


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers in what JSON holds, at any depth."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value


class LifetimeField(WholeNumberField):
    """Seconds, of which the row makes a duration."""

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class WorkspacePatchSerializer(serializers.Serializer):
    """What is absent stays. Null empties what can be empty, and is left out otherwise.

    The SDK's `from_dict()` sends a null for every member that it was not given: the nulls of a body with all members
    of the SDK's model are left out.
    """

    name = TextField(max_length=255, required=False, allow_null=True, validators=NAME_RULES)
    logo_url = WebAddressField(required=False)
    website = WebAddressField(required=False)
    billing_email = EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    description = TextField(max_length=2000, required=False, allow_null=True, allow_blank=True)
    timezone = TextField(max_length=50, required=False, allow_null=True, validators=[refuse_unknown_timezone])
    support_email = EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    slack_connect_url = WebAddressField(required=False)
    unit_system = serializers.ChoiceField(UNIT_SYSTEMS, required=False, allow_null=True)
    map_home = MapHomeField(required=False, allow_null=True)
    access_token_lifetime_seconds = LifetimeField(
        source="access_token_lifetime",
        required=False,
        allow_null=True,
        min_value=SHORTEST_LIFETIME,
        max_value=LONGEST_LIFETIME,
        help_text="Only owners change it. Null: the deployment's default.",
    )
    requires_second_factor = TrueOrFalseField(
        required=False, allow_null=True, help_text="Only owners change it, and only with a second factor of their own."
    )

    OF_THE_SDK: ClassVar[set[str]] = {
        *("name", "logo_url", "website", "billing_email", "description", "timezone", "support_email"),
        *("slack_connect_url", "unit_system", "map_home"),
    }
    NEVER_NULL: ClassVar[set[str]] = {"name", "timezone", "unit_system", "requires_second_factor"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and data.keys() >= self.OF_THE_SDK:
            data = {name: value for name, value in data.items() if value is not None or name not in self.OF_THE_SDK}
        return super().to_internal_value(data)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes.get("access_token_lifetime") is not None:
            attributes["access_token_lifetime"] = timedelta(seconds=attributes["access_token_lifetime"])
        stays_null = {"map_home", "access_token_lifetime"}
        return {
            name: "" if value is None and name not in stays_null else value
            for name, value in attributes.items()
            if value is not None or name not in self.NEVER_NULL
        }


class WorkspacePutSerializer(WorkspacePatchSerializer):
    """The same with a name."""

    name = TextField(max_length=255, validators=NAME_RULES)


class WorkspaceCreateSerializer(serializers.Serializer):
    name = TextField(max_length=255, validators=NAME_RULES)
    slug = TextField(min_length=3, max_length=50, required=False, allow_null=True, validators=[SLUG])


class WorkspaceDeleteQuerySerializer(serializers.Serializer):
    slug = TextField(max_length=255, help_text="The workspace's slug, to confirm.")


class EmptyAsNullField(serializers.CharField):
    """A text that is null in the answer where the row has an empty one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_representation(self, value: str) -> str | None:
        return value or None


class WorkspaceSerializer(serializers.Serializer):
    """The contract's WorkspaceOut, the plan, and what owners decide about sign-ins."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    logo_url = EmptyAsNullField()
    website = EmptyAsNullField()
    billing_email = EmptyAsNullField()
    description = EmptyAsNullField()
    timezone = serializers.CharField()
    support_email = EmptyAsNullField()
    slack_connect_url = EmptyAsNullField()
    unit_system = serializers.ChoiceField(UNIT_SYSTEMS)
    lane = EmptyAsNullField()
    map_home = serializers.DictField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    plan = serializers.CharField()
    access_token_lifetime_seconds = LifetimeField(
        source="access_token_lifetime", allow_null=True, help_text="Null: the deployment's default."
    )
    requires_second_factor = serializers.BooleanField()


class UsageSerializer(serializers.Serializer):
    """The contract's UsageResponse, and behind it what this service counts."""

    location_events = serializers.IntegerField(help_text="Always 0: devices are another service's.")
    action_deliveries = serializers.IntegerField(help_text="Always 0: webhooks are another service's.")
    event_units = serializers.FloatField(help_text="API requests, one unit each.")
    tier = serializers.CharField(help_text="The plan.")
    tier_limit = serializers.IntegerField(allow_null=True, help_text="Always null: nothing limits units a month.")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    api_requests = serializers.IntegerField(help_text="Of API keys and sign-ins, in the hours that began today (UTC).")
    api_refusals = serializers.IntegerField(help_text="Requests beyond the hourly limit, likewise.")
    hourly_request_limit = serializers.IntegerField(help_text="Of each API key and sign-in.")
    members = serializers.IntegerField()
    api_keys = serializers.IntegerField()
    geofences = serializers.IntegerField()


class WorkspaceRowSerializer(serializers.Serializer):
    """The contract's MobileWorkspaceRow, from a membership annotated with `member_count`."""

    id = serializers.UUIDField(source="workspace.id")
    name = serializers.CharField(source="workspace.name")
    slug = serializers.CharField(source="workspace.slug")
    role = serializers.ChoiceField(list(Role))
    logo_url = EmptyAsNullField(source="workspace.logo_url")
    timezone = serializers.CharField(source="workspace.timezone")
    unit_system = serializers.CharField(source="workspace.unit_system")
    is_selected = serializers.SerializerMethodField()
    member_count = serializers.IntegerField()
    tracking_consent_required = serializers.SerializerMethodField()

    def get_is_selected(self, membership: Any) -> bool:
        return bool(membership.workspace_id == self.context["selected"])

    def get_tracking_consent_required(self, membership: Any) -> bool:
        return False  # nobody is tracked here


class WorkspaceChoicesSerializer(serializers.Serializer):
    """The contract's MobileWorkspaceBootstrapOut; `choices_json` renders it."""

    eligible_workspaces = WorkspaceRowSerializer(many=True)
    eligible_count = serializers.IntegerField()
    selected_workspace_id = serializers.CharField(allow_null=True)
    selected_workspace = WorkspaceRowSerializer(allow_null=True)
    skip_picker = serializers.BooleanField(help_text="There is only one.")
    selection_required = serializers.BooleanField(help_text="There are several, and none was ever chosen.")


class WorkspaceSelectSerializer(serializers.Serializer):
    workspace_id = TextField(max_length=100)


class WorkspaceSelectionSerializer(WorkspaceChoicesSerializer, TokenPairSerializer):
    """The contract's MobileWorkspaceSelectionOut: the choices as they are now, and the pair for the chosen one."""


class RevokedSessionsSerializer(serializers.Serializer):
    message = serializers.CharField()
    members_affected = serializers.IntegerField()
    sessions_revoked = serializers.IntegerField()
    workspace_id = serializers.CharField()


def workspace_json(workspace: Workspace) -> dict[str, Any]:
    return dict(WorkspaceSerializer(workspace).data)


def choices_json(choices: dict[str, Any]) -> dict[str, Any]:
    selected = choices["current_workspace_id"]
    rows = WorkspaceRowSerializer(choices["eligible"], many=True, context={"selected": selected}).data
    chosen = next((row for row in rows if row["is_selected"]), None)
    return {
        "eligible_workspaces": rows,
        "eligible_count": len(rows),
        "selected_workspace_id": chosen and chosen["id"],
        "selected_workspace": chosen,
        "skip_picker": choices["skip_picker"],
        "selection_required": choices["selection_required"],
    }
