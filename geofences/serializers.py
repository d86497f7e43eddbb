"""What a client may send: the bodies of create and update, and the query of a list. What a geometry is stands in
geometry.py. As in spatialflow/strict_fields.py, a number is one of JSON's: DRF's fields would read true as 1.
"""

from typing import Any

from django.core.validators import URLValidator
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.fields import empty

from geofences.geometry import FenceGeometry, GeometryError, read_geometry
from geofences.listings import MAX_GROUP_PAGE
from geofences.queries import GeofencePage
from geofences.stored_json import find_reason_not_to_store, text_bytes
from spatialflow.strict_fields import TextField, TrueOrFalseField

MAX_METADATA_BYTES = 16 * 1024
MAX_TEXT_LIST_BYTES = 8 * 1024
MAX_URL = 2048
MAX_PAGE_LENGTH = 500
MAX_OFFSET = 2**31 - 1
NO_GEOMETRY = (
    "a geometry is required, and it is missing or null. The Python SDK sends null for a plain dict: "
    "build the request with {name}.from_dict(...), or pass geometry={wrapper}(GeoJSONPolygon(...))."
)
NO_GEOCODER = (
    'this service has no geocoder; send source "draw" and the geometry itself, '
    "for instance a Circle around the address."
)


class OptionalTextField(TextField):
    """Text that may be null; nothing but blanks is null too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, allow_blank=True, **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(data) or None


class WebAddressField(OptionalTextField):
    """An http or https URL of at most 2,048 bytes as it is sent."""

    default_error_messages = {"too_large": f"The URL is larger than {MAX_URL} bytes; percent-encode it."}

    def __init__(self) -> None:
        message = "Must be an http:// or https:// URL."
        super().__init__(max_length=MAX_URL, validators=[URLValidator(["http", "https"], message=message)])

    def to_internal_value(self, data: Any) -> str:
        text: str = super().to_internal_value(data)
        if text_bytes(text) - 2 > MAX_URL:
            self.fail("too_large")
        return text


class NumberField(serializers.Field):
    """A JSON number from `minimum` to `maximum`, a whole one unless `fractional`."""

    default_error_messages = {"invalid": "Must be a {kind} from {minimum} to {maximum}."}

    def __init__(self, *, minimum: int, maximum: int, fractional: bool = False, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)
        self.minimum, self.maximum, self.fractional = minimum, maximum, fractional

    def to_internal_value(self, data: Any) -> float:
        number = not isinstance(data, bool) and isinstance(data, int | float if self.fractional else int)
        if not number or not self.minimum <= data <= self.maximum:
            kind = "number" if self.fractional else "whole number"
            self.fail("invalid", kind=kind, minimum=self.minimum, maximum=self.maximum)
        return data


class TextListField(serializers.Field):
    """At most 50 texts of 1 to `max_length` characters, 8 KiB as they are sent; null counts as none."""

    default_error_messages = {
        "invalid": "Must be a list of at most 50 texts of 1 to {max_length} characters.",
        "too_large": f"The list is larger than {MAX_TEXT_LIST_BYTES // 1024} KiB.",
    }

    def __init__(self, *, max_length: int) -> None:
        super().__init__(required=False, allow_null=True)
        self.max_length = max_length

    def run_validation(self, data: Any = empty) -> list[str]:
        return super().run_validation(data) or []

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or len(data) > 50 or not all(isinstance(text, str) for text in data):
            self.fail("invalid", max_length=self.max_length)
        texts = [text.strip() for text in data]
        if not all(0 < len(text) <= self.max_length for text in texts):
            self.fail("invalid", max_length=self.max_length)
        if sum(text_bytes(text) + 1 for text in texts) > MAX_TEXT_LIST_BYTES:
            self.fail("too_large")
        return texts


class MetadataField(serializers.Field):
    """Any JSON object of at most 16 KiB; null counts as an empty one."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_null=True)

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        return super().run_validation(data) or {}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        if reason := find_reason_not_to_store(data, MAX_METADATA_BYTES):
            raise serializers.ValidationError(f"The object {reason}.")
        return data


class GeometryField(serializers.Field):
    def to_internal_value(self, data: Any) -> FenceGeometry:
        try:
            return read_geometry(data)
        except GeometryError as error:
            raise serializers.ValidationError(str(error)) from None


class GeofenceSerializer(serializers.Serializer):
    """The members that create and update share."""

    description = OptionalTextField(max_length=500)
    webhook_url = WebAddressField()
    webhook_events = TextListField(max_length=100)
    metadata = MetadataField()
    group_name = OptionalTextField(max_length=255)
    tags = TextListField(max_length=64)
    buffer_meters = NumberField(minimum=1, maximum=10_000)


class CreateGeofenceSerializer(GeofenceSerializer):
    name = TextField(max_length=100)
    geometry = GeometryField(
        error_messages=dict.fromkeys(
            ("required", "null"), NO_GEOMETRY.format(name="CreateGeofenceRequest", wrapper="Geometry1")
        )
    )
    source = OptionalTextField(max_length=16)
    address = OptionalTextField(max_length=1000)
    confirm_duplicate = TrueOrFalseField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        # Said alone, before the missing geometry that goes with it.
        if isinstance(data, dict) and data.get("source") == "address":
            raise serializers.ValidationError({"source": [NO_GEOCODER]})
        return super().to_internal_value(data)

    def validate_source(self, source: str | None) -> str:
        if source not in (None, "draw"):
            raise serializers.ValidationError('Must be "draw".')
        return "draw"


class UpdateGeofenceSerializer(GeofenceSerializer):
    """Changes what is given. A null empties a member, where it can be empty.

    The SDK's `UpdateGeofenceRequest.from_dict()` sends a null for every member that it was not given: a body that holds
    all members is taken for one of these, and its nulls are left out. Otherwise changing a name would empty the rest.
    """

    name = TextField(max_length=100, required=False)
    geometry = GeometryField(
        required=False, error_messages={"null": NO_GEOMETRY.format(name="UpdateGeofenceRequest", wrapper="Geometry3")}
    )
    is_active = TrueOrFalseField(required=False)
    address = OptionalTextField(max_length=512)
    lat = NumberField(minimum=-90, maximum=90, fractional=True)
    lng = NumberField(minimum=-180, maximum=180, fractional=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and self.fields.keys() <= data.keys():
            data = {name: value for name, value in data.items() if value is not None}
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("lat") is None) != (attrs.get("lng") is None):
            raise serializers.ValidationError({"lat": ["Send lat and lng together."]})
        if "lat" in attrs or "lng" in attrs:
            attrs |= {"lat": attrs.get("lat"), "lng": attrs.get("lng")}
        return attrs


class GroupNameSerializer(serializers.Serializer):
    """The name of a group, which is the whole body of a request: a text, or null for none."""

    group_name = OptionalTextField(max_length=255)


def read_group_page(query: QueryDict) -> tuple[int, int]:
    """Return limit and offset of a list of a group's fences. Raises ValidationError."""
    errors: dict[str, list[str]] = {}
    limit = min(_read_whole_number(query, "limit", MAX_GROUP_PAGE, errors, minimum=1), MAX_GROUP_PAGE)
    offset = _read_whole_number(query, "offset", 0, errors, maximum=MAX_OFFSET)
    if errors:
        raise serializers.ValidationError(errors)
    return limit, offset


def read_page_query(query: QueryDict) -> GeofencePage:
    """Return the page that a list request asks for. Raises ValidationError with every value that is wrong."""
    errors: dict[str, list[str]] = {}
    page = GeofencePage(
        limit=min(_read_whole_number(query, "limit", 50, errors, minimum=1), MAX_PAGE_LENGTH),
        offset=_read_whole_number(query, "offset", 0, errors, maximum=MAX_OFFSET),
        active_only=_read_true_or_false(query, "active_only", True, errors),
        include_archived=_read_true_or_false(query, "include_archived", False, errors),
        tags=tuple(query.getlist("tags")),
    )
    if len(page.tags) > 50 or not all(0 < len(tag.strip()) <= 64 and "\0" not in tag for tag in page.tags):
        errors["tags"] = ["Give at most 50 tags of 1 to 64 characters."]
    if errors:
        raise serializers.ValidationError(errors)
    return page


def _read_whole_number(
    query: QueryDict,
    name: str,
    default: int,
    errors: dict[str, list[str]],
    *,
    minimum: int = 0,
    maximum: int | None = None,
) -> int:
    text = query.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 19 else 10**18  # int() refuses thousands of digits
        if number >= minimum and (maximum is None or number <= maximum):
            return number
    errors[name] = [
        f"Must be a whole number, at least {minimum}{'' if maximum is None else f' and at most {maximum}'}."
    ]
    return default


TRUE_OR_FALSE = {"true": True, "1": True, "false": False, "0": False}


def _read_true_or_false(query: QueryDict, name: str, default: bool, errors: dict[str, list[str]]) -> bool:
    text = query.get(name)
    if text is None:
        return default
    value = TRUE_OR_FALSE.get(text.lower())
    if value is None:
        errors[name] = ["Must be true or false."]
        return default
    return value
