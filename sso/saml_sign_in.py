"""A sign-in by a workspace's identity provider, from a browser's first click to its end (SAML profiles 4.1).

It ends in the browser that began, with a login code at a page or in an app. The dashboard has such a page; whoever
begins without a challenge is led there. A test of a connection ends at its checks and signs nobody in. Whatever is
refused is told to the workspace's owners check by check, and to the person as a reference number.
"""

import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import NOBODY, Action, record
from accounts.models import Workspace
from accounts.principal import Client
from accounts.sso_requirement import domain_of
from spatialflow import clock
from spatialflow.errors import ApiError, NotFound
from sso.destinations import (
    ARRIVED_UNASKED,
    BEGIN_BY_WORKSPACE,
    Arrival,
    InvalidDestination,
    own_page,
    read_deeplink,
    read_destination,
    told,
)
from sso.login import ChangedMeanwhile
from sso.login_codes import challenge_of, refuse_unusable_challenge
from sso.models import (
    UNASKED_LIFETIME,
    IdentityProvider,
    LoginCode,
    SamlAttempt,
    SamlRequest,
    SamlTest,
    digest,
)
from sso.saml.request import authn_request_url
from sso.saml.response import Names, unverified_names
from sso.saml.verdict import Check, Verdict
from sso.saml_attempts import keep_attempt
from sso.saml_checks import Findings, examine
from sso.saml_serving import SLUG, find_serving, why_not_serving
from sso.saml_sessions import ProviderSession, refuse_ended
from sso.workspace_login import EntryRefused, enter_workspace, find_named, hold_entry, refuse_entry

logger = logging.getLogger(__name__)

MAX_RELAY_STATE = 80  # bytes (SAML bindings 3.5.3)
FAILED = "sso_failed"
UNASKED = "unasked"  # the state of login codes that nobody began for


class SsoFailed(ApiError):
    """Where no page or app is known to send the browser back to."""

    default_detail = (
        "The sign-in failed. Begin it again; if it fails again, tell the owner of your workspace the reference."
    )
    default_code = FAILED

    def __init__(self, attempt: SamlAttempt) -> None:
        super().__init__(extra={"reference": attempt.reference})


class ChallengeRequired(ApiError):
    """Tokens in an address would be anybody's who reads it, and a cookie anybody's who leads a browser here."""

    default_detail = (
        "Send a code_challenge (PKCE, S256) and a state: the app or page gets a code for auth/sso/exchange, never "
        "tokens. Without them next must be a page of this service."
    )
    default_code = "code_challenge_required"


class InvalidTestTicket(ApiError):
    """Unknown, expired, used, of another workspace, or its connection serves no more: one answer for all."""

    default_detail = "This test was begun already, or has expired. Ask for a new one."
    default_code = "invalid_test"


@dataclass(frozen=True)
class Wish:
    """What whoever begins asks for; empty is not asked for."""

    next: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    state: str = ""
    test: str = ""
    force_login: bool = False  # although the person has a session at the provider


def begin(workspace_slug: str, wish: Wish, browser: str) -> str:
    """Store a round trip of the browser that holds the secret `browser`; return the provider's address to send it to.

    Without a challenge nothing begins, and the address is the dashboard's page that does: it asks first where somebody
    else may have sent the browser. Raises `NotFound`, `PlanRequired`, `InvalidDestination`, `ChallengeRequired`,
    `UnusableChallenge`, `InvalidTestTicket`.
    """
    if not SLUG.fullmatch(workspace_slug):
        raise NotFound()
    if wish.test:
        return begin_test(wish.test, browser, workspace_slug)
    provider = find_serving(workspace_slug)
    refuse_unusable_challenge(wish.code_challenge, wish.code_challenge_method, wish.state)
    destination = read_destination(wish.next)
    if wish.code_challenge:
        return _ask(provider, wish, destination, browser)
    page = own_page(destination)
    if not page:
        raise ChallengeRequired()
    return told(f"{BEGIN_BY_WORKSPACE}{workspace_slug}", next=page if wish.next else "")


def begin_in_app(workspace_slug: str, wish: Wish, browser: str) -> str:
    """Do as `begin` for an app whose address is `wish.next`. Raises `NotFound`, `PlanRequired`, `InvalidDeeplink`,
    `ChallengeRequired`, `UnusableChallenge`.
    """
    deeplink = read_deeplink(wish.next)
    if not wish.code_challenge or not wish.state:
        raise ChallengeRequired()
    refuse_unusable_challenge(wish.code_challenge, wish.code_challenge_method, wish.state)
    return _ask(find_serving(workspace_slug), wish, deeplink, browser)


def begin_test(ticket: str, browser: str, workspace_slug: str) -> str:
    """Spend an owner's ticket; return the address of the provider, staged or serving, that is tested.

    Raises `InvalidTestTicket`.
    """
    test = SamlTest.objects.consume(ticket)
    providers = IdentityProvider.objects.select_related("workspace")
    provider = providers.filter(id=test.provider_id, workspace__slug=workspace_slug).first() if test else None
    if provider is None or why_not_serving(provider, is_test=True):
        raise InvalidTestTicket()
    fields = {"intent": SamlRequest.Intent.TEST, "next": read_destination(test.next)}
    return authn_request_url(provider, _request_id(provider, browser, fields))


def _ask(provider: IdentityProvider, wish: Wish, destination: str, browser: str) -> str:
    fields = {
        "intent": SamlRequest.Intent.CLIENT,
        "next": destination,
        "code_challenge": wish.code_challenge,
        "client_state": wish.state,
        "force_login": wish.force_login,
    }
    return authn_request_url(provider, _request_id(provider, browser, fields), wish.force_login)


def _request_id(provider: IdentityProvider, browser: str, fields: dict[str, Any]) -> str:
    """Return the ID of a new request to a provider as it is here, which is kept with these fields."""
    asked = {"provider": provider, "workspace_id": provider.workspace_id, "revision": provider.revision}
    raw = SamlRequest.objects.issue(browser_digest=digest(browser), **asked, **fields)
    return f"_{raw}"


def finish(workspace_slug: str, form: Mapping[str, str], browser: str, client: Client) -> Arrival:
    """Return where to send the browser that brings a provider's answer, and what it is given.

    Raises `NotFound`; `SsoFailed` where no round trip of this browser is known.
    """
    if not SLUG.fullmatch(workspace_slug):
        raise NotFound()
    encoded = form.get("SAMLResponse", "")
    names = unverified_names(encoded)
    if not names.in_response_to:
        return _finish_unasked(workspace_slug, encoded, names, form.get("RelayState", ""), client)
    round_trip = _consume(names.in_response_to, workspace_slug, browser)
    if round_trip is None:
        raise _not_begun_here(workspace_slug, "an open request of this browser", client)
    provider = round_trip.provider
    if provider is None:
        return _finish_without(round_trip, client)
    is_test = round_trip.intent == SamlRequest.Intent.TEST
    findings = examine(encoded, provider, names.in_response_to, login_after=round_trip.login_after, is_test=is_test)
    if is_test:
        return _finish_test(round_trip, provider, findings, client)
    fields = {"code_challenge": round_trip.code_challenge, "client_state": round_trip.client_state}
    code, findings = _sign_in(provider, findings, client, fields)
    if code:
        return Arrival(told(round_trip.next, code=code, state=round_trip.client_state))
    return _refused(round_trip, _keep_refusal(provider, findings, client))


def _refused(round_trip: SamlRequest, attempt: SamlAttempt) -> Arrival:
    news = {"error": FAILED, "reference": attempt.reference, "state": round_trip.client_state}
    return Arrival(told(round_trip.next, **news))


def _finish_without(round_trip: SamlRequest, client: Client) -> Arrival:
    """Lead a browser back whose connection was deleted while it was away, with a reference to that."""
    verdict = Verdict([Check("connection", False, "a connection in service", "deleted meanwhile")])
    attempt = _keep_anybodys(round_trip.workspace, verdict, client)
    if round_trip.intent == SamlRequest.Intent.TEST:
        return Arrival(told(round_trip.next, attempt=str(attempt.id)))
    return _refused(round_trip, attempt)


def _consume(request_id: str, workspace_slug: str, browser: str) -> SamlRequest | None:
    """Return the round trip that an answer names, if this browser began it: with its provider as it is stored now, or
    without one where that was deleted meanwhile.
    """
    round_trip: SamlRequest | None = None
    if request_id.startswith("_"):
        round_trip = SamlRequest.objects.consume(request_id[1:])
    if round_trip is None or not hmac.compare_digest(digest(browser), bytes(round_trip.browser_digest)):
        return None
    providers = IdentityProvider.objects.select_related("workspace")
    round_trip.provider = providers.filter(id=round_trip.provider_id).first()
    workspace = round_trip.provider.workspace if round_trip.provider else round_trip.workspace
    return round_trip if workspace.slug == workspace_slug else None


def _finish_unasked(slug: str, encoded: str, names: Names, relay_state: str, client: Client) -> Arrival:
    """Sign in whom the provider sends without having been asked, where the workspace allows that.

    No cookie shows whose browser it is, so anybody could bring somebody else's browser an answer made for themselves:
    it binds nothing, is off unless an owner switches it on, and ends at a page that asks. What that trades needs a
    verifier, which this browser alone gets. A replay is refused like any other.
    """
    provider = _find_unasked(slug, names.issuer)
    if provider is None:
        raise _not_begun_here(slug, "a sign-in that was begun at this service", client)
    verifier = secrets.token_urlsafe(32)
    fields = {
        "code_challenge": challenge_of(verifier),
        "client_state": UNASKED,
        "expires_at": clock.now() + UNASKED_LIFETIME,
    }
    code, findings = _sign_in(provider, examine(encoded, provider, None), client, fields, may_bind=False)
    if code:
        page = told(ARRIVED_UNASKED, code=code, next=_landing(relay_state))
        return Arrival(page, verifier=verifier)
    raise SsoFailed(_keep_refusal(provider, findings, client))


def _find_unasked(slug: str, issuer: str) -> IdentityProvider | None:
    try:
        provider = find_serving(slug)
    except ApiError:
        return None
    return provider if provider.allows_idp_initiated and provider.entity_id == issuer else None


def _landing(relay_state: str) -> str:
    """Return the page of ours that a provider names, or nothing for anything else that it sends along."""
    try:
        return own_page(read_destination(relay_state if len(relay_state) <= MAX_RELAY_STATE else ""))
    except InvalidDestination:
        return ""


def _sign_in(
    provider: IdentityProvider, findings: Findings, client: Client, fields: dict[str, Any], *, may_bind: bool = True
) -> tuple[str, Findings]:
    """Return the login code with these fields that a sign-in ends in, or nothing and the check that failed."""
    identity, assertion = findings.identity, findings.verdict.assertion
    if identity is None or assertion is None:
        return "", findings
    session = ProviderSession.of(assertion, domain_of(identity.email or ""))
    try:
        with transaction.atomic():
            hold_entry(provider, session.domain)
            refuse_ended(provider, session)
            entry = enter_workspace(identity, provider, client, may_bind=may_bind)
            code: str = LoginCode.objects.issue(
                user_id=entry.membership.user_id,
                workspace_id=entry.membership.workspace_id,
                provider=identity.provider,
                account_is_new=entry.created,
                **fields,
                **vars(session),
            )
            return code, findings
    except ApiError as refusal:
        return "", findings.and_then(*_as_checks(refusal))
    except IntegrityError:  # the account was deleted meanwhile
        return "", findings.and_then(*_as_checks(ChangedMeanwhile()))


def _as_checks(refusal: ApiError) -> list[Check]:
    """Return the checks of who may come in, up to the one that failed."""
    failed = refusal.check if isinstance(refusal, EntryRefused) else "account"
    passed = [Check("account", True)] if failed == "membership" else []
    return [*passed, Check(failed, False, str(refusal.detail), str(refusal.get_codes()))]


def _finish_test(round_trip: SamlRequest, provider: IdentityProvider, findings: Findings, client: Client) -> Arrival:
    """Keep what came of a test, and note on a connection that passes, and is as it was asked, that it works."""
    if findings.identity is not None:
        try:
            refuse_entry(findings.identity, provider)
            findings = findings.and_then(Check("account", True), Check("membership", True))
        except EntryRefused as refusal:
            findings = findings.and_then(*_as_checks(refusal))
    if not findings.verdict.failed_check and not _note_tested(round_trip):
        expected = "the connection as it was when the test was begun"
        findings = findings.and_then(Check("connection", False, expected, "changed meanwhile"))
    attempt = keep_attempt(provider.workspace_id, provider, findings.verdict, is_test=True)
    record(
        Action.SSO_TESTED,
        client,
        "The connection to the identity provider was tested.",
        workspace_id=provider.workspace_id,
        resource=("identity_provider", provider.id),
        changes={"reference": attempt.reference, "failed_check": attempt.failed_check},
        status_code=302,
    )
    return Arrival(told(round_trip.next, attempt=str(attempt.id)))


def _note_tested(round_trip: SamlRequest) -> bool:
    """Return whether the connection is still what this round trip has asked, and note then that it works: one UPDATE
    decides. An answer to what was asked before a change proves nothing of what is asked since.
    """
    as_asked = IdentityProvider.objects.filter(id=round_trip.provider_id, revision=round_trip.revision)
    return bool(as_asked.update(tested_at=timezone.now()))


def _keep_refusal(provider: IdentityProvider, findings: Findings, client: Client) -> SamlAttempt:
    """Keep what was refused. Where the provider has signed it, append it to the trail, with the member that a verified
    assertion names; anybody can send the rest at any time, asked for or not.
    """
    if not findings.verdict.is_signed:
        return _keep_anybodys(provider.workspace, findings.verdict, client)
    attempt = keep_attempt(provider.workspace_id, provider, findings.verdict)
    logger.info("%s: sign-in refused from %s: %s", provider.provider_name, client.ip, attempt.failed_check)
    record(
        Action.SIGN_IN_FAILED,
        client,
        "An answer of the workspace's identity provider was refused.",
        workspace_id=provider.workspace_id,
        target=find_named(findings.named, provider.workspace_id) if findings.named else NOBODY,
        resource=("identity_provider", provider.id),
        changes={
            "provider": provider.provider_name,
            "reference": attempt.reference,
            "failed_check": attempt.failed_check,
        },
        status_code=SsoFailed.status_code,
    )
    return attempt


def _not_begun_here(workspace_slug: str, expected: str, client: Client) -> ApiError:
    """Return the refusal of an answer to nothing that this browser began."""
    workspaces = Workspace.objects.filter(slug=workspace_slug, suspended_at=None, identity_providers__isnull=False)
    workspace = workspaces.first()
    if workspace is None:
        return NotFound()
    return SsoFailed(_keep_anybodys(workspace, Verdict([Check("request", False, expected, "none")]), client))


def _keep_anybodys(workspace: Workspace, verdict: Verdict, client: Client) -> SamlAttempt:
    """Keep what anybody may post at any time: a row that soon goes again, and no entry in the trail, which keeps
    everything.
    """
    logger.info("an answer to %s that nobody has signed was refused from %s", workspace.id, client.ip)
    return keep_attempt(workspace.id, None, verdict)
