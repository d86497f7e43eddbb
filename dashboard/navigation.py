"""Where one can go in the dashboard; what somebody may not see is not offered."""

from dataclasses import dataclass

from accounts.principal import Principal
from accounts.scopes import (
    ACCOUNT_OWN,
    ACCOUNT_READ,
    API_KEYS_READ,
    AUDIT_READ,
    MEMBERS_READ,
    SSO_MANAGE,
    WORKSPACE_READ,
)


@dataclass(frozen=True)
class Place:
    """One entry of the navigation."""

    path: str
    name: str
    icon: str
    scope: str
    group: str
    is_here: bool = False


PLACES = [
    Place("/settings/api-keys", "API Keys", "key", API_KEYS_READ, "Settings"),
    Place("/settings/members", "Members", "people", MEMBERS_READ, "Settings"),
    Place("/settings/sso", "Single sign-on", "link", SSO_MANAGE, "Settings"),
    Place("/settings/audit-log", "Audit log", "list", AUDIT_READ, "Settings"),
    Place("/settings/workspace", "Workspace", "building", WORKSPACE_READ, "Settings"),
    Place("/geofences", "Geofences", "map", "geofences:read", "Resources"),
    Place("/settings/sign-ins", "Sign-ins", "devices", ACCOUNT_READ, "You"),
    Place("/settings/security", "Security", "shield", ACCOUNT_READ, "You"),
    Place("/settings/profile", "Profile", "person", ACCOUNT_OWN, "You"),
]


def navigation(path: str, principal: Principal | None) -> dict[str, list[Place]]:
    """Return the places that the principal may go to, by group; the one they are at is marked."""
    groups: dict[str, list[Place]] = {}
    for place in PLACES:
        if principal is not None and place.scope in principal.scopes:
            here = path == place.path or path.startswith(f"{place.path}/")
            groups.setdefault(place.group, []).append(Place(**{**place.__dict__, "is_here": here}))
    return groups


def first_place(principal: Principal) -> str:
    """Return where a principal begins: with what a workspace demands of them and they lack, or the first place that
    they may go to.
    """
    if principal.is_recovery:
        return "/sso-recovery/repair"
    if principal.lacks_second_factor:
        return "/settings/security"
    return next(place.path for place in PLACES if place.scope in principal.scopes)
