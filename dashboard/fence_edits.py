"""What somebody changed of a fence: what the form holds against what it showed, part by part. A form carries digests of
what it showed, as a fence itself may be as large as a body.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dashboard.fence_forms import CIRCLE, PARTS, values_of
from geofences.models import Geofence
from spatialflow.errors import Conflict

SHAPE = ("shape", "geometry", *CIRCLE)
LONGEST_SHOWN = 100


class FenceEdited(Conflict):
    """`details` say next to which field."""

    default_detail = "Somebody changed the same of this fence since this page was opened. Nothing has changed now."
    default_code = "geofence_edited"


def seen_of(fence: Geofence) -> str:
    """Return what a form carries unseen of the fence as it was drawn, so that only what its person changed is sent."""
    return json.dumps(_digests(values_of(fence)))


def changed_parts(form: Mapping[str, Any], fence: Geofence) -> tuple[str, ...]:
    """Return the parts of the form that its person changed. Raises `FenceEdited` where somebody else has changed one of
    them to something else since. A form that does not say what was seen changes what it holds.
    """
    seen, given, now = _read_seen(form), _digests(form), _digests(values_of(fence))
    changed = tuple(part for part in PARTS if given[part] not in (seen.get(part), now[part]))
    edited = [part for part in changed if part in seen and seen[part] != now[part]]
    if edited:
        raise FenceEdited(extra={"details": {_field_of(part, form): [_told(part, fence)] for part in edited}})
    return changed


def merged(form: Mapping[str, Any], fence: Geofence) -> dict[str, Any]:
    """Return what a form shows again: what its person changed, and the rest as it is now."""
    seen, given = _read_seen(form), _digests(form)
    kept = {name for part in PARTS if given[part] != seen.get(part) for name in _fields_of(part)}
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


def _read_seen(form: Mapping[str, Any]) -> dict[str, Any]:
    try:
        seen = json.loads(form.get("seen", ""))
    except (ValueError, RecursionError):
        return {}
    return {part: seen[part] for part in PARTS if part in seen} if isinstance(seen, dict) else {}


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
