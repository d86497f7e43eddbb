"""Many fences at once from a list of addresses with their coordinates, as a CRM or a route planner has them.

Each item stands for itself: one that is refused keeps no other from being made. An item is a duplicate when an active,
unarchived fence has its address or repeats its name and circle, or when an earlier item of the request does. The
requests of one workspace take turns, so that of several with the same item one makes it. The number of statements does
not grow with the number of items.
"""

import hashlib
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import MD5
from rest_framework.request import Request

from accounts.audit import Action, record_for
from geofences.geometry import FenceGeometry, GeometryError, read_geometry
from geofences.models import Geofence
from geofences.turns import LOCK_BULK, second_key
from geofences.writes import columns_of
from spatialflow.errors import Conflict, PayloadTooLarge

MAX_ITEMS = 500
DEFAULT_BUFFER_METERS = 100
MAX_NAME = 100

Strategy = Literal["skip", "override", "fail"]


class TooManyItems(PayloadTooLarge):
    default_detail = f"items: send at most {MAX_ITEMS} items in one request."
    default_code = "batch_too_large"


class DuplicateItem(Conflict):
    default_code = "duplicate_geofence"


@dataclass
class Item:
    """One item on its way to a result: either refused, or a fence to be made."""

    index: int
    error: tuple[str, str] | None = None  # code and sentence
    fence: Geofence | None = None
    may_repeat: bool = False
    match: dict[str, str] | None = None

    @property
    def address_key(self) -> str:
        return (self.fence.address or "") if self.fence else ""

    @property
    def repetition_key(self) -> tuple[str, bytes]:
        return (self.fence.name, self.fence.geometry_digest) if self.fence else ("", b"")


def refused_item(index: int, code: str, sentence: str) -> Item:
    return Item(index, error=(code, sentence))


def read_item(workspace_id: uuid.UUID, user_id: uuid.UUID, fields: dict[str, Any], strategy: Strategy) -> Item:
    """Return the item of a validated BulkItemSerializer, refused where no fence can come of it."""
    index = fields["index"]
    if fields["status"] in ("skipped", "error"):
        return refused_item(
            index, "not_committed", f'The item has the status "{fields["status"]}": nothing was created.'
        )
    if fields.get("lat") is None or fields.get("lng") is None:
        return refused_item(index, "no_coordinates", "This service has no geocoder; send lat and lng with the address.")
    try:
        geometry = _circle(fields)
    except GeometryError as error:
        return refused_item(index, "invalid_geometry", str(error))
    address = fields.get("normalized_address") or fields["address"]
    columns = {
        "name": fields.get("name") or address[:MAX_NAME].strip(),
        "geometry": geometry,
        "address": address,
        "tags": fields.get("tags", []),
        "buffer_meters": fields.get("buffer_meters") or DEFAULT_BUFFER_METERS,
        "source": "address",
        "lat": fields["lat"],
        "lng": fields["lng"],
    }
    fence = Geofence(workspace_id=workspace_id, created_by_id=user_id, **columns_of(workspace_id, columns))
    fence.updated_at = fence.created_at
    may_repeat = strategy == "override" or bool(fields.get("override_dedup"))
    if may_repeat:
        fence.distinct_by = fence.id
    return Item(index, fence=fence, may_repeat=may_repeat)


def create_many(workspace_id: uuid.UUID, items: list[Item], strategy: Strategy) -> list[dict[str, Any]]:
    """Make the fences within the caller's transaction and return the result of every item, in the order given. With
    the strategy `fail` a duplicate refuses the whole request. Raises DuplicateItem.
    """
    _take_turn(workspace_id)
    wanted = [item for item in items if item.fence]
    _find_matches(workspace_id, wanted)
    to_make = [item for item in wanted if item.may_repeat or not item.match]
    if strategy == "fail":
        _refuse_first([item for item in wanted if item.match and not item.may_repeat])
    # In one order, so that two requests with the same items never wait for one another in a circle.
    fences = [item.fence for item in sorted(to_make, key=lambda item: item.repetition_key) if item.fence]
    Geofence.objects.bulk_create(fences, ignore_conflicts=True)
    made = set(_fences(workspace_id).filter(id__in=[fence.id for fence in fences]).values_list("id", flat=True))
    # The unique index kept out what a request of another kind made since we looked.
    late = [item for item in to_make if item.fence and item.fence.id not in made]
    _find_stored_repetitions(workspace_id, late)
    if strategy == "fail":
        _refuse_first(late)
    return [_result(item, made) for item in items]


@transaction.atomic
def create_and_record(request: Request, items: list[Item], strategy: Strategy) -> list[dict[str, Any]]:
    """Make the fences in the caller's workspace, note in the audit trail how many became what, and return the result
    of every item. Raises DuplicateItem."""
    began = time.monotonic()
    results = create_many(request.auth.workspace_id, items, strategy)
    counted = Counter(result["status"] for result in results)
    record_for(
        request,
        Action.GEOFENCES_BULK_CREATED,
        f"Created {counted['created']} of {len(items)} geofences in bulk.",
        resource=("workspace", request.auth.workspace_id),
        changes={
            "items": len(items),
            "dedup_strategy": strategy,
            **{status: counted[status] for status in ("created", "duplicate", "error")},
            "duration_ms": round((time.monotonic() - began) * 1000),
        },
        status_code=201,
    )
    return results


def _take_turn(workspace_id: uuid.UUID) -> None:
    """Wait for the workspace's turn to look for duplicates and make fences, and hold it until the transaction ends. No
    index could tell: equal addresses may be stored on purpose."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_BULK, second_key(workspace_id)])


def _refuse_first(repeated: list[Item]) -> None:
    """Raise DuplicateItem that names the first of these items, if there are any."""
    if repeated:
        raise DuplicateItem(
            f"The item with index {repeated[0].index} is a duplicate, so nothing was created. Leave it out, or send "
            'dedup_strategy "skip" or "override".',
            extra={"index": repeated[0].index, "dedup_match": repeated[0].match},
        )


def _circle(fields: dict[str, Any]) -> FenceGeometry:
    radius = fields.get("buffer_meters") or DEFAULT_BUFFER_METERS
    return read_geometry({"type": "Circle", "center": [fields["lng"], fields["lat"]], "radius_meters": radius})


def _fences(workspace_id: uuid.UUID) -> QuerySet[Geofence]:
    return Geofence.objects.for_workspace(workspace_id).filter(is_active=True, archived=False)


def _find_matches(workspace_id: uuid.UUID, items: list[Item]) -> None:
    """Set what each item is a duplicate of: a stored fence, or one that an earlier item becomes."""
    digests = [hashlib.md5(item.address_key.encode(), usedforsecurity=False).hexdigest() for item in items]
    stored = _fences(workspace_id).alias(digest=MD5(F("address"))).filter(address__isnull=False)
    by_address: dict[str, dict[str, str]] = {}
    for row in stored.filter(digest__in=digests).order_by("-created_at").values("id", "name", "address"):
        by_address[row["address"]] = _match(row["id"], row["name"], row["address"])
    _find_stored_repetitions(workspace_id, items)
    by_repetition: dict[tuple[str, bytes], dict[str, str]] = {}
    for item in items:
        earlier = by_address.get(item.address_key) or by_repetition.get(item.repetition_key)
        item.match = earlier or item.match
        if item.fence and (item.may_repeat or not item.match):
            itself = _match(item.fence.id, item.fence.name, item.fence.address)
            by_address.setdefault(item.address_key, itself)
            by_repetition.setdefault(item.repetition_key, itself)


def _find_stored_repetitions(workspace_id: uuid.UUID, items: list[Item]) -> None:
    """Set what stored fence with the same name and circle each item repeats, if any."""
    if not items:
        return
    names, digests = zip(*(item.repetition_key for item in items), strict=True)
    stored = _fences(workspace_id).filter(name__in=set(names), geometry_digest__in=set(digests))
    rows = stored.order_by("-created_at").values("id", "name", "address", "geometry_digest")
    found = {
        (row["name"], bytes(row["geometry_digest"])): _match(row["id"], row["name"], row["address"]) for row in rows
    }
    for item in items:
        item.match = found.get(item.repetition_key, item.match)


def _match(geofence_id: uuid.UUID, name: str, address: str | None) -> dict[str, str]:
    return {"geofence_id": str(geofence_id), "name": name, "address": address or ""}


def _result(item: Item, made: set[uuid.UUID]) -> dict[str, Any]:
    result: dict[str, Any] = {"index": item.index, "status": "duplicate", "geofence_id": None}
    if item.error:
        code, sentence = item.error
        return {**result, "status": "error", "error_code": code, "error": {"code": code, "message": sentence}}
    if item.fence and item.fence.id in made:
        result |= {"status": "created", "geofence_id": str(item.fence.id)}
    return {**result, "dedup_match": item.match} if item.match else result
