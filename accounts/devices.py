"""Where sign-ins begin, and the devices that people sign in from: in words, and whether one was seen before."""

import ipaddress
import re
from functools import cache

from django.db import connection
from rest_framework import status

from accounts.audit import Event, appending
from accounts.models import SignIn, User
from accounts.outbox import sealed
from accounts.sso_requirement import BOUND_METHODS, DEMANDING, PROVEN, domain_of, refuse_where_required
from spatialflow.errors import ApiError

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


# One statement, so that noticing a new device costs a login no further trip to the database, and that the notice and
# the event of the audit trail stand and fall with the sign-in, for one wait for the disk. A person's first sign-in is
# no news. Versions do not count: a browser that was updated is the same device. Whoever comes the same way again is
# known by the first sign-in that is found; only for others each client seen at the place is compared.
#
# The user's row is locked as it was when the password was checked. Whoever replaces the password, or sets up a second
# factor, locks it too and then ends every sign-in, so a sign-in by what sufficed before comes before that, and ends, or
# does not come to be. Required single sign-on needs no such lock: a sign-in that slips in while it is switched on is
# refused at its first request (accounts/sso_requirement.py).
#
# The workspace's row is locked as its foreign key will ask when this is committed. Then the head of the audit trail is
# held, and whoever holds that must not wait for anybody who waits for it: deleting a workspace leaves an event as well.
BEGIN = f"""
holder AS (
    SELECT u.id FROM accounts_user u
    JOIN accounts_membership m ON m.user_id = u.id AND m.workspace_id = %(workspace_id)s
    JOIN accounts_workspace w ON w.id = m.workspace_id
    WHERE u.id = %(user_id)s AND u.password = %(password)s AND u.is_active AND u.email = %(email)s
        AND u.totp_confirmed_at IS NOT DISTINCT FROM %(totp_confirmed_at)s::timestamptz
        AND NOT EXISTS (
            SELECT FROM accounts_workspacedomain d JOIN accounts_workspace r ON r.id = d.workspace_id
            WHERE d.domain = %(domain)s AND {PROVEN} AND {DEMANDING} AND NOT (%(is_bound)s AND r.id = %(workspace_id)s)
        ) FOR NO KEY UPDATE OF u FOR KEY SHARE OF w
), here AS MATERIALIZED (
    SELECT DISTINCT user_agent FROM accounts_signin WHERE user_id = %(user_id)s AND ip <<= %(network)s::inet
), notice AS (
    INSERT INTO accounts_outgoingmail (kind, parameters, created_at, attempts, not_before)
    SELECT 'new_device', %(parameters)s, now(), 0, now() FROM holder
    WHERE EXISTS (SELECT FROM accounts_signin WHERE user_id = %(user_id)s)
      AND NOT EXISTS (
        SELECT FROM accounts_signin WHERE user_id = %(user_id)s AND ip <<= %(network)s::inet AND user_agent = %(client)s
      ) AND NOT EXISTS (
        SELECT FROM here
        WHERE regexp_replace(user_agent, '[0-9.]+', '', 'g') = regexp_replace(%(client)s, '[0-9.]+', '', 'g')
      )
), begun AS (
    INSERT INTO accounts_signin ({{columns}}) SELECT {{values}} FROM holder RETURNING id
),"""  # noqa: S608


# What Postgres cannot infer of a parameter.
TYPES = {
    "ip": "::inet",
    "previous_jti": "::uuid",
    **dict.fromkeys(("switched_at", "revoked_at"), "::timestamptz"),
}


class AccountChanged(ApiError):
    """The password was replaced, or the account suspended, between the check and the sign-in: as if never right."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Invalid credentials"
    default_code = "invalid_credentials"


def begin(sign_in: SignIn, user: User, event: Event) -> None:
    """Save a new sign-in of `user`, as they were when they proved who they are, and append its event; where they have
    signed in before but never from such a client and network, mail them. Raises `AccountChanged`, `SsoRequired`.
    """
    row = {field.column: getattr(sign_in, field.attname) for field in SignIn._meta.concrete_fields}
    noticed = {
        "email": user.email,
        "domain": domain_of(user.email),
        "is_bound": sign_in.method in BOUND_METHODS,
        "password": user.password,
        "totp_confirmed_at": user.totp_confirmed_at,
        "network": str(neighbourhood(sign_in.ip)),
        "client": sign_in.user_agent,
        "parameters": sealed(
            user_id=str(sign_in.user_id),
            device=in_words(sign_in.user_agent),
            ip=sign_in.ip,
            at=f"{sign_in.created_at:%Y-%m-%d %H:%M} UTC",
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute(_beginning(), {**row, **noticed, **event.parameters()})
        if cursor.rowcount == 0:
            refuse_where_required(user.email)
            raise AccountChanged()
    sign_in._state.adding = False
    event.announce()


@cache
def _beginning() -> str:
    columns = [field.column for field in SignIn._meta.concrete_fields]
    values = ", ".join(f"%({column})s{TYPES.get(column, '')}" for column in columns)
    return appending(BEGIN.format(columns=", ".join(columns), values=values), "FROM begun")


def neighbourhood(ip: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the network in which an address counts as the same place: IPv4 /24, IPv6 /48."""
    address = ipaddress.ip_address(ip)
    return ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False)
