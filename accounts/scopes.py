"""What may be done: every scope, which of them an API key can carry, and which a role holds. The one table.

A scope is `resource:action`. `write` implies `read` of the same resource. Whatever a caller presents, the scopes of
the member's role *now* bound it: a key made by someone who was demoted since can do no more than that person.
"""

from enum import StrEnum
from functools import cache, lru_cache
from typing import Any


class Role(StrEnum):
    OWNER = "owner"
    MANAGER = "manager"
    FIELD_WORKER = "field_worker"
    MEMBER = "member"


# What a key may be given. Devices, workflows and integrations belong to other services of the platform, which ask
# this one.
KEY_SCOPES: dict[str, str] = {
    "geofences:read": "See geofences and test points against them",
    "geofences:write": "Create, change and delete geofences",
    "devices:read": "See devices and their locations",
    "devices:write": "Register, change and remove devices",
    "workflows:read": "See workflows",
    "workflows:write": "Create, change and delete workflows",
    "integrations:read": "See integrations",
    "integrations:write": "Connect, change and remove integrations",
    "tokens:introspect": "Ask what an access token or API key of this workspace may do",
}
DEFAULT_KEY_SCOPES = ("geofences:read",)

# How the record of use writes which of them a credential used in an hour (accounts/usage.py). What is written keeps its
# meaning: a new scope goes to the end of KEY_SCOPES, and none that was removed makes room.
SCOPE_BITS = {scope: 1 << place for place, scope in enumerate(KEY_SCOPES)}

# The only ones whose use is seen: this service asks for them itself. Whether a key needs the others, it cannot know.
WATCHED_KEY_SCOPES = frozenset({"geofences:read", "geofences:write", "tokens:introspect"})

READING_METHODS = frozenset({"GET", "HEAD"})  # what a read-only key may use

# For services, whose keys owners make: no person asks so, and whoever else may make keys cannot give it.
KEYS_ALONE = frozenset({"tokens:introspect"})

# What only a signed-in person can do; no key carries these.
SIGN_IN_OWN = "sign_in:own"  # this very sign-in: whose it is, to prove that they are still there, to end it
ACCOUNT_READ = "account:read"
ACCOUNT_WRITE = "account:write"  # what concerns the caller in this workspace: leave it, enter another one
ACCOUNT_OWN = "account:own"  # the account as a whole: its profile, password, address, second factor, sessions, end
API_KEYS_READ = "api_keys:read"
API_KEYS_WRITE = "api_keys:write"
WORKSPACE_READ = "workspace:read"
WORKSPACE_WRITE = "workspace:write"
WORKSPACE_OWN = "workspace:own"  # token lifetime, required second factor, ending everybody's sign-ins, deletion
MEMBERS_READ = "members:read"
MEMBERS_WRITE = "members:write"
INVITATIONS_READ = "invitations:read"
INVITATIONS_WRITE = "invitations:write"
AUDIT_READ = "audit:read"
WORKSPACE_KEYS_READ = "workspace_api_keys:read"
WORKSPACE_KEYS_WRITE = "workspace_api_keys:write"
SSO_MANAGE = "sso:manage"  # the workspace's identity provider, its domains, and whether people must use it

# What a person may still do whose workspace demands a second factor that is not set up yet.
SECOND_FACTOR_SETUP_SCOPES = frozenset({SIGN_IN_OWN, ACCOUNT_READ, ACCOUNT_WRITE, ACCOUNT_OWN})

# What an owner may do who came in by a recovery link: repair the identity provider that locked them out, and sign out.
RECOVERY_SCOPES = frozenset({SIGN_IN_OWN, SSO_MANAGE})

# What only a key can do: ask who it is.
CURRENT_KEY_READ = "current_api_key:read"

_ACCOUNT = frozenset({SIGN_IN_OWN, ACCOUNT_READ, ACCOUNT_WRITE, ACCOUNT_OWN})
_MEMBER = _ACCOUNT | {API_KEYS_READ, API_KEYS_WRITE, WORKSPACE_READ, MEMBERS_READ}
_MANAGE = frozenset({WORKSPACE_WRITE, MEMBERS_WRITE, INVITATIONS_READ, INVITATIONS_WRITE, AUDIT_READ})
_OWN = frozenset({WORKSPACE_OWN, WORKSPACE_KEYS_READ, WORKSPACE_KEYS_WRITE, SSO_MANAGE})
_READ_EVERYTHING = frozenset(scope for scope in KEY_SCOPES if scope.endswith(":read"))

ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: _MEMBER | _MANAGE | _OWN | frozenset(KEY_SCOPES),
    Role.MANAGER: _MEMBER | _MANAGE | frozenset(KEY_SCOPES) - KEYS_ALONE,
    Role.FIELD_WORKER: _MEMBER | _READ_EVERYTHING | {"geofences:write"},
    Role.MEMBER: _MEMBER | _READ_EVERYTHING,
}


@lru_cache(maxsize=1024)  # every request asks for its role's, and keys have the same few sets
def with_implied(scopes: frozenset[str]) -> frozenset[str]:
    """Return `scopes` and what they imply: writing a resource includes reading it."""
    return scopes | {scope.removesuffix(":write") + ":read" for scope in scopes if scope.endswith(":write")}


@cache
def holders_of(scope: str | None) -> tuple[str, str]:
    """Return which scopes of a key include `scope`, and which roles hold it, each as an array in Postgres' words: for
    SQL that decides as `effective_scopes` does.
    """
    of_keys = [own for own in KEY_SCOPES if scope in with_implied(frozenset({own}))]
    roles = [role for role in ROLE_SCOPES if scope in with_implied(ROLE_SCOPES[role])]
    return f"{{{','.join(of_keys)}}}", f"{{{','.join(roles)}}}"


def asked_scope(request: Any, view: Any) -> str | None:
    """Return the scope that the view declares for the request's method; None where it does not handle that."""
    scope: str | None = view.scopes.get("GET" if request.method == "HEAD" else request.method or "")
    return scope


def effective_scopes(key_scopes: list[str], role: str) -> frozenset[str]:
    """Return what a key with `key_scopes` may do while its creator has `role`."""
    return with_implied(frozenset(key_scopes)) & with_implied(ROLE_SCOPES[role]) | {CURRENT_KEY_READ}
