"""The devices that people sign in from: in words, and whether one was seen before."""

import ipaddress
import re

from django.db import connection

from accounts.models import SignIn
from accounts.outbox import sealed

# The first that occurs names it: most browsers also claim to be the ones below them.
PROGRAMS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet")),
    *(("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari")),
    *(("spatialflow-python", "SpatialFlow SDK for Python"), ("spatialflow-node", "SpatialFlow SDK for Node")),
    *(("spatialflow-go", "SpatialFlow SDK for Go"), ("spatialflow-mcp", "SpatialFlow MCP")),
)
SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Macintosh", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def in_words(user_agent: str) -> str:
    """Return a device for people, "Firefox on Linux". Only words of ours or one plain word of the client's: it stands
    in mail.
    """
    plain_word = re.match(r"(?!Mozilla)[A-Za-z][A-Za-z0-9_-]{0,39}", user_agent)
    program = _first(PROGRAMS, user_agent) or (plain_word and plain_word.group())
    system = _first(SYSTEMS, user_agent)
    return " on ".join(part for part in (program, system) if part) or "Unknown device"


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for mark, name in names if mark in user_agent), None)


# A person's first sign-in is no news: over no rows `bool_or` is null, and nothing is sent. One statement, so that
# noticing costs a login no further trip to the database and the notice stands and falls with the sign-in. Versions do
# not count: a browser that was updated is the same device.
BEGIN = """
WITH earlier AS (
    SELECT bool_or(
        ip <<= %(network)s::inet
        AND regexp_replace(user_agent, '[0-9.]+', '', 'g') = regexp_replace(%(client)s, '[0-9.]+', '', 'g')
    ) AS knows_the_device
    FROM accounts_signin WHERE user_id = %(user_id)s
), notice AS (
    INSERT INTO accounts_outgoingmail (kind, parameters, created_at, attempts, not_before)
    SELECT 'new_device', %(parameters)s, now(), 0, now() FROM earlier WHERE NOT knows_the_device
)
INSERT INTO accounts_signin ({columns}) VALUES ({values})
"""


def begin(sign_in: SignIn) -> None:
    """Save a new sign-in; where its user has signed in before but never from such a client and network, mail them."""
    row = {
        field.column: field.get_db_prep_save(getattr(sign_in, field.attname), connection)
        for field in SignIn._meta.concrete_fields
    }
    noticed = {
        "network": str(neighbourhood(sign_in.ip)),
        "client": sign_in.user_agent,
        "parameters": sealed(
            user_id=str(sign_in.user_id),
            device=in_words(sign_in.user_agent),
            ip=sign_in.ip,
            at=f"{sign_in.created_at:%Y-%m-%d %H:%M} UTC",
        ),
    }
    values = ", ".join(f"%({name})s" for name in row)
    with connection.cursor() as cursor:
        cursor.execute(BEGIN.format(columns=", ".join(row), values=values), {**row, **noticed})
    sign_in._state.adding = False


def neighbourhood(ip: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the network in which an address counts as the same place: IPv4 /24, IPv6 /48."""
    address = ipaddress.ip_address(ip)
    return ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False)
