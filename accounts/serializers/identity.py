"""What signup, verification, passwords and changes of the address take and give."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from accounts.models import User
from accounts.serializers.auth import MessageSerializer
from accounts.serializers.fields import EmailAddressField, refuse_unknown_timezone
from spatialflow.strict_fields import TextField, URLField
from spatialflow.texts import refuse_invisible

KEPT_FOR_THE_OPERATOR = ("use_case", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
OF_THE_WORKSPACE = ("website", "lane", "timezone")


def password_field() -> TextField:
    """Return a field that takes a password as typed; its rules are in accounts/passwords.py."""
    return TextField(max_length=100_000, trim_whitespace=False)


def optional_text(max_length: int) -> TextField:
    """Return a field whose absence, null and blank are one: the SDK sends null for what its caller left out."""
    return TextField(max_length=max_length, required=False, allow_null=True, allow_blank=True)


class SignupSerializer(serializers.Serializer):
    """Takes the contract's SignupRequest. `selected_plan` is a wish: every workspace starts on the free plan."""

    email = EmailAddressField()
    password = password_field()
    name = optional_text(255)
    company = optional_text(255)
    selected_plan = serializers.ChoiceField(list(settings.PLAN_LIMITS), required=False, allow_null=True)
    use_case = optional_text(1000)
    utm_source = optional_text(255)
    utm_medium = optional_text(255)
    utm_campaign = optional_text(255)
    utm_term = optional_text(255)
    utm_content = optional_text(255)
    website = URLField(max_length=500, required=False, allow_null=True, allow_blank=True)
    lane = optional_text(50)
    timezone = TextField(
        max_length=50, required=False, allow_null=True, allow_blank=True, validators=[refuse_unknown_timezone]
    )

    def validate_name(self, name: str | None) -> str | None:
        refuse_invisible(name or "")
        return name

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of the named members that were given and say something."""
        return {name: value for name in names if (value := self.validated_data.get(name))}

    def user(self) -> User:
        """Return the person, unsaved and without a password."""
        fields = self.given("email", "name", "company", "selected_plan", "timezone")
        return User(**fields, signup_details=self.given(*KEPT_FOR_THE_OPERATOR))


class EmailSerializer(serializers.Serializer):
    email = EmailAddressField()


class LinkSerializer(serializers.Serializer):
    """The secret of a mailed link."""

    token = TextField(max_length=200)


class NewPasswordSerializer(LinkSerializer):
    password = password_field()


class ChangePasswordSerializer(serializers.Serializer):
    current_password = password_field()
    new_password = password_field()


class ChangeEmailSerializer(serializers.Serializer):
    new_email = EmailAddressField()
    current_password = password_field()


class PendingEmailSerializer(serializers.Serializer):
    """Both null where no change is waiting."""

    new_email = serializers.EmailField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class VerifiedSerializer(MessageSerializer):
    email_verified = serializers.BooleanField()
