"""The way in for owners whom their own identity provider locks out: a link by mail that signs in once, for an hour, to
repair single sign-on and nothing else. Every owner is told when one is asked for and when it is used.

Asking answers the same whoever asks, and costs the same: the request only leaves a note, and whoever makes the mail
looks whether there is an owner to write to, and how many links they got. So what is asked for in the name of somebody
else uses up nothing of an owner, but by naming them and their own workspace: and then the links are in their mailbox.
"""

from datetime import timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request

from accounts.audit import NOBODY, Action, Person, record
from accounts.login import check_second_factor
from accounts.mail import link, message
from accounts.mailed_tokens import InvalidMailedToken
from accounts.models import Membership, User
from accounts.outbox import enqueue, mail
from accounts.principal import Client
from accounts.scopes import Role
from accounts.sso_requirement import BY_RECOVERY, demands_sso, owners_of
from accounts.throttles import RECOVERY_BY_OWNER
from accounts.tokens import TokenPair, issue
from spatialflow import clock
from sso.models import SsoRecovery, digest

SIGN_IN_LIFETIME = timedelta(hours=1)  # of what a link signs in; refreshing does not extend it


def ask(email: str, workspace_slug: str, client: Client) -> None:
    """Ask for a link to `email`, in its canonical form; whether it is an owner's is found out later."""
    enqueue(
        "sso_recovery_asked",
        email=email,
        workspace_slug=workspace_slug,
        ip=client.ip,
        user_agent=client.user_agent,
        method=client.method,
        path=client.path,
    )


def redeem(request: Request, raw_token: str, otp: str | None) -> TokenPair:
    """Trade the secret of a link for a sign-in of one hour that repairs single sign-on.

    A second factor is asked for before the link is spent, so that a mistyped code does not cost it; guesses are
    limited by account. Raises `InvalidMailedToken`, also where its person is no active owner any more or the
    workspace does not require single sign-on; `OtpRequired`, `InvalidOtp`, `Throttled`.
    """
    client = Client.of(request)
    found = SsoRecovery.objects.filter(digest=digest(raw_token), expires_at__gt=clock.now())
    row = found.first()
    membership = _find_locked_out(user_id=row.user_id, workspace_id=row.workspace_id) if row else None
    if membership is None:
        raise InvalidMailedToken()
    if membership.user.has_second_factor:
        check_second_factor(request, membership.user, otp)
    if SsoRecovery.objects.consume(raw_token) is None:  # spent at this very moment
        raise InvalidMailedToken()
    with transaction.atomic():
        pair = issue(membership, BY_RECOVERY, client, ends_by=clock.now() + SIGN_IN_LIFETIME)
        _record(Action.SSO_RECOVERY_USED, "An owner signed in by a recovery link.", membership, client)
        _tell_owners("sso_recovery_used", membership)
    return pair


def _find_locked_out(**conditions: object) -> Membership | None:
    """Return the membership of an active owner, address verified, of a workspace that requires single sign-on."""
    owners = Membership.objects.select_related("user", "workspace").filter(
        role=Role.OWNER, user__is_active=True, user__email_verified_at__isnull=False
    )
    membership = owners.filter(**conditions).first()
    return membership if membership and demands_sso(membership.workspace) else None


def _record(action: Action, description: str, membership: Membership, client: Client) -> None:
    person = Person(membership.user_id, membership.user.email)
    is_used = action == Action.SSO_RECOVERY_USED
    record(
        action,
        client,
        description,
        workspace_id=membership.workspace_id,
        resource=("workspace", membership.workspace_id),
        actor=person if is_used else NOBODY,  # who asks has proven nothing
        target=NOBODY if is_used else person,
    )


def _tell_owners(kind: str, membership: Membership) -> None:
    for user_id in owners_of(membership.workspace_id):
        enqueue(
            kind,
            user_id=str(user_id),
            owner_id=str(membership.user_id),
            workspace_name=membership.workspace.name,
            at=f"{timezone.now():%Y-%m-%d %H:%M} UTC",
        )


@mail("sso_recovery_asked")
def asked(email: str, workspace_slug: str, ip: str, user_agent: str, method: str, path: str) -> None:
    """Act on a wish for a link: where it is an owner's who may need one, leave a trace, and ask for the mails."""
    membership = _find_locked_out(user__email=email, workspace__slug=workspace_slug)
    if membership is None or not RECOVERY_BY_OWNER.has_room(f"{membership.user_id} {membership.workspace_id}"):
        return
    client = Client(ip, user_agent, method, path)
    _record(Action.SSO_RECOVERY_ASKED, "A recovery link was asked for.", membership, client)
    enqueue("sso_recovery_link", user_id=str(membership.user_id), workspace_id=str(membership.workspace_id))
    _tell_owners("sso_recovery_notice", membership)


@mail("sso_recovery_link")
def recovery_link(user_id: str, workspace_id: str) -> EmailMessage | None:
    """To the owner who asked: the link. One that was mailed before is worthless from now on."""
    membership = _find_locked_out(user_id=user_id, workspace_id=workspace_id)
    if membership is None:
        return None
    SsoRecovery.objects.filter(user_id=user_id, workspace_id=workspace_id).delete()
    token = SsoRecovery.objects.issue(user_id=membership.user_id, workspace_id=membership.workspace_id)
    return message(
        membership.user.email,
        f"Repair single sign-on of {membership.workspace.name}",
        f"Somebody, probably you, cannot sign in to the workspace {membership.workspace.name} by its identity "
        "provider. This link signs you in once, within one hour, to repair single sign-on or to stop requiring it:",
        link("sso-recovery", token=token),
        "Every owner of the workspace is told. If it was not you, do not open the link, and let the other owners know.",
    )


@mail("sso_recovery_notice")
def recovery_notice(user_id: str, owner_id: str, workspace_name: str, at: str) -> EmailMessage | None:
    """To each owner, when a link was asked for."""
    return _notice(
        user_id,
        owner_id,
        f"A recovery link for {workspace_name} was asked for",
        "A link was mailed to {}, an owner of the workspace " + f"{workspace_name}, that signs in past its identity "
        f"provider to repair single sign-on. It was asked for at {at}, and works once, within one hour.",
    )


@mail("sso_recovery_used")
def recovery_used(user_id: str, owner_id: str, workspace_name: str, at: str) -> EmailMessage | None:
    """To each owner, when a link was used."""
    return _notice(
        user_id,
        owner_id,
        f"A recovery link for {workspace_name} was used",
        "{} " + f"signed in by a recovery link at {at}, past the identity provider of the workspace {workspace_name}. "
        "For one hour this sign-in can change its single sign-on settings, and nothing else.",
    )


def _notice(user_id: str, owner_id: str, subject: str, what: str) -> EmailMessage | None:
    user = User.objects.filter(id=user_id, is_active=True).first()
    owner = User.objects.filter(id=owner_id).first()
    if user is None or owner is None:
        return None
    return message(
        user.email,
        subject,
        what.replace("{}", owner.email, 1),
        "If the owners did not expect this, look into the audit trail of the workspace and its single sign-on settings "
        "now.",
    )
