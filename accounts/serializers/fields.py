"""Fields that several bodies share."""

from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.emails import canonical_email
from spatialflow.strict_fields import TextField


@extend_schema_field({"type": "string", "format": "email", "minLength": 1})
class EmailAddressField(TextField):
    """An email address in any spelling; what comes out is its canonical form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1000, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return canonical_email(super().to_internal_value(data))
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None


def refuse_unknown_timezone(name: str) -> None:
    """Raise the 422 for anything but the name of a time zone in the IANA database."""
    if name not in available_timezones():
        raise serializers.ValidationError("Enter the name of a time zone, for instance Europe/Zurich or UTC.")
