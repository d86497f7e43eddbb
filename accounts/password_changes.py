"""How a password is replaced: by its owner who knows it, or with a link that was mailed."""

from contextlib import suppress

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request

from accounts import mailed_tokens
from accounts.audit import Action, Person, record, record_for
from accounts.hooks import sign_ins_ended
from accounts.mailed_tokens import InvalidMailedToken
from accounts.models import MailedToken, SignIn, User
from accounts.models.sign_in import SignInQuerySet
from accounts.outbox import enqueue
from accounts.passwords import refuse_weak_password
from accounts.principal import Client
from accounts.reauthentication import confirm_password, lock_unchanged
from accounts.second_factor import drop
from accounts.sso_requirement import refuse_where_required

RESET = MailedToken.Purpose.RESET_PASSWORD


def change_password(request: Request, current_password: str, new_password: str) -> None:
    """Replace the caller's password and end their other sign-ins.

    Raises what `confirm_password` raises, and the 422 for a weak password. Of concurrent changes one wins; what the
    others know is the wrong password by then.
    """
    user = confirm_password(request, current_password)
    refuse_weak_password(new_password, user, "new_password")
    replacement = make_password(new_password)
    with transaction.atomic():
        lock_unchanged(user)
        user.password = replacement
        user.save(update_fields=["password", "updated_at"])
        ended = _distrust_the_old(user, SignIn.objects.exclude(id=request.auth.credential_id))
        changes = {"sign_ins_ended": ended}
        record_for(request, Action.PASSWORD_CHANGED, "Password changed; other sign-ins ended.", changes=changes)


def reset_password(client: Client, raw_token: str, new_password: str) -> None:
    """Set a password with the secret of a reset mail and end every sign-in of its person; sign nobody in.

    Whoever has the secret reads the account's mail, so the address counts as verified from now on. Where it did not
    before, a second factor is whoever's who signed up with it, and goes. Raises `InvalidMailedToken`; `SsoRequired` and
    the 422 for a weak password, which leave the secret unspent.
    """
    person = mailed_tokens.find_person(raw_token, RESET)
    refuse_where_required(person.email)
    refuse_weak_password(new_password, person)
    replacement = make_password(new_password)
    with transaction.atomic():
        user, address = mailed_tokens.consume_for_person(raw_token, RESET)
        if address != user.email:
            raise InvalidMailedToken()
        if user.email_verified_at is None:
            drop(user)
        user.password = replacement
        user.email_verified_at = user.email_verified_at or timezone.now()
        user.save(update_fields=["password", "email_verified_at", "updated_at"])
        ended = _distrust_the_old(user, SignIn.objects.all())
        record(
            Action.PASSWORD_RESET,
            client,
            "Password reset by a mailed link; every sign-in ended.",
            workspace_id=user.home_workspace_id,
            actor=Person(user.id, user.email),
            resource=("user", user.id),
            changes={"sign_ins_ended": ended},
            status_code=200,
        )


def refuse_weak_choice(raw_token: str, new_password: str) -> None:
    """Raise the 422 for a weak password before a try with the secret of a reset mail is counted, if it is one."""
    with suppress(InvalidMailedToken):
        refuse_weak_password(new_password, mailed_tokens.find_person(raw_token, RESET))


def _distrust_the_old(user: User, sign_ins: SignInQuerySet) -> int:
    """End what somebody may have begun who knew the former password, tell the owner, return how many sign-ins ended."""
    MailedToken.objects.filter(user=user).exclude(purpose=MailedToken.Purpose.VERIFY_EMAIL).delete()
    sign_ins_ended.run(user.id)
    enqueue("password_changed", email=user.email)
    return sign_ins.filter(user=user).revoke("password_changed")
