"""What a form carries unseen of what it showed, so that only what its person changed is changed."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.http import HttpRequest

from dashboard.pages import Form
from spatialflow.edited import EditedMeanwhile, NothingSeen


def seen_field(
    request: HttpRequest, form: Form | None, status: int, now: Mapping[str, Any], fields: Mapping[str, str]
) -> str:
    """Return the hidden field: what is now. In a form that is shown again what it held, but for what somebody else has
    changed: that its person sees by now, and may replace. `fields` are what names are called in the form. Raises
    `NothingSeen`.
    """
    if request.method != "POST":
        return json.dumps(dict(now))
    errors = form.errors if form and status == EditedMeanwhile.status_code else {}
    told = {name for name in now if fields.get(name, name) in errors}
    return json.dumps({name: now[name] if name in told else old for name, old in read_seen(request.POST, now).items()})


def read_seen(form: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return what the person saw of these. Raises `NothingSeen` where the form does not say it of each."""
    try:
        seen = json.loads(form.get("seen", "")) if names else {}
    except (ValueError, RecursionError):
        raise NothingSeen() from None
    if not isinstance(seen, dict) or not seen.keys() >= set(names):
        raise NothingSeen()
    return {name: seen[name] for name in names}


def at_fields(refusal: EditedMeanwhile, fields: Mapping[str, str]) -> EditedMeanwhile:
    """Return the refusal with what it says at the fields of the form, which are called otherwise there."""
    details = {fields.get(name, name): said for name, said in refusal.extra["details"].items()}
    return EditedMeanwhile(extra={"details": details})
