"""What somebody changed of a fence: what the form holds against what it showed, part by part. A form carries digests of
what it showed, as a fence itself may be as large as a body.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dashboard.fence_forms import CIRCLE, PARTS, values_of
from dashboard.seen import read_seen
from geofences.models import Geofence
from spatialflow.edited import EditedMeanwhile, left_as_seen, refuse_edited

SHAPE = ("shape", "geometry", *CIRCLE)
LONGEST_SHOWN = 100


def seen_of(fence: Geofence) -> str:
    """Return what a form carries unseen of the fence as it was drawn, so that only what its person changed is sent."""
    return json.dumps(_digests(values_of(fence)))


def changed_parts(form: Mapping[str, Any], fence: Geofence) -> tuple[str, ...]:
    """Return the parts of the form that its person changed. Raises `EditedMeanwhile` where somebody else has changed
    one of them to something else since, `NothingSeen` where the form does not say what it showed.
    """
    seen, given, now = read_seen(form, PARTS), _digests(form), _digests(values_of(fence))
    changed = {part: given[part] for part in PARTS if part not in left_as_seen(seen, given)}
    try:
        refuse_edited(seen, changed, now.__getitem__)
    except EditedMeanwhile as refusal:
        details = {_field_of(part, form): [_told(part, fence)] for part in refusal.extra["details"]}
        raise EditedMeanwhile(extra={"details": details}) from None
    return tuple(part for part in changed if given[part] != now[part])


def merged(form: Mapping[str, Any], fence: Geofence) -> dict[str, Any]:
    """Return what a form shows again: what its person changed, and the rest as it is now."""
    left = left_as_seen(read_seen(form, PARTS), _digests(form))
    kept = {name for part in PARTS if part not in left for name in _fields_of(part)}
    return {**values_of(fence), **{name: form.get(name, "") for name in kept}}


def _fields_of(part: str) -> tuple[str, ...]:
    return SHAPE if part == "geometry" else (part,)


def _digests(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each part. Browsers write line breaks their own way, and leave them out of a line of text."""
    used = CIRCLE if values.get("shape") == "circle" else ("geometry",)
    parts = {part: [values.get(part, "")] for part in PARTS}
    parts["geometry"] = [values.get("shape", "geojson"), *(values.get(name, "") for name in used)]
    texts = {part: "\0".join(held).replace("\r", "").replace("\n", "").strip() for part, held in parts.items()}
    return {part: hashlib.sha256(text.encode()).hexdigest() for part, text in texts.items()}


def _field_of(part: str, form: Mapping[str, Any]) -> str:
    """Return the field that is in sight for a part."""
    return "circle_lat" if part == "geometry" and form.get("shape") == "circle" else part


def _told(part: str, fence: Geofence) -> str:
    text = values_of(fence)[part]
    if part == "geometry":
        return "Somebody moved the fence since this page was opened. Save again to put this shape in place of theirs."
    if part == "metadata" or len(text) > LONGEST_SHOWN:
        return "Somebody changed this since this page was opened. Save again to replace what they wrote."
    return f"This is {f'“{text}”' if text else 'empty'} since somebody changed it. Save again to replace that."
