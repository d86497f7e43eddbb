"""One-time rows of sign-ins by a provider: what was begun, what may still be traded, what was spent.

Secrets are kept as digests; what must be readable again is encrypted. All of these rows die young.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.utils import timezone

from accounts.models import Invitation, User, Workspace
from spatialflow import clock
from sso.models.saml import IdentityProvider

LOGIN_CODE_LIFETIME = timedelta(seconds=60)
SECOND_FACTOR_PATIENCE = timedelta(minutes=5)  # in which a login code is followed by another for the next try
STATE_LIFETIME = timedelta(minutes=10)
UNASKED_LIFETIME = timedelta(minutes=5)  # in which a person says whether they want to be who they were signed in as
NONCE_LIFETIME = timedelta(minutes=10)
TEST_LIFETIME = timedelta(minutes=10)
RECOVERY_LIFETIME = timedelta(hours=1)


def digest(raw: str) -> bytes:
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest()


class OneTimeManager(models.Manager["OneTimeRow"]):
    """Rows known by the digest of a random secret, of which each is spent by the one DELETE that finds it."""

    def issue(self, **fields: Any) -> str:
        """Return a new secret of 256 bits, whose row has these fields, and sweep out some expired rows."""
        raw = secrets.token_urlsafe(32)
        sweep(self.model)
        self.create(**{"digest": digest(raw), "expires_at": clock.now() + self.model.lifetime, **fields})
        return raw

    def is_open(self, raw: str) -> bool:
        """Return whether there is an unexpired row of a secret; `consume` is what decides."""
        return self.filter(digest=digest(raw), expires_at__gt=clock.now()).exists()

    def find(self, raw: str) -> Any:
        """Return the unexpired row of a secret, or None, and leave it there; `consume` is what decides."""
        return self.filter(digest=digest(raw), expires_at__gt=clock.now()).first()

    def consume(self, raw: str) -> Any:
        """Return the unexpired row of a secret, or None. The row is gone from the database on every path.

        Call it outside of any transaction whose undoing for a refusal would bring the row back.
        """
        return self.consume_digest(digest(raw))

    def consume_digest(self, wanted: bytes) -> Any:
        table = connection.ops.quote_name(self.model._meta.db_table)
        for row in self.raw(f"DELETE FROM {table} WHERE digest = %s RETURNING *", [wanted]):  # noqa: S608 - our table
            return row if row.expires_at > clock.now() else None
        return None


class OneTimeRow(models.Model):
    """One secret that works once, until it expires."""

    lifetime: timedelta
    digest = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = OneTimeManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


def sweep(model: type[models.Model], most: int = 100) -> int:
    """Delete some rows that have expired and return how many; those that somebody else is deleting are left to them."""
    expired = model._default_manager.filter(expires_at__lt=clock.now()).order_by("expires_at")
    doomed = expired.select_for_update(skip_locked=True).values("pk")[:most]
    return int(model._default_manager.filter(pk__in=doomed).delete()[0])


class OAuthState(OneTimeRow):
    """One round trip to a provider that a browser has begun: what must come back, and what then happens."""

    class Intent(models.TextChoices):
        CLIENT = "client"  # ends in a login code, for whoever holds the verifier of `code_challenge`
        DASHBOARD = "dashboard"  # ends in the refresh cookie, in the browser that began

    lifetime = STATE_LIFETIME
    provider = models.CharField(max_length=32)
    intent = models.CharField(max_length=20, choices=Intent.choices)
    nonce_digest = models.BinaryField(max_length=32)  # of what the id token must carry
    pkce_verifier = models.TextField()  # encrypted
    browser_digest = models.BinaryField(max_length=32)  # of the cookie that the browser was given
    next = models.CharField(max_length=500, blank=True)
    code_challenge = models.CharField(max_length=43, blank=True)  # the client's own, S256, for its login code
    client_state = models.CharField(max_length=500, blank=True)
    invitation = models.ForeignKey(Invitation, models.CASCADE, null=True, related_name="+")


class LoginCode(OneTimeRow):
    """One finished sign-in by a provider that is to be traded for a token pair, at auth/sso/exchange, within a minute.

    Whoever trades it shows the verifier of `code_challenge`.
    """

    lifetime = LOGIN_CODE_LIFETIME
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    provider = models.CharField(max_length=32)
    code_challenge = models.CharField(max_length=43)
    client_state = models.CharField(max_length=500, blank=True)
    account_is_new = models.BooleanField(default=False)
    begun_at = models.DateTimeField(default=timezone.now)  # of the first of the codes that a second factor was asked by
    # Of a sign-in by a workspace's own provider: the mail domain by which it came, which has to stay proven; for its
    # single logout; and the moment when the provider ends it.
    domain = models.CharField(max_length=253, blank=True)
    name_id = models.CharField(max_length=254, blank=True)
    name_id_format = models.CharField(max_length=200, blank=True)
    session_index = models.CharField(max_length=500, blank=True)
    session_ends_at = models.DateTimeField(null=True)
    logged_in_at = models.DateTimeField(null=True)  # at the provider


class SamlRequest(OneTimeRow):
    """One AuthnRequest that a browser was sent away with, known by the digest of its ID, which the answer must name."""

    class Intent(models.TextChoices):
        CLIENT = "client"  # ends in a login code, for whoever holds the verifier of `code_challenge`
        TEST = "test"  # signs nobody in; an owner looks at the checks

    lifetime = STATE_LIFETIME
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    # None: deleted meanwhile. The browser that comes back is still to be led to where it began.
    provider = models.ForeignKey(IdentityProvider, models.SET_NULL, null=True, related_name="+")
    revision = models.PositiveIntegerField()  # of the provider, when it was asked
    intent = models.CharField(max_length=20, choices=Intent.choices)
    browser_digest = models.BinaryField(max_length=32)  # of the cookie that the browser was given
    next = models.CharField(max_length=500, blank=True)
    code_challenge = models.CharField(max_length=43, blank=True)  # the client's own, S256, for its login code
    client_state = models.CharField(max_length=500, blank=True)
    force_login = models.BooleanField(default=False)  # although the person may have a session at the provider

    @property
    def login_after(self) -> datetime | None:
        """The moment before which no login counts, where the request has forced one."""
        return self.expires_at - self.lifetime if self.force_login else None


class SamlLogout(OneTimeRow):
    """One LogoutRequest that was sent to a provider, known by the digest of its ID, which the answer must name.

    Not bound to a browser: whoever asks is often an app, whose own browser then goes to the provider. The answer ends
    nothing any more; it only leads to a place of ours.
    """

    lifetime = STATE_LIFETIME
    provider = models.ForeignKey(IdentityProvider, models.CASCADE, related_name="+")
    next = models.CharField(max_length=500)


class SamlTest(OneTimeRow):
    """One test of a connection that an owner has asked for: the secret lets their browser begin it."""

    lifetime = TEST_LIFETIME
    provider = models.ForeignKey(IdentityProvider, models.CASCADE, related_name="+")
    next = models.CharField(max_length=500, blank=True)


class SsoRecovery(OneTimeRow):
    """One link mailed to an owner who is locked out by their own identity provider: signs in to repair it, once."""

    lifetime = RECOVERY_LIFETIME
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")


class ProviderNonce(OneTimeRow):
    """One nonce that an app was given to have its id token made for; the digest is all that Apple needs to return."""

    lifetime = NONCE_LIFETIME


class SpentTokenManager(models.Manager["SpentToken"]):
    def is_spent(self, provider: str, signed_part: str) -> bool:
        """Return whether a provider's token was presented before; `spend` is what decides."""
        return self.filter(provider=provider, digest=digest(signed_part)).exists()

    def spend(self, provider: str, signed_part: str, lifetime: timedelta) -> bool:
        """Return whether this is the first time that a provider's token is presented; remember it for `lifetime`.

        The INSERT on the unique key decides. The part that is signed names a token: the signature behind it has
        several spellings.
        """
        sweep(self.model)
        statement = """
            INSERT INTO sso_spenttoken (provider, digest, expires_at) VALUES (%s, %s, %s)
            ON CONFLICT (provider, digest) DO NOTHING
        """
        with connection.cursor() as cursor:
            cursor.execute(statement, [provider, digest(signed_part), clock.now() + lifetime])
            return cursor.rowcount == 1


class SpentToken(models.Model):
    """One token of a provider (id token or notification) that was acted on: it works no second time."""

    provider = models.CharField(max_length=32)
    digest = models.BinaryField(max_length=32)
    expires_at = models.DateTimeField(db_index=True)

    objects = SpentTokenManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "digest"], name="one_use_a_token")]

    def __str__(self) -> str:
        return f"{self.provider} token {self.pk}"


class AppleRefreshToken(models.Model):
    """What it takes to tell Apple that a person has left: their refresh token, encrypted, for the client it is of."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    client_id = models.CharField(max_length=255)
    token = models.TextField()  # encrypted

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "client_id"], name="one_apple_token_a_client")]

    def __str__(self) -> str:
        return f"Apple's token of {self.user_id}"
