"""What somebody sends who looked at something before: that is no change of what they left as it was, and writes over
nothing that somebody else has changed since. The one rule for every form that shows a state; it says so itself.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from spatialflow.errors import Conflict

LONGEST_SHOWN = 100


class EditedMeanwhile(Conflict):
    """`details` say next to which field, and what it holds now."""

    default_detail = "Somebody changed the same since you looked at it. Nothing has changed now."
    default_code = "edited_meanwhile"


class NothingSeen(Conflict):
    default_detail = (
        "This form does not say what it showed when it was opened. Open the page again. Nothing has changed."
    )
    default_code = "nothing_seen"


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values mean the same: browsers write line breaks their own way, and a list has no order."""
    return bool(_plain(one) == _plain(other))


def left_as_seen(seen: Mapping[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Return the names of what is given as it was seen."""
    return {name for name, value in given.items() if name in seen and is_same(seen[name], value)}


def refuse_edited(seen: Mapping[str, Any], changes: Mapping[str, Any], now: Callable[[str], Any]) -> None:
    """Raise `EditedMeanwhile` where a change is to something that is neither as it was seen nor what it is to be. Under
    the lock that the changes are written under.
    """
    edited = {
        name: now(name)
        for name in changes.keys() & seen.keys()
        if not is_same(now(name), seen[name]) and not is_same(now(name), changes[name])
    }
    if edited:
        raise EditedMeanwhile(extra={"details": {name: [_told(edited[name])] for name in sorted(edited)}})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted({repr(item) for item in value})
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else value


def _told(value: Any) -> str:
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, timedelta):
        text = f"{int(value.total_seconds())} seconds"
    elif isinstance(value, str) and len(value) <= LONGEST_SHOWN:
        text = f"“{value}”" if value else "empty"
    elif value is None:
        text = "not set"
    elif isinstance(value, list) and all(len(item) <= LONGEST_SHOWN for item in value):
        text = ", ".join(value) or "nothing"
    else:
        return "Somebody changed this since you looked at it. Save again to replace what is there now."
    return f"This is {text} since somebody changed it. Save again to replace that."
