"""How distances, areas and links to filtered lists are written in the pages about geofences."""

from urllib.parse import urlencode

from django import template

register = template.Library()
KILOMETRE = 1_000.0
SQUARE_KILOMETRE = 1_000_000.0


@register.filter
def far(meters: float) -> str:
    """Show a distance in the unit that people would use: "840 m", "12.3 km"."""
    return f"{meters:,.0f} m" if meters < KILOMETRE else f"{meters / KILOMETRE:,.1f} km"


@register.filter
def wide(square_meters: float) -> str:
    """Show an area in the unit that people would use: "5,200 m²", "3.4 km²"."""
    if square_meters < SQUARE_KILOMETRE:
        return f"{square_meters:,.3g} m²" if square_meters < 1 else f"{square_meters:,.0f} m²"
    return f"{square_meters / SQUARE_KILOMETRE:,.1f} km²"


@register.filter
def as_query(value: str, name: str) -> str:
    """Return the query of a list that is filtered by one value."""
    return urlencode({name: value})
