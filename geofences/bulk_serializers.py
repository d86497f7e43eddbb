"""The body of a bulk request. The frame is judged as a whole, each item by itself: a wrong one becomes a result with an
error and keeps no other from being made.
"""

import uuid
from typing import Any

from rest_framework import serializers

from geofences.bulk import MAX_ITEMS, MAX_NAME, Item, Strategy, TooManyItems, read_item, refused_item
from geofences.serializers import NumberField, OptionalTextField, TextListField
from spatialflow.strict_fields import TextField, TrueOrFalseField

MAX_INDEX = 2**31 - 1
NAME_HELP = (
    f"A fence's name, as everywhere of at most {MAX_NAME} characters: a longer one refuses the item, none is cut. "
    f"Without it, the first {MAX_NAME} characters of the address are the name."
)


class BulkItemSerializer(serializers.Serializer):
    index = NumberField(minimum=0, maximum=MAX_INDEX)
    address = TextField(max_length=500)
    name = OptionalTextField(max_length=MAX_NAME, help_text=NAME_HELP)
    buffer_meters = NumberField(minimum=1, maximum=10_000)
    tags = TextListField(max_length=64)
    status = serializers.ChoiceField(["ok", "dedup", "skipped", "error"])
    override_dedup = TrueOrFalseField(required=False, allow_null=True)
    lat = NumberField(minimum=-90, maximum=90, fractional=True)
    lng = NumberField(minimum=-180, maximum=180, fractional=True)
    normalized_address = OptionalTextField(max_length=500)


class BulkCreateSerializer(serializers.Serializer):
    """What a bulk request looks like, for the API's description; `read_bulk_request` reads one."""

    items = BulkItemSerializer(many=True)
    dedup_strategy = serializers.ChoiceField(["skip", "override", "fail"], allow_null=True, default="skip")


def read_bulk_request(workspace_id: uuid.UUID, user_id: uuid.UUID, data: Any) -> tuple[list[Item], Strategy]:
    """Return the items, refused ones among them, and the strategy. Raises ValidationError, TooManyItems."""
    if not isinstance(data, dict):
        raise serializers.ValidationError("Must be an object with items.")
    items = data.get("items")
    if not isinstance(items, list) or not items:
        raise serializers.ValidationError({"items": ["Must be a list with at least one item."]})
    if len(items) > MAX_ITEMS:
        raise TooManyItems()
    strategy: Strategy = "skip" if data.get("dedup_strategy") is None else data["dedup_strategy"]
    if strategy not in ("skip", "override", "fail"):
        raise serializers.ValidationError({"dedup_strategy": ["Must be skip, override or fail."]})
    _check_indexes(items)
    return [_read(workspace_id, user_id, item, strategy) for item in items], strategy


def _check_indexes(items: list[Any]) -> None:
    """Raise ValidationError unless every item has an index of its own: a result without one helps nobody."""
    seen: set[int] = set()
    for number, item in enumerate(items):
        index = item.get("index") if isinstance(item, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= MAX_INDEX or index in seen:
            sentence = "Must be a whole number from 0 that no other item has."
            raise serializers.ValidationError({f"items.{number}.index": [sentence]})
        seen.add(index)


def _read(workspace_id: uuid.UUID, user_id: uuid.UUID, item: dict[str, Any], strategy: Strategy) -> Item:
    serializer = BulkItemSerializer(data=item)
    if serializer.is_valid():
        return read_item(workspace_id, user_id, serializer.validated_data, strategy)
    name, messages = next(iter(serializer.errors.items()))
    return refused_item(item["index"], "validation_error", f"{name}: {messages[0]}")
