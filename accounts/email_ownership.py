"""Whose an email address is: verifying an account's own, moving an account to another one, and giving one that nobody
had proven to who has.

A verification link proves that its reader owns the address, not that they chose the password: somebody else may have
signed up with it in wait for them. So the mail tells who did not sign up not to follow it, and a verification changes
nothing else. Whoever was not the one to sign up resets the password by mail, or comes in by the identity provider of
the address's proven domain; both end all that came before.
"""

import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from accounts import mailed_tokens
from accounts.acceptance import BY_INVITATION
from accounts.audit import Action, Person, record, record_for
from accounts.hooks import account_reclaimed, sign_ins_ended
from accounts.mailed_tokens import InvalidMailedToken
from accounts.models import MailedToken, SignIn, User
from accounts.outbox import enqueue
from accounts.principal import Client
from accounts.reauthentication import confirm_password, lock_unchanged
from accounts.second_factor import drop
from accounts.sso_requirement import refuse_moving
from accounts.throttles import NEW_EMAIL, RESEND_BY_EMAIL
from spatialflow.errors import NotFound

Purpose = MailedToken.Purpose


class NoChangePending(NotFound):
    default_detail = "No change of the email address is waiting for its link to be followed."
    default_code = "no_change_pending"


@transaction.atomic
def verify_email(client: Client, raw_token: str, own_sign_in_id: uuid.UUID | None) -> User:
    """Mark as verified the address that a verification mail went to, and return its person.

    Sign-ins that the link of an invitation began by itself end, but the caller's own: whoever invited has that link,
    too, and may be the one behind them. Raises `InvalidMailedToken`, also where the account has another address by now.
    """
    user, address = mailed_tokens.consume_for_person(raw_token, Purpose.VERIFY_EMAIL)
    if address != user.email:
        raise InvalidMailedToken()
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at", "updated_at"])
    doubtful = SignIn.objects.filter(user=user, method=BY_INVITATION).exclude(id=own_sign_in_id)
    changes = {"sign_ins_ended": doubtful.revoke("email_verified")}
    _record(client, Action.EMAIL_VERIFIED, "Email address verified.", user, changes=changes)
    return user


def reclaim(user: User, client: Client, workspace_id: uuid.UUID) -> bool:
    """Give an account whose address nobody has proven to its person, who has just proven it by the identity provider of
    the address's proven domain, the workspace's; return whether it still was unproven.

    Whoever made it may be somebody else: password, second factor, sign-ins, mailed links, bound identities and keys of
    before end, within the caller's transaction, which holds the workspace's row. The person hears of it.
    """
    unproven = User.objects.select_for_update(no_key=True).filter(id=user.id, email=user.email, email_verified_at=None)
    stored = unproven.first()
    if stored is None:
        return False
    drop(stored)
    stored.set_unusable_password()
    stored.email_verified_at = timezone.now()
    stored.save(update_fields=["password", "email_verified_at", "updated_at"])
    MailedToken.objects.filter(user=stored).delete()
    account_reclaimed.run(stored.id)
    sign_ins_ended.run(stored.id)
    changes = {"sign_ins_ended": SignIn.objects.filter(user=stored).revoke("account_reclaimed")}
    enqueue("account_reclaimed", user_id=str(stored.id), workspace_id=str(workspace_id))
    what = "The account was unproven; it is its address's now, and nothing of before opens it any more."
    _record(client, Action.ACCOUNT_RECLAIMED, what, stored, changes=changes, workspace_id=workspace_id)
    return True


def ask_for_own_verification(request: Request) -> bool:
    """Have the caller's verification mail sent again, and return whether their address still needs it. Raises
    `Throttled` after RESEND_BY_EMAIL.
    """
    if request.auth.email_is_verified:
        return False
    RESEND_BY_EMAIL.charge(request, str(request.auth.user_id))
    enqueue("verify_email", email=request.auth.email)
    return True


def ask_for_new_email(request: Request, new_email: str, current_password: str) -> None:
    """Mail a link to the new address, and word of it to the present one; nothing changes until the link is followed.

    Whether the new address has an account is only told to that address, by the mail. Raises what `confirm_password`
    raises, `Throttled` after NEW_EMAIL, the 422 for the present address, and `SsoRequired` where single sign-on is
    required for either.
    """
    user = confirm_password(request, current_password)
    if new_email == user.email:
        raise serializers.ValidationError({"new_email": ["This is the address of your account already."]})
    refuse_moving(user.email, new_email)
    NEW_EMAIL.charge(request, new_email)
    with transaction.atomic():
        lock_unchanged(user)
        token = mailed_tokens.make(user, Purpose.CHANGE_EMAIL, new_email)
        enqueue("change_email", email=new_email, token=token)
        enqueue("email_change_asked", email=user.email)
        record_for(request, Action.EMAIL_CHANGE_ASKED, "Asked to move the account to another email address.")


def find_pending_change(user_id: uuid.UUID) -> MailedToken | None:
    """Return the move of a person's account to another address that waits for its link to be followed, if any."""
    open_links = MailedToken.objects.filter(purpose=Purpose.CHANGE_EMAIL, expires_at__gt=timezone.now())
    return open_links.filter(user_id=user_id).first()


@transaction.atomic
def cancel_new_email(request: Request) -> None:
    """Make the link that would move the caller's account worthless. Raises `NoChangePending`."""
    list(User.objects.select_for_update(no_key=True).filter(id=request.auth.user_id).values_list("id"))
    pending = find_pending_change(request.auth.user_id)
    if pending is None:
        raise NoChangePending()
    pending.delete()
    record_for(request, Action.EMAIL_CHANGE_CANCELLED, "Moving the account to another email address was cancelled.")


def confirm_new_email(client: Client, raw_token: str) -> None:
    """Move an account to the address that the link was mailed to; every sign-in ends, the former address is told.

    Raises `InvalidMailedToken`, also when the address got an account in the meantime, and `SsoRequired`, which leaves
    the secret unspent.
    """
    try:
        _move(client, raw_token)
    except IntegrityError:  # the unique index knows
        raise InvalidMailedToken() from None


@transaction.atomic
def _move(client: Client, raw_token: str) -> None:
    user, new_email = mailed_tokens.consume_for_person(raw_token, Purpose.CHANGE_EMAIL)
    refuse_moving(user.email, new_email)
    former_email, user.email = user.email, new_email
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email", "email_verified_at", "updated_at"])
    MailedToken.objects.filter(user=user).delete()  # what went to the former address
    sign_ins_ended.run(user.id)
    ended = SignIn.objects.filter(user=user).revoke("email_changed")
    enqueue("email_changed", former_email=former_email)
    changes = {"sign_ins_ended": ended}
    details = "Account moved to another email address; every sign-in ended."
    _record(client, Action.EMAIL_CHANGED, details, user, actor=Person(user.id, former_email), changes=changes)


def _record(client: Client, action: Action, description: str, user: User, **details: Any) -> None:
    person = Person(user.id, user.email)
    about: dict[str, Any] = {"actor": person, "target": person, "resource": ("user", user.id), "status_code": 200}
    about["workspace_id"] = user.home_workspace_id
    record(action, client, description, **(about | details))
