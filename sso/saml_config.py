"""A workspace's connection to its identity provider, as owners set it: the serving one, and the one that is staged.

Whatever reaches the stored connection goes through `store`, which says what a change means: it ends what a test has
shown, it is refused where it could leave people without a way in, and it is recorded and mailed.
"""

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from rest_framework import status
from rest_framework.request import Request
from social_django.models import UserSocialAuth

from accounts.audit import Action, record, record_for
from accounts.members import lock_caller
from accounts.models import Workspace
from accounts.operations import OPERATOR
from accounts.principal import Principal
from accounts.scopes import SSO_MANAGE
from accounts.throttles import METADATA_FETCHES
from spatialflow.edited import refuse_edited
from spatialflow.errors import ApiError, Conflict, NotFound
from sso.domains import set_primary
from sso.mail_saml import tell_owners
from sso.models import IdentityProvider
from sso.outbound import DocumentNotReadable, refuse_unreachable
from sso.saml.certificates import describe, fingerprints
from sso.saml_addresses import refuse_own_entity_id
from sso.saml_meant import refuse_others
from sso.saml_plan import refuse_other_plans
from sso.saml_presets import PRESETS
from sso.saml_requirement import set_required
from sso.saml_sessions import end_sign_ins_by

State = IdentityProvider.State
# What a staged connection takes over from the serving one, so that to swap a certificate changes nothing else.
TAKEN_OVER = (
    *("preset", "attribute_mapping", "default_role", "creates_members"),
    *("allows_idp_initiated", "signs_requests", "requires_encryption"),
)
# What may keep a sign-in from working that worked before; certificates count where one is taken away.
DECISIVE = {"entity_id", "sso_url", "attribute_mapping", "signs_requests", "requires_encryption"}
# What PUT sends, and what metadata says as well.
CORE = ("entity_id", "sso_url", "certificates")
SWITCHES = {"is_enabled", "is_required", "refuses_api_keys"}


# Who becomes a member, and what works beside the connection: nothing of it ever locks anybody out.
BEYOND_REPAIR = {"default_role", "creates_members", "allows_idp_initiated"}


class BeyondRepair(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = (
        "A recovery link repairs the connection and nothing else. Who becomes a member, sign-ins that begin at the "
        "provider and API keys are for an owner who is signed in by it."
    )
    default_code = "beyond_recovery"


class SsoIsRequired(Conflict):
    default_detail = (
        "Your people sign in by this connection alone, so it is not changed untested. Stage a second configuration, "
        "test and promote it, or stop requiring SSO first."
    )
    default_code = "sso_is_required"


def find(principal: Principal, state: str = State.SERVING) -> IdentityProvider:
    """Return the connection of the caller's workspace in this state. Raises `NotFound`."""
    return find_in(principal.workspace_id, state)


def find_all(principal: Principal) -> dict[str, IdentityProvider]:
    """Return the connections of the caller's workspace by their state, each with the workspace. One query."""
    found = IdentityProvider.objects.for_workspace(principal.workspace_id).select_related("workspace")
    return {provider.state: provider for provider in found}


def find_in(workspace_id: uuid.UUID, state: str) -> IdentityProvider:
    """Return the connection of a workspace in this state. Raises `NotFound`."""
    providers = IdentityProvider.objects.for_workspace(workspace_id).select_related("workspace")
    found = providers.filter(state=state).first()
    if found is None:
        raise NotFound()
    return found


def lock_own_workspace(request: Request) -> Workspace:
    """Return the caller's workspace, whose row orders all changes of its connections, and the sign-ins by them. Raises
    `NotFound`, `InsufficientPermissions` where the caller is no owner any more.
    """
    return lock_caller(request, SSO_MANAGE).workspace


def put(
    request: Request,
    fields: dict[str, Any],
    state: str = State.SERVING,
    seen: dict[str, Any] | None = None,
    meant: str | None = None,
) -> IdentityProvider:
    """Create the connection by hand, or replace what `fields` names of it, and return it. `covered_domain` becomes the
    primary domain. What is not as it was ends the daily reading of metadata, which would undo it.

    Raises `PlanRequired`, `SsoIsRequired`, `DomainTaken`, `TooManyDomains`, the 422 of `entity_id`, with `seen`, what
    the connection was when the caller looked, `EditedMeanwhile`, and what `refuse_others` raises of the one `meant`.
    """
    with transaction.atomic():
        provider, workspace = _open(request, state, meant)
        _refuse_edited(provider, workspace, fields, seen)
        if provider.metadata_url and any(name in fields and fields[name] != getattr(provider, name) for name in CORE):
            fields["metadata_url"] = ""
        _cover(request, fields)
        store(provider, workspace, fields, request)
        return provider


def put_as_read(
    request: Request, fields: dict[str, Any], state: str = State.SERVING, meant: str | None = None
) -> tuple[IdentityProvider, dict[str, Any]]:
    """Do what `put` does with what metadata says, and return what changed as well."""
    with transaction.atomic():
        provider, workspace = _open(request, state, meant)
        _cover(request, fields)
        return provider, store(provider, workspace, fields, request)


def _open(request: Request, state: str, meant: str | None) -> tuple[IdentityProvider, Workspace]:
    """Return the connection in this state, perhaps a new one, and its workspace, locked."""
    workspace = lock_own_workspace(request)
    refuse_other_plans(workspace.plan)
    refuse_others(workspace.id, state, meant)
    providers = IdentityProvider.objects.for_workspace(workspace.id)
    return providers.filter(state=state).first() or _begin(workspace, state), workspace


def _begin(workspace: Workspace, state: str) -> IdentityProvider:
    provider = IdentityProvider(workspace=workspace, state=state)
    serving = IdentityProvider.objects.for_workspace(workspace.id).filter(state=State.SERVING).first()
    for name in TAKEN_OVER if serving is not None else ():
        setattr(provider, name, getattr(serving, name))
    return provider


def patch(
    request: Request,
    fields: dict[str, Any],
    state: str = State.SERVING,
    seen: dict[str, Any] | None = None,
    meant: str | None = None,
) -> IdentityProvider:
    """Change what `fields` names of a connection, and of what the workspace demands, and return the connection.

    What only switches off is let through on every plan. Raises `NotFound`, `PlanRequired`, `SsoIsRequired`,
    `BeyondRepair`, what `set_required` and `set_primary` raise, the 422 of `entity_id`, for an address of metadata that
    would not be asked `DocumentNotReadable`, `Throttled`, with `seen`, what it was when the caller looked,
    `EditedMeanwhile`, and what `refuse_others` raises of the one `meant`.
    """
    if fields.get("metadata_url"):
        _refuse_unreachable_metadata(request, fields["metadata_url"], state)
    only_switches_off = all(name in SWITCHES and value is False for name, value in fields.items())
    wanted = fields.pop("is_required", None)
    with transaction.atomic():
        workspace = lock_own_workspace(request)
        if not only_switches_off:
            refuse_other_plans(workspace.plan)
        refuse_others(workspace.id, state, meant)
        provider = find_in(workspace.id, state)
        if "preset" in fields:
            fields.setdefault("attribute_mapping", PRESETS[fields["preset"]].attribute_mapping)
        _refuse_edited(provider, workspace, fields, seen)
        if wanted is False:
            set_required(request, workspace, provider, wanted)
        _cover(request, fields)
        _decide_about_keys(request, workspace, fields)
        if provider.metadata_url and fields.get("entity_id", provider.entity_id) != provider.entity_id:
            fields.setdefault("metadata_url", "")  # it speaks of the provider of before
        store(provider, workspace, fields, request)
        if wanted is True:
            set_required(request, workspace, provider, wanted)
    provider.workspace.refresh_from_db()
    return provider


def _refuse_edited(
    provider: IdentityProvider, workspace: Workspace, fields: dict[str, Any], seen: dict[str, Any] | None
) -> None:
    """Raise `EditedMeanwhile` where somebody else has changed the same since the caller looked."""
    elsewhere = {"refuses_api_keys": workspace.refuses_keys_under_sso}
    refuse_edited(seen or {}, fields, lambda name: elsewhere.get(name, getattr(provider, name, None)))


def _refuse_unreachable_metadata(request: Request, url: str, state: str) -> None:
    """Raise `DocumentNotReadable` for another address than before that the daily reading would not ask."""
    provider = find(request.auth, state)
    refuse_other_plans(request.auth.plan)
    if url == provider.metadata_url:
        return
    METADATA_FETCHES.charge(request, str(provider.workspace_id))
    try:
        refuse_unreachable(url)
    except DocumentNotReadable as problem:
        sentence = str(problem.detail)
        raise DocumentNotReadable(sentence, extra={"details": {"metadata_url": [sentence]}}) from None


def _cover(request: Request, fields: dict[str, Any]) -> None:
    domain = fields.pop("covered_domain", None)
    if domain:
        set_primary(request, domain)


def _decide_about_keys(request: Request, workspace: Workspace, fields: dict[str, Any]) -> None:
    """Set what API keys may do while single sign-on is required. Raises `BeyondRepair`."""
    refuses = fields.pop("refuses_api_keys", None)
    if refuses is None or refuses == workspace.refuses_keys_under_sso:
        return
    if is_recovering(request):
        raise BeyondRepair()
    workspace.refuses_keys_under_sso = refuses
    workspace.save(update_fields=["refuses_keys_under_sso", "updated_at"])
    changes = {"refuses_api_keys": {"from": not refuses, "to": refuses}}
    what = "What API keys may do under required SSO was changed."
    record_change(request, workspace.id, Action.SSO_CONFIGURED, what, changes)


def store(
    provider: IdentityProvider, workspace: Workspace, fields: dict[str, Any], request: Request | None
) -> dict[str, Any]:
    """Write `fields` to a connection, new or not, and return what changed, as `{field: {from, to}}`: certificates by
    their fingerprints.

    Within a transaction that holds the workspace's row. Without a request it is the daily reading of the metadata.
    Raises `SsoIsRequired`, `BeyondRepair`, and the 422 of `entity_id`.
    """
    refuse_own_entity_id(fields.get("entity_id", ""), workspace)
    is_new = provider._state.adding
    changed = {name for name, value in fields.items() if is_new or getattr(provider, name) != value}
    changes = {name: _told(provider, name, fields[name], is_new) for name in sorted(changed - {"metadata_said"})}
    if not changed:
        return {}
    if changed & BEYOND_REPAIR and is_recovering(request):
        raise BeyondRepair()
    is_risky = _breaks_sign_ins(provider, fields, changed, request)
    if provider.state == State.SERVING and not is_new:
        _refuse_where_required(request, workspace, fields, is_risky)
    written = {name: fields[name] for name in changed}
    if is_risky:
        # Tests on their way count no more. Whoever changes it holds the workspace's row, so no step is lost.
        written |= {"tested_at": None, "revision": provider.revision + 1}
    if "certificates" in changed:
        written["certificate_warned_at"] = None
    if "metadata_url" in changed and "metadata_said" not in fields:
        written |= {"metadata_said": {}, "metadata_read_at": None, "metadata_problem": ""}
    for name, value in written.items():
        setattr(provider, name, value)
    # A test may be noted at this very moment, and a warning: only what changes is written.
    provider.save(update_fields=None if is_new else [*written, "updated_at"])
    ends_all = written.get("is_enabled") is False and provider.state == State.SERVING
    ended = _end_sign_ins(workspace.id, [State.SERVING, State.FORMER]) if ends_all else 0
    _tell(provider, changes, request, **({"sign_ins_ended": ended} if ends_all else {}))
    return changes


def _told(provider: IdentityProvider, name: str, value: Any, is_new: bool) -> dict[str, Any]:
    before = None if is_new else getattr(provider, name)
    if name == "certificates":
        return {"from": fingerprints(before or []), "to": fingerprints(value)}
    return {"from": before, "to": value}


def _breaks_sign_ins(
    provider: IdentityProvider, fields: dict[str, Any], changed: set[str], request: Request | None
) -> bool:
    """Return whether what a test has shown says nothing about the connection any more.

    An expired certificate counts in signatures like any other, for providers go on to use theirs; only the provider's
    own metadata says that it does not.
    """
    kept = fields.get("certificates", provider.certificates)
    removed = [pem for pem in provider.certificates if pem not in kept]
    if request is None:
        removed = [pem for pem in removed if not describe(pem).is_expired]
    return bool(changed & DECISIVE or removed)


def _refuse_where_required(request: Request | None, workspace: Workspace, fields: dict[str, Any], risky: bool) -> None:
    """Raise `SsoIsRequired` where a change could shut people out. An owner who came by a recovery link repairs the
    connection directly; nobody switches it off.
    """
    if not workspace.requires_sso:
        return
    if fields.get("is_enabled") is False or (risky and not is_recovering(request)):
        raise SsoIsRequired()


def is_recovering(request: Request | None) -> bool:
    """Return whether the caller came in by a recovery link."""
    return request is not None and bool(request.auth.is_recovery)


def delete(request: Request, state: str = State.SERVING, meant: str | None = None) -> None:
    """Delete a connection; with the serving one also the one that served before it. What they have signed in ends, and
    their people sign in by what they have here. Raises `NotFound`, `SsoIsRequired`, and what `refuse_others` raises of
    the one that is `meant`.
    """
    with transaction.atomic():
        workspace = lock_own_workspace(request)
        provider = find_in(workspace.id, state)
        refuse_others(workspace.id, state, meant)
        if state == State.SERVING and workspace.requires_sso:
            raise SsoIsRequired()
        states = [State.SERVING, State.FORMER] if state == State.SERVING else [state]
        ended = forget(workspace.id, states)
        changes = {"entity_id": provider.entity_id, "state": state, "sign_ins_ended": ended}
        record_change(request, workspace.id, Action.SSO_DELETED, "A SAML connection was deleted.", changes)
        if state == State.SERVING:
            tell_owners(workspace.id, "sso_changed", change=Action.SSO_DELETED, fields=[])


def forget(workspace_id: uuid.UUID, states: list[str]) -> int:
    """Delete connections with the identities that they have bound, which nothing can ever name again; end what they
    have signed in, which nobody could end any more, and return how many sign-ins that were.
    """
    ended = _end_sign_ins(workspace_id, states)
    doomed = IdentityProvider.objects.for_workspace(workspace_id).filter(state__in=states)
    UserSocialAuth.objects.filter(provider__in=[provider.provider_name for provider in doomed]).delete()
    doomed.delete()
    return ended


def _end_sign_ins(workspace_id: uuid.UUID, states: list[str]) -> int:
    providers = IdentityProvider.objects.for_workspace(workspace_id).filter(state__in=states)
    return sum(end_sign_ins_by(provider) for provider in providers)


def _tell(provider: IdentityProvider, changes: dict[str, Any], request: Request | None, **besides: Any) -> None:
    is_serving = provider.state == State.SERVING
    action = Action.SSO_CONFIGURED if is_serving else Action.SSO_STAGED
    what = "The SAML connection was set." if is_serving else "A staged SAML connection was set."
    noted = {name: _without_query(told) for name, told in changes.items()} | besides
    record_change(request, provider.workspace_id, action, what, noted)
    fields = [name for name in changes if name not in ("metadata_read_at", "metadata_problem")]
    if is_serving and fields:
        change = "metadata" if request is None else str(action)
        tell_owners(provider.workspace_id, "sso_changed", change=change, fields=fields)


def _without_query(told: dict[str, Any]) -> dict[str, Any]:
    """Return a change with addresses cut at their query: a metadata address may hold a secret there."""
    return {
        side: urlsplit(value)._replace(query="").geturl()
        if isinstance(value, str) and value.startswith("http") and "?" in value
        else value
        for side, value in told.items()
    }


def record_change(
    request: Request | None, workspace_id: uuid.UUID, action: Action, what: str, changes: dict[str, Any]
) -> None:
    """Record what was done to a connection: by the caller, or without a request by the operator's daily command."""
    resource = ("workspace", workspace_id)
    if request is None:
        record(action, OPERATOR, what, workspace_id=workspace_id, resource=resource, changes=changes)
    else:
        record_for(request, action, what, resource=resource, changes=changes)
