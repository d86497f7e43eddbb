"""What the audit log's addresses take and give."""

from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.utils.dateparse import parse_date
from rest_framework import serializers

from accounts.audit_log import Filters
from spatialflow.digits import WholeNumberField

MAX_PAGE = 1_000_000
FILTERS = [field.name for field in fields(Filters)]


class DayOrMomentField(serializers.DateTimeField):
    """An ISO 8601 moment, or a day in UTC: its beginning, or with `ends` the beginning of the next."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Choose a day, such as 2025-01-31, or a moment, such as 2025-01-31T09:00:00Z."
    }

    def __init__(self, *, ends: bool = False, **kwargs: Any) -> None:
        self.ends = ends
        super().__init__(**kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        day = self._day(value)
        if day is None:
            return super().to_internal_value(value)
        try:
            return datetime.combine(day + timedelta(days=self.ends), time(), UTC)
        except OverflowError:
            raise serializers.ValidationError("Choose an earlier day.") from None

    @staticmethod
    def _day(value: Any) -> date | None:
        try:
            return parse_date(value) if isinstance(value, str) and len(value) == len("2025-01-31") else None
        except ValueError:
            return None


class FiltersSerializer(serializers.Serializer):
    action = serializers.CharField(max_length=60, required=False, allow_blank=True)
    user_id = serializers.UUIDField(required=False)
    resource_type = serializers.CharField(max_length=40, required=False, allow_blank=True)
    date_from = DayOrMomentField(required=False, help_text="A moment, or a day in UTC.")
    date_to = DayOrMomentField(
        ends=True, required=False, help_text="A moment (exclusive), or a day in UTC (inclusive)."
    )
    search = serializers.CharField(max_length=200, required=False, allow_blank=True)
    result = serializers.ChoiceField(
        ["succeeded", "refused"], required=False, allow_blank=True, help_text="Refused: with a status of 400 or more."
    )

    def filters(self) -> Filters:
        return Filters(**{name: self.validated_data.get(name) for name in FILTERS})


class AuditPageQuerySerializer(FiltersSerializer):
    page = WholeNumberField(min_value=1, max_value=MAX_PAGE, default=1)
    page_size = WholeNumberField(min_value=1, max_value=200, default=50)


class ExportQuerySerializer(FiltersSerializer):
    export_format = serializers.ChoiceField(["csv", "json"], default="csv")


class ExportedEventSerializer(serializers.Serializer):
    """Describes a row of an export."""

    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    user_email = serializers.CharField(allow_blank=True)
    user_id = serializers.UUIDField(allow_null=True)
    action = serializers.CharField()
    resource_type = serializers.CharField(allow_blank=True)
    resource_id = serializers.CharField(allow_null=True)
    description = serializers.CharField()
    target_email = serializers.CharField(allow_null=True)
    target_id = serializers.UUIDField(allow_null=True)
    ip_address = serializers.CharField(allow_null=True)
    user_agent = serializers.CharField(allow_null=True, allow_blank=True)
    http_method = serializers.CharField(allow_blank=True)
    path = serializers.CharField(allow_blank=True)
    status_code = serializers.IntegerField(allow_null=True)


class AuditEventSerializer(ExportedEventSerializer):
    """Describes what `accounts.audit_log.event_json` renders."""

    changes = serializers.DictField(allow_null=True)


class AuditPageSerializer(serializers.Serializer):
    logs = AuditEventSerializer(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    has_more = serializers.BooleanField()
