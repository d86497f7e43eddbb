"""How forms, moments and icons are written in the dashboard's pages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import segno
from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import now

from dashboard.moments import moments_of

register = template.Library()


@register.inclusion_tag("dashboard/field.html")
def field(form: Any, name: str, label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """Show one field: label, input, help, and what is wrong with it, which assistive technology reads with it.

    `kind` is an input's type, `textarea` or `select` (with `options`, pairs of value and text). `value` stands in where
    nothing was typed yet. Anything else becomes an attribute of the input; `True` one without a value.
    `required=False` is for one of several fields that are needed: not the browser's matter, and not optional either.
    """
    errors = form.errors.get(name, [])
    help_text, optional = more.pop("help", ""), more.pop("optional", False)
    initial, options, rows = more.pop("value", ""), more.pop("options", []), more.pop("rows", 3)
    value = form.values.get(name, initial)
    described = " ".join(
        f"id_{name}-{part}" for part, is_there in (("help", help_text), ("errors", errors)) if is_there
    )
    attributes = {**more, "aria_describedby": described or None, "aria_invalid": "true" if errors else None}
    if not optional:
        attributes.setdefault("required", True)
    return {
        "id": f"id_{name}",
        "name": name,
        "label": label,
        "kind": kind,
        "value": value,
        "options": _options(options, value),
        "rows": rows,
        "help": help_text,
        "optional": optional,
        "errors": errors,
        "attributes": _attributes(attributes),
    }


def _options(options: Iterable[tuple[Any, str]], chosen: Any) -> SafeString:
    shown = ((value, " selected" if value == chosen else "", text) for value, text in options)
    return format_html_join("", '<option value="{}"{}>{}</option>', shown)


def _attributes(attributes: dict[str, Any]) -> SafeString:
    given = {name.replace("_", "-"): value for name, value in attributes.items() if value not in (None, False)}
    plain = format_html_join("", " {}", ((name,) for name, value in given.items() if value is True))
    valued = format_html_join("", ' {}="{}"', ((name, value) for name, value in given.items() if value is not True))
    return plain + valued


@register.inclusion_tag("dashboard/problem.html")
def problem(form: Any) -> dict[str, Any]:
    """Show what is wrong with a form as a whole, and that fields are marked."""
    return {"form": form}


@register.simple_tag
def icon(name: str) -> SafeString:
    """Show one of our icons; it is decoration, the word beside it says the same."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("dashboard/icons.svg"), name
    )


@register.simple_tag
def qr(text: str, label: str) -> SafeString:
    """Show a text as a QR code, dark on white in any colour scheme; `label` is what assistive technology says."""
    rows = segno.make(text, micro=False).matrix
    dark = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    return format_html(
        '<svg class="qr" role="img" aria-label="{}" viewBox="-3 -3 {} {}"><path d="{}"/></svg>',
        *(label, len(rows) + 6, len(rows) + 6, dark),
    )


@register.filter
def role(name: str) -> str:
    """Show a role as people say it."""
    return name.replace("_", " ")


UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


@register.simple_tag(takes_context=True)
def ago(context: Mapping[str, Any], moment: datetime | None) -> SafeString | str:
    """Show a moment as how far it is from now, with the exact time for whoever points at it."""
    if moment is None:
        return "never"
    seconds = (now() - moment).total_seconds()
    distance = abs(seconds) + (60 if seconds < 0 else 0)  # "in 90 days" is still said a moment after it was chosen
    for unit, length in UNITS:
        if distance >= length:
            count = int(distance // length)
            words = f"{count} {unit}{'s' if count != 1 else ''}"
            break
    else:
        words = "a moment"
    reads = moments_of(context.get("principal"))
    return _time(moment, f"{words} ago" if seconds >= 0 else f"in {words}", reads.exact(moment, seconds=True))


@register.simple_tag(takes_context=True)
def exact(context: Mapping[str, Any], moment: datetime, seconds: bool = False) -> SafeString:
    """Show a moment as day, time and zone of whoever reads it."""
    reads = moments_of(context.get("principal"))
    return _time(moment, reads.exact(moment, seconds), reads.zone_name)


@register.simple_tag(takes_context=True)
def day(context: Mapping[str, Any], moment: datetime) -> SafeString:
    """Show the day of a moment, where whoever reads it is, with the exact time for whoever points at it."""
    reads = moments_of(context.get("principal"))
    return _time(moment, reads.day(moment), reads.exact(moment))


@register.simple_tag(takes_context=True)
def zone(context: Mapping[str, Any]) -> str:
    """Show what the time zone of the page is called."""
    return moments_of(context.get("principal")).zone_name


def _time(moment: datetime, text: str, title: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), title, text)
