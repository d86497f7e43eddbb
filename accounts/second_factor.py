"""The second factor: a six-digit code that changes every 30 seconds (TOTP, RFC 6238), and recovery codes for its loss.

Each code works once. Setting a factor up or taking it away ends the person's other sign-ins and is told by mail.
"""

import hmac
import secrets
from dataclasses import dataclass

import pyotp
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, Person, record, record_for
from accounts.hooks import sign_ins_ended
from accounts.mailed_tokens import digest
from accounts.models import RecoveryCode, SignIn, User
from accounts.outbox import enqueue
from accounts.permissions import InsufficientPermissions
from accounts.principal import Client
from accounts.reauthentication import charge_attempt, confirm_password
from spatialflow import clock
from spatialflow.encryption import decrypt, encrypt
from spatialflow.errors import ApiError, Conflict

STEP_SECONDS = 30
CODE_LENGTH = 6
RECOVERY_CODE_COUNT = 10
# No letters and digits that are taken for one another; 16 of these are 78 bits.
ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"


class WrongCode(ApiError):
    """400 and not 401: the access token is fine."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "This code is wrong, expired or already used. Wait for the next one."
    default_code = "invalid_otp"


class SecondFactorEnabled(Conflict):
    default_detail = "This account has a second factor already. Remove it with POST /api/v1/auth/totp/remove first."
    default_code = "second_factor_enabled"


class SetupBegunAlready(Conflict):
    default_detail = "Setting up the second factor was begun already, and its secret shown then. Nothing has changed."
    default_code = "setup_begun_already"


class NoSecondFactor(Conflict):
    default_detail = "This account has no second factor. Begin with POST /api/v1/auth/totp."
    default_code = "no_second_factor"


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app needs, as text to type and as a URI to show as a QR code."""

    secret: str
    otpauth_uri: str


def begin(request: Request, current_password: str, seen: str | None = None) -> Enrolment:
    """Return a new secret, which counts for nothing until `confirm`. Raises `InsufficientPermissions` for an address
    that is not verified, what `confirm_password` raises, `SecondFactorEnabled`, and `SetupBegunAlready` to all but one
    of a race and to who saw (`setup_state`) another state.
    """
    _refuse_unverified(request)
    user = confirm_password(request, current_password)
    if user.has_second_factor:
        raise SecondFactorEnabled()
    secret = pyotp.random_base32()
    unchanged = User.objects.filter(id=user.id, totp_confirmed_at=None, totp_secret=user.totp_secret)
    if seen not in (None, setup_state(user)) or not unchanged.update(totp_secret=encrypt(secret)):
        raise SetupBegunAlready()
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name="SpatialFlow"))


def setup_state(user: User) -> str:
    """Return what changes whenever setting up a factor is begun, and tells nothing of the secret."""
    return salted_hmac("accounts.second_factor.setup", user.totp_secret, algorithm="sha256").hexdigest()


def confirm(request: Request, otp: str) -> list[str]:
    """Enable the factor whose app shows `otp` and return the recovery codes, which nothing keeps in plain text.

    Raises `InsufficientPermissions`, `WrongCode`, `NoSecondFactor`, `SecondFactorEnabled`.
    """
    _refuse_unverified(request)
    user = charge_attempt(request)
    if user.has_second_factor:
        raise SecondFactorEnabled()
    if not user.totp_secret:
        raise NoSecondFactor()
    step = _matching_step(user, _bare(otp))
    if step is None:
        raise WrongCode()
    with transaction.atomic():
        pending = User.objects.filter(id=user.id, totp_confirmed_at=None, totp_secret=user.totp_secret)
        if not pending.update(totp_confirmed_at=timezone.now(), totp_last_step=step):
            raise WrongCode()  # begun anew or confirmed at this very moment
        codes = _replace_recovery_codes(user)
        _tell(request, user, Action.SECOND_FACTOR_ENABLED, "Second factor enabled.")
    return codes


def disable(request: Request, current_password: str, otp: str) -> None:
    """Take the factor away. Raises what `confirm_password` raises, `NoSecondFactor`, `WrongCode`."""
    user = _confirm_both(request, current_password, otp)
    with transaction.atomic():
        drop(user)
        _tell(request, user, Action.SECOND_FACTOR_DISABLED, "Second factor removed.")


def drop(user: User) -> None:
    """Take a person's factor and recovery codes away, within the caller's transaction, who has made sure that it may
    be.
    """
    User.objects.filter(id=user.id).update(totp_secret="", totp_confirmed_at=None)
    RecoveryCode.objects.filter(user=user).delete()


def _refuse_unverified(request: Request) -> None:
    """Whoever signed up with an address that is not theirs must not lock its owner out by a factor of their own."""
    if not request.auth.email_is_verified:
        detail = "Verify your email address before setting up a second factor."
        raise InsufficientPermissions(detail, "email_not_verified")


def replace_recovery_codes(request: Request, current_password: str, otp: str) -> list[str]:
    """Return new recovery codes; the ones before are worthless. Raises as `disable` does."""
    user = _confirm_both(request, current_password, otp)
    with transaction.atomic():
        codes = _replace_recovery_codes(user)
        record_for(request, Action.RECOVERY_CODES_REPLACED, "Recovery codes replaced.")
        enqueue("second_factor_changed", user_id=str(user.id), change=Action.RECOVERY_CODES_REPLACED)
    return codes


def prove(request: Request, current_password: str, otp: str = "") -> None:
    """Have the caller prove who they are by their password and, where they have one, their second factor.

    Raises what `confirm_password` raises, and `WrongCode`.
    """
    user = confirm_password(request, current_password)
    if user.has_second_factor and not spend(user, otp, Client.of(request)):
        raise WrongCode()


def spend(user: User, code: str, client: Client) -> bool:
    """Return whether `code` is a current one of this person, or a recovery code; either can be spent only once."""
    bare = _bare(code)
    if len(bare) != CODE_LENGTH:
        return _spend_recovery_code(user, bare, client)
    step = _matching_step(user, bare)
    unspent = User.objects.filter(id=user.id, totp_confirmed_at__isnull=False, totp_secret=user.totp_secret)
    return step is not None and unspent.filter(totp_last_step__lt=step).update(totp_last_step=step) == 1


def _spend_recovery_code(user: User, bare_code: str, client: Client) -> bool:
    with transaction.atomic():
        found, _ = RecoveryCode.objects.filter(user_id=user.id, digest=digest(bare_code)).delete()
        if not found:
            return False
        record(
            Action.RECOVERY_CODE_USED,
            client,
            "A recovery code was used.",
            workspace_id=user.home_workspace_id,
            actor=Person(user.id, user.email),
            resource=("user", user.id),
        )
        enqueue("second_factor_changed", user_id=str(user.id), change=Action.RECOVERY_CODE_USED)
    return True


def _matching_step(user: User, bare_code: str) -> int | None:
    """Return the 30 seconds that a code belongs to: these, the ones before or after, because clocks differ."""
    totp = pyotp.TOTP(decrypt(user.totp_secret))
    now = int(clock.timestamp()) // STEP_SECONDS
    steps = (now, now - 1, now + 1)
    typed = bare_code.encode()
    return next((step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), typed)), None)


def _confirm_both(request: Request, current_password: str, otp: str) -> User:
    user = confirm_password(request, current_password)
    if not user.has_second_factor:
        raise NoSecondFactor()
    if not spend(user, otp, Client.of(request)):
        raise WrongCode()
    return user


def _replace_recovery_codes(user: User) -> list[str]:
    User.objects.select_for_update(no_key=True).get(id=user.id)  # of two replacements at once one set remains
    RecoveryCode.objects.filter(user=user).delete()
    codes = ["-".join(_random(4) for _ in range(4)) for _ in range(RECOVERY_CODE_COUNT)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=digest(_bare(code))) for code in codes)
    return codes


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _bare(code: str) -> str:
    """Return a code of either kind as it is compared, however it was typed."""
    return "".join(code.lower().replace("-", " ").split())


def _tell(request: Request, user: User, change: Action, description: str) -> None:
    others = SignIn.objects.live().filter(user=user).exclude(id=request.auth.credential_id)
    sign_ins_ended.run(user.id)
    ended = others.revoke("second_factor_changed")
    record_for(request, change, description, changes={"sign_ins_ended": ended})
    enqueue("second_factor_changed", user_id=str(user.id), change=change)
