"""What the profile endpoints take and give."""

from typing import Any

from django.core.validators import URLValidator
from rest_framework import serializers

from accounts.models import Membership
from accounts.profile import PREFERENCES
from accounts.scopes import Role
from accounts.serializers.fields import refuse_unknown_timezone
from spatialflow.strict_fields import RegexField, TextField, TrueOrFalseField
from spatialflow.texts import refuse_invisible

CLEARABLE = ("bio", "avatar_url", "phone_number")


class PreferencesSerializer(serializers.Serializer):
    """The names and forms of accounts/profile.py's PREFERENCES."""

    date_format = TextField(max_length=20)
    time_format = TextField(max_length=20)
    email_notifications = TrueOrFalseField()
    webhook_failure_notifications = TrueOrFalseField()
    workflow_failure_notifications = TrueOrFalseField()
    usage_alert_notifications = TrueOrFalseField()
    marketing_emails = TrueOrFalseField()
    default_map_style = TextField(max_length=50)
    default_geofence_color = RegexField(r"^#[0-9A-Fa-f]{6}$")
    show_tutorial_tooltips = TrueOrFalseField()
    has_completed_tour = TrueOrFalseField()
    has_completed_workflow_tour = TrueOrFalseField()
    default_api_version = TextField(max_length=10)


class ProfileUpdateSerializer(PreferencesSerializer):
    """What is absent stays. A null or empty bio, avatar or phone number empties it; other nulls are left out.

    The SDK's `from_dict()` sends a null for every member that it was not given: the nulls of a body with all members
    are left out.
    """

    name = TextField(max_length=255, allow_blank=True, validators=[refuse_invisible])
    bio = TextField(max_length=1000, allow_blank=True)
    avatar_url = TextField(
        max_length=500,
        allow_blank=True,
        validators=[URLValidator(["http", "https"], message="Enter an address that begins with https:// or http://.")],
    )
    phone_number = RegexField(
        r"^\+[0-9]{10,15}$",
        allow_blank=True,
        error_messages={"invalid": "Write the number with its country's, for instance +41446681800."},
    )
    timezone = TextField(max_length=50, validators=[refuse_unknown_timezone])

    def get_fields(self) -> dict[str, serializers.Field]:
        fields: dict[str, serializers.Field] = super().get_fields()
        for field in fields.values():
            field.required, field.allow_null = False, True
        return fields

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and self.fields.keys() <= data.keys():
            data = {name: value for name, value in data.items() if value is not None}
        return super().to_internal_value(data)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        cleared = {name: "" for name in CLEARABLE if name in attributes and attributes[name] is None}
        return {name: value for name, value in {**attributes, **cleared}.items() if value is not None}


class ProfileSerializer(PreferencesSerializer):
    """Describes what `profile_json` renders: the contract's UserProfileResponse, whether a second factor is on, and
    whether mail to the address is stopped, because Apple has said that it does not forward it.
    """

    id = serializers.CharField()
    email = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(list(Role))
    is_staff = serializers.BooleanField()
    is_superuser = serializers.BooleanField()
    email_verified = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    bio = serializers.CharField(allow_null=True)
    avatar_url = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(allow_null=True)
    timezone = serializers.CharField()
    workspace_role = serializers.ChoiceField(list(Role))
    workspace_id = serializers.CharField()
    selected_plan = serializers.CharField()
    company = serializers.CharField(allow_null=True)
    second_factor_enabled = serializers.BooleanField()
    mail_stopped = serializers.BooleanField()


def profile_json(membership: Membership) -> dict[str, Any]:
    """Return the profile of a membership's user; role and workspace are the membership's."""
    user = membership.user
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "role": membership.role,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "email_verified": user.email_verified_at is not None,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "bio": user.bio or None,
        "avatar_url": user.avatar_url or None,
        "phone_number": user.phone_number or None,
        "timezone": user.timezone,
        **PREFERENCES,
        **user.preferences,
        "workspace_role": membership.role,
        "workspace_id": str(membership.workspace_id),
        "selected_plan": user.selected_plan,
        "company": user.company or None,
        "second_factor_enabled": user.has_second_factor,
        "mail_stopped": user.is_mail_stopped,
    }
