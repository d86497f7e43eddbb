"""Single logout (SAML profiles 4.4): whoever signs out here does so at the identity provider, and the other way round.

Only by HTTP-Redirect, and only where the provider has an address for it (`slo_url`). What the provider says counts with
its signature alone, and ends sign-ins that it began itself. Who is refused learns nothing; owners see each check.
"""

import logging

from django.db import transaction
from rest_framework.request import Request

from accounts.audit import Action, Person, record, record_for
from accounts.models import SignIn, Workspace
from accounts.principal import Client
from spatialflow.errors import ApiError, NotFound
from sso.destinations import read_deeplink, read_destination, told
from sso.models import IdentityProvider, SamlLogout, SamlSession, SpentToken
from sso.saml.checks import shown
from sso.saml.guard import Refused
from sso.saml.logout import (
    REMEMBERED,
    LogoutMessage,
    judge_logout,
    logout_request_url,
    logout_response_url,
    read_logout,
)
from sso.saml.verdict import Check, Verdict
from sso.saml_attempts import keep_attempt
from sso.saml_serving import SLUG
from sso.saml_sessions import ENDED, end_sessions, refuse_late_sign_ins

logger = logging.getLogger(__name__)

State = IdentityProvider.State
READABLE = "one LogoutRequest or LogoutResponse by HTTP-Redirect, deflated, each element in its place"


class LogoutRefused(ApiError):
    """Whatever is wrong with a message: one answer for all."""

    default_detail = (
        "This sign-out was refused, and nobody was signed out by it. Sign out in the app instead; if this happens "
        "again, tell the owner of your workspace the reference."
    )
    default_code = "logout_refused"


def leave(request: Request, next_page: str, app_address: str) -> str | None:
    """End the caller's sign-in, with the others of the same session at the identity provider, and return the address
    at which the browser ends that session too; None where there is none.

    Afterwards the browser comes to `next_page`, a page of ours, or to `app_address`. Raises `InvalidDestination`,
    `InvalidDeeplink`.
    """
    destination = read_deeplink(app_address) if app_address else read_destination(next_page)
    sessions = SamlSession.objects.filter(sign_in_id=request.auth.credential_id)
    session = sessions.select_related("provider__workspace").first()
    with transaction.atomic():
        ended = SignIn.objects.live().filter(id=request.auth.credential_id).revoke(ENDED)
        if session is not None and session.provider.slo_url and session.session_index:
            ended += len(
                end_sessions([session.provider], session.name_id, session.name_id_format, [session.session_index])
            )
        record_for(
            request,
            Action.SSO_LOGGED_OUT,
            "Signed out, to be signed out at the identity provider too.",
            resource=("session", request.auth.credential_id),
            changes={"sign_ins_ended": ended},
        )
    if session is None or not session.provider.slo_url:
        return None
    raw = SamlLogout.objects.issue(provider=session.provider, next=destination)
    return logout_request_url(session, f"_{raw}")


def began_by_provider(request: Request) -> bool:
    """Return whether the caller has signed in by the workspace's identity provider."""
    return SamlSession.objects.filter(sign_in_id=request.auth.credential_id).exists()


def receive(workspace_slug: str, query: str, client: Client) -> str:
    """Return where to send the browser that brings a message of an identity provider, as the raw query of the address:
    back to the provider with our answer, or to where our own logout was to end.

    Raises `NotFound`, `LogoutRefused`.
    """
    workspace = _find_workspace(workspace_slug)
    try:
        message = read_logout(query)
    except Refused as reason:
        check = Check("logout_message", False, READABLE, shown(str(reason)))
        raise _refused(workspace, [check], client) from None
    if message.kind == "LogoutRequest":
        return _obey(workspace, message, client)
    return _finish(workspace, message, client)


def _find_workspace(slug: str) -> Workspace:
    """Return the workspace, if a connection may still end what it began, be it switched off or on another plan now."""
    workspaces = Workspace.objects.filter(suspended_at=None, identity_providers__isnull=False)
    workspace = workspaces.filter(slug=slug).first() if SLUG.fullmatch(slug) else None
    if workspace is None:
        raise NotFound()
    return workspace


def _obey(workspace: Workspace, message: LogoutMessage, client: Client) -> str:
    """End what a LogoutRequest names, once. The answer is the same whether anybody was signed in or not."""
    made = [Check("logout_request", True)]
    provider, spoken_for = _who_says(workspace, message)
    if provider is None:
        made.append(Check("issuer", False, "a connection of the workspace", shown(message.issuer)))
        raise _refused(workspace, made, client)
    made += [_offers(provider), *judge_logout(message, provider)]
    if all(check.passed for check in made):
        made.append(_spend(workspace, message))
    if not all(check.passed for check in made):
        raise _refused(workspace, made, client)
    refuse_late_sign_ins(spoken_for, message.name_id, message.session_indexes)
    with transaction.atomic():
        Workspace.objects.lock(workspace.id)  # a sign-in of that session that is under way comes before
        ended = end_sessions(spoken_for, message.name_id, message.name_id_format, message.session_indexes)
        _record_end(provider, ended, client)
    return logout_response_url(message, provider)


def _who_says(workspace: Workspace, message: LogoutMessage) -> tuple[IdentityProvider | None, list[IdentityProvider]]:
    """Return the connection that a message is of, and those whose sign-ins it may end.

    Who came by the former connection stays signed in when another one begins to serve, so that one has a say about its
    own. The serving one also speaks for the former one of the same entity ID: it is the same provider, with new keys.
    """
    known = IdentityProvider.objects.for_workspace(workspace.id).filter(state__in=[State.SERVING, State.FORMER])
    named = [one for one in known.select_related("workspace").order_by("-state") if one.entity_id == message.issuer]
    provider = next((one for one in named if message.is_signed_by(one)), named[0] if named else None)
    if provider is None or provider.state == State.FORMER:
        return provider, [provider] if provider else []
    return provider, named


def _offers(provider: IdentityProvider) -> Check:
    return Check("connection", bool(provider.slo_url), "a connection with an address for single logout", "none")


def _spend(workspace: Workspace, message: LogoutMessage) -> Check:
    """Let a request count once for as long as it would be taken."""
    named = f"{workspace.id} {message.issuer} {message.id}"
    is_first = SpentToken.objects.spend("saml-logout", named, REMEMBERED)
    return Check("replay", is_first, "a request not used before", "" if is_first else "used before")


def _record_end(provider: IdentityProvider, ended: list[SignIn], client: Client) -> None:
    """Append to the trail whom the provider has signed out."""
    people = {sign_in.user_id: sign_in.user for sign_in in ended}
    for user in people.values():
        count = sum(sign_in.user_id == user.id for sign_in in ended)
        record(
            Action.SSO_LOGGED_OUT,
            client,
            "Signed out by the identity provider.",
            workspace_id=provider.workspace_id,
            target=Person(user.id, user.email),
            resource=("identity_provider", provider.id),
            changes={"sign_ins_ended": count},
            status_code=302,
        )


def _finish(workspace: Workspace, message: LogoutMessage, client: Client) -> str:
    """Return where a logout of ours ends, which its row says and nothing in the answer."""
    made = [Check("logout_response", True)]
    asked = message.in_response_to
    logout = SamlLogout.objects.find(asked[1:]) if asked.startswith("_") else None
    providers = IdentityProvider.objects.for_workspace(workspace.id).select_related("workspace")
    provider = providers.filter(id=logout.provider_id).first() if logout else None
    if logout is None or provider is None:
        made.append(Check("request", False, "an open logout of this service", "none"))
        raise _refused(workspace, made, client)
    made += judge_logout(message, provider)
    # Spent by what the provider has signed alone: nobody else can keep its answer from counting.
    if all(check.passed for check in made) and SamlLogout.objects.consume(asked[1:]) is None:
        made.append(Check("request", False, "an open logout of this service", "none"))
    if not all(check.passed for check in made):
        raise _refused(workspace, made, client)
    return told(logout.next, error="" if message.is_success else "logout_incomplete")


def _refused(workspace: Workspace, made: list[Check], client: Client) -> LogoutRefused:
    """Return the refusal of what anybody can send at any time: it leaves a row that soon goes again."""
    attempt = keep_attempt(workspace.id, None, Verdict(made))
    logger.info("a logout message to %s was refused from %s: %s", workspace.id, client.ip, attempt.failed_check)
    return LogoutRefused(extra={"reference": attempt.reference})
