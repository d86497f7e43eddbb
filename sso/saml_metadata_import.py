"""Taking over what an identity provider's metadata says: when an owner sends it, and daily from its address."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from accounts.models import Workspace
from accounts.throttles import METADATA_FETCHES
from sso.mail_saml import tell_owners
from sso.models import IdentityProvider
from sso.outbound import DocumentNotReadable, fetch_document
from sso.saml.certificates import MAX_CERTIFICATES, describe
from sso.saml.metadata import UnusableMetadata, read_provider_metadata
from sso.saml_addresses import refuse_unusable_entity_id, refuse_unusable_url
from sso.saml_config import SsoIsRequired, find, lock_own_workspace, put_as_read, store
from sso.saml_meant import refuse_others
from sso.saml_plan import refuse_other_plans

MAX_PROBLEM = 300
SAID = ("sso_url", "slo_url", "certificates")  # what an owner may set otherwise, and then it stays
READ = ("entity_id", *SAID)
UNUSABLE_ADDRESS = "It holds an entity ID or an address that cannot be used."
Changes = dict[str, Any]


class EntityChanged(ValueError):
    """A document that speaks of another provider is not a newer one of the same."""

    def __str__(self) -> str:
        return "It describes another entity ID. If your identity provider was replaced, send its metadata yourself."


def import_metadata(
    request: Request,
    *,
    xml: str = "",
    url: str = "",
    state: str = IdentityProvider.State.SERVING,
    meant: str | None = None,
    **others: Any,
) -> tuple[IdentityProvider, Changes]:
    """Configure a connection as metadata says, in XML or at a URL that is read again daily; return it and its changes.

    `others` are further fields of the connection, `meant` is the id of the one that the caller saw. A certificate that
    cannot be used is left out, which `metadata_problem` says, and a mail to the owners.

    Raises `PlanRequired`, `Throttled` and `DocumentNotReadable` for a URL, the 422 that names what is wrong, and what
    `put` raises.
    """
    refuse_other_plans(request.auth.plan)
    source = "url" if url else "xml"
    if url:
        METADATA_FETCHES.charge(request, str(request.auth.workspace_id))
    try:
        fields = _read(_fetch(url) if url else xml.encode("utf-8", "surrogatepass"))
    except UnusableMetadata as problem:
        raise ValidationError({source: [str(problem)]}) from None
    except ValidationError as problem:
        raise ValidationError({source: problem.detail}) from None
    said = {name: fields[name] for name in SAID} if url else {}
    read = {"metadata_url": url, "metadata_read_at": timezone.now(), "metadata_said": said}
    with transaction.atomic():
        provider, changes = put_as_read(request, {**fields, **read, **others}, state, meant)
        if fields["metadata_problem"]:
            tell_owners(provider.workspace_id, "sso_metadata_problem", problem=fields["metadata_problem"], is_read=True)
    return provider, {name: told for name, told in changes.items() if name not in ("metadata_read_at",)}


def _fetch(url: str) -> bytes:
    try:
        return fetch_document(url)
    except DocumentNotReadable as problem:
        sentence = str(problem.detail)
        raise DocumentNotReadable(sentence, extra={"details": {"url": [sentence]}}) from None


def _read(xml: bytes) -> dict[str, Any]:
    """Return the fields of a connection that metadata states; `metadata_problem` is what was left out of it. Raises
    `UnusableMetadata`, and the 422 of an address.
    """
    metadata = read_provider_metadata(xml)
    refuse_unusable_entity_id(metadata.entity_id)
    for address in (metadata.sso_url, metadata.slo_url):
        if address:
            refuse_unusable_url(address)
    return {**{name: getattr(metadata, name) for name in READ}, "metadata_problem": metadata.left_out[:MAX_PROBLEM]}


def reread(provider: IdentityProvider) -> None:
    """Read the metadata of a connection again and take over what it says now, for the daily command.

    Whatever is wrong with it leaves the connection as it is, and is kept as `metadata_problem`; owners are told when a
    problem begins. The entity ID must not change. What an owner has set otherwise than the last reading said stays.
    While single sign-on is required, certificates that are still valid stay beside the new ones, and another sign-in
    address is not taken over.
    """
    try:
        fields = _read(fetch_document(provider.metadata_url))
    except UnusableMetadata as problem:
        return _note_problem(provider, str(problem))
    except ValidationError:
        return _note_problem(provider, UNUSABLE_ADDRESS)
    except DocumentNotReadable as problem:
        return _note_problem(provider, str(problem.detail))
    try:
        _take_over(provider, fields)
    except (EntityChanged, SsoIsRequired, ValidationError) as problem:
        sentence = str(problem.detail) if isinstance(problem, SsoIsRequired) else str(problem)
        _note_problem(provider, sentence)


def read_again(request: Request, state: str = IdentityProvider.State.SERVING, meant: str | None = None) -> Changes:
    """Do at an owner's wish what the daily command does, and return what changed. While single sign-on is required no
    certificate is taken away, so this always can bring in a new one.

    Raises `NotFound`, `PlanRequired`, `Throttled`, `DocumentNotReadable`, `SsoIsRequired` for another sign-in address,
    and what `refuse_others` raises of the one that is `meant`, also where another one took its place while we read.
    """
    provider = find(request.auth, state)
    refuse_others(provider.workspace_id, state, meant)
    refuse_other_plans(request.auth.plan)
    METADATA_FETCHES.charge(request, str(provider.workspace_id))
    try:
        fields = _read(fetch_document(provider.metadata_url))
        with transaction.atomic():
            refuse_others(lock_own_workspace(request).id, state, str(provider.id))
            return _take_over(provider, fields, request)
    except (UnusableMetadata, EntityChanged) as problem:
        raise DocumentNotReadable(str(problem)) from None
    except ValidationError:
        raise DocumentNotReadable(UNUSABLE_ADDRESS) from None


@transaction.atomic
def _take_over(provider: IdentityProvider, fields: dict[str, Any], request: Request | None = None) -> Changes:
    workspace = lock_own_workspace(request) if request else Workspace.objects.lock(provider.workspace_id)
    current = IdentityProvider.objects.select_for_update().filter(id=provider.id).first()
    if workspace is None or current is None or current.metadata_url != provider.metadata_url:
        return {}  # changed by an owner while we read
    if fields["entity_id"] != current.entity_id:
        raise EntityChanged()
    addresses = {name: fields[name] for name in ("sso_url", "slo_url") if not _is_by_hand(current, name)}
    certificates = _certificates(current, workspace, fields["certificates"], keeps_expired=request is not None)
    changes = store(current, workspace, {**addresses, "certificates": certificates}, request)
    said = {name: fields[name] for name in SAID}
    IdentityProvider.objects.filter(id=current.id).update(metadata_read_at=timezone.now(), metadata_said=said)
    _set_problem(current, fields["metadata_problem"], is_read=True)
    return changes


def _is_by_hand(provider: IdentityProvider, name: str) -> bool:
    """Return whether an address is not what the last reading said, but what an owner has set."""
    stored = getattr(provider, name)
    return bool(provider.metadata_said.get(name, stored) != stored)


def _certificates(
    provider: IdentityProvider, workspace: Workspace, published: list[str], *, keeps_expired: bool
) -> list[str]:
    """Return the certificates to keep, in the order in which they are stored already: the published ones, less those
    that an owner has taken away since the last reading said them, and those that an owner has added.
    """
    stays = provider.state == IdentityProvider.State.SERVING and workspace.requires_sso
    stored = provider.certificates
    before = provider.metadata_said.get("certificates", stored)

    def is_kept(pem: str) -> bool:
        return pem in published or pem not in before or (stays and (keeps_expired or not describe(pem).is_expired))

    together = [pem for pem in stored if is_kept(pem)]
    together += [pem for pem in published if pem not in stored and pem not in before]
    # What the provider signs with now comes before what it has signed with once.
    doomed = [pem for pem in together if pem not in published][: max(0, len(together) - MAX_CERTIFICATES)]
    return [pem for pem in together if pem not in doomed]


def _note_problem(provider: IdentityProvider, problem: str) -> None:
    with transaction.atomic():
        found = IdentityProvider.objects.select_for_update().filter(id=provider.id).first()
        if found is not None and found.metadata_url == provider.metadata_url:
            _set_problem(found, problem[:MAX_PROBLEM], is_read=False)


def _set_problem(provider: IdentityProvider, problem: str, *, is_read: bool) -> None:
    """Keep what is wrong with the metadata, and tell owners when that begins. `is_read`: the rest was taken over."""
    IdentityProvider.objects.filter(id=provider.id).update(metadata_problem=problem)
    if problem and not provider.metadata_problem:
        tell_owners(provider.workspace_id, "sso_metadata_problem", problem=problem, is_read=is_read)
