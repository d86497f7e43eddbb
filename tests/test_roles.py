"""Who may call what: every operation of the API, tried by every role, by a key with every scope a key can carry, and by
an owner who came in by a recovery link.

The table is written by hand, so that a wrong scope at a view, or a role that holds too much, shows here. A new
operation belongs in it.
"""

from typing import Any

import pytest
from django.db import transaction

from accounts.models import Workspace
from accounts.scopes import KEY_SCOPES
from spatialflow.api import WorkspaceAPIView
from tests.support.cast import ADDRESSES, Actor, enter
from tests.support.required_sso import client_by
from tests.support.urls import EXAMPLE_ID, api_patterns

OWNER, MANAGER, FIELD_WORKER, MEMBER = PEOPLE = ("owner", "manager", "field_worker", "member")
KEY, RECOVERY = "key", "recovery"  # RECOVERY: an owner who came in by a recovery link
CALLERS = (*PEOPLE, KEY, RECOVERY)

WHO_MAY: dict[tuple[str, ...], str] = {
    (OWNER,): """
        DELETE workspaces
        POST workspaces/revoke-all-sessions
        GET workspaces/api-keys
        DELETE workspaces/api-keys/<key_id>
        GET workspaces/api-keys/<key_id>/usage
    """,
    (OWNER, RECOVERY): """
        GET workspaces/domains
        POST workspaces/domains
        GET workspaces/domains/<domain_id>
        DELETE workspaces/domains/<domain_id>
        POST workspaces/domains/<domain_id>/verify
        POST workspaces/domains/<domain_id>/primary
        GET workspaces/saml-config
        PUT workspaces/saml-config
        PATCH workspaces/saml-config
        DELETE workspaces/saml-config
        GET workspaces/saml-config/staged
        PUT workspaces/saml-config/staged
        PATCH workspaces/saml-config/staged
        DELETE workspaces/saml-config/staged
        POST workspaces/saml-config/staged/promote
        POST workspaces/saml-config/rollback
        POST workspaces/saml-config/metadata
        GET workspaces/saml-config/service-provider
        GET workspaces/saml-config/presets
        POST workspaces/saml-config/test
        GET workspaces/saml-config/attempts
        GET workspaces/saml-config/attempts/<attempt_id>
    """,
    (OWNER, MANAGER): """
        PUT workspaces
        PATCH workspaces
        PATCH workspaces/members/<user_id>
        DELETE workspaces/members/<user_id>
        GET workspaces/invitations
        POST workspaces/invitations
        POST workspaces/invitations/resend-missing
        PATCH workspaces/invitations/<invite_id>
        DELETE workspaces/invitations/<invite_id>
        POST workspaces/invitations/<invite_id>/resend
        GET audit-logs
        GET audit-logs/export
    """,
    (*PEOPLE, RECOVERY): """
        GET auth/me
        POST auth/logout
        POST auth/saml/logout
    """,
    PEOPLE: """
        GET account/me
        GET auth/sessions
        POST auth/resend-verification-authenticated
        GET workspaces
        GET workspaces/usage
        GET workspaces/available
        POST workspaces/select
        GET workspaces/mobile/bootstrap
        POST workspaces/mobile/select
        POST workspaces/leave
        GET auth/oauth/user/linked-accounts
        POST auth/oauth/<provider>/link
        PUT account/me
        DELETE account/me
        GET account/api-keys
        POST account/api-keys
        GET account/api-keys/expiring
        GET account/api-keys/<key_id>
        PUT account/api-keys/<key_id>
        DELETE account/api-keys/<key_id>
        POST account/api-keys/<key_id>/regenerate
        POST account/api-keys/<key_id>/rotate
        PATCH account/api-keys/<key_id>/expiration
        GET account/api-keys/<key_id>/usage
        POST auth/sessions/revoke-others
        DELETE auth/sessions/<session_id>
        POST auth/totp
        DELETE auth/totp
        POST auth/totp/remove
        POST auth/totp/confirm
        POST auth/totp/recovery-codes
        POST auth/change-password
        GET auth/change-email
        POST auth/change-email
        DELETE auth/change-email
        POST workspaces
        GET workspaces/members
        DELETE auth/oauth/<provider>/disconnect
    """,
    (*PEOPLE, KEY): """
        GET geofences
        GET geofences/<geofence_id>
        GET geofences/active-summary
        GET geofences/export
        GET geofences/groups
        GET geofences/groups/<group_id>/geofences
        POST geofences/groups/<group_id>/test-point
        GET geofences/tags
        POST geofences/test-point
    """,
    (OWNER, MANAGER, FIELD_WORKER, KEY): """
        POST geofences
        PUT geofences/<geofence_id>
        DELETE geofences/<geofence_id>
        POST geofences/<geofence_id>/archive
        POST geofences/<geofence_id>/unarchive
        PUT geofences/<geofence_id>/group
        POST geofences/bulk
        POST geofences/import
    """,
    (KEY,): """
        GET account/api-keys/current
        POST auth/introspect
    """,
}
TABLE = {line.strip(): set(callers) for callers, lines in WHO_MAY.items() for line in lines.strip().splitlines()}


def operations() -> dict[str, tuple[str, str]]:
    """Return method and path of every operation that needs a scope, by how the table writes it."""
    found = {}
    for route, pattern in api_patterns():
        view = pattern.callback.view_class
        if issubclass(view, WorkspaceAPIView):
            written = route.removeprefix("/api/v1/").replace("<str:", "<")
            for method in view.scopes:
                if hasattr(view, method.lower()):
                    path = "/".join(EXAMPLE_ID if part.startswith("<") else part for part in route.split("/"))
                    found[f"{method} {written}"] = (method, path)
    return found


def person(role: str, workspace: Workspace) -> Actor:
    ADDRESSES.setdefault(role, f"{role}@acme.test")
    return enter(role, role, workspace)


def lacks_the_scope(client: Any, method: str, path: str) -> bool:
    """Return whether the caller is refused for the scope; what the call did is undone."""
    with transaction.atomic():
        response = client.generic(method, path, "{}", content_type="application/json")
        if response.streaming:
            b"".join(response)  # as a server does: a file that nobody reads keeps its turn
        transaction.set_rollback(True)
    assert response.status_code not in (401, 429) and response.status_code < 500, (method, path)
    challenge = response.get("WWW-Authenticate", "")
    return response.status_code == 403 and 'error="insufficient_scope", scope=' in challenge


def test_the_table_has_every_operation():
    assert operations().keys() == TABLE.keys()


@pytest.mark.parametrize("caller", CALLERS)
def test_each_caller_may_call_what_the_table_says(acme, caller):
    actor = person(caller if caller in PEOPLE else OWNER, acme)
    clients = {KEY: lambda: actor.key_client(list(KEY_SCOPES)), RECOVERY: lambda: client_by(actor, "sso_recovery")}
    client = clients.get(caller, lambda: actor.client)()

    allowed = {name for name, operation in operations().items() if not lacks_the_scope(client, *operation)}

    assert allowed == {name for name, callers in TABLE.items() if caller in callers}
