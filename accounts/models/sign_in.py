"""Sign-ins, and the usage of credentials."""

import uuid

from django.db import models
from django.utils.timezone import now

from accounts.models.user import User
from accounts.models.workspace import Workspace
from spatialflow import clock


class SignInQuerySet(models.QuerySet["SignIn"]):
    def live(self) -> "SignInQuerySet":
        return self.filter(revoked_at=None, expires_at__gt=clock.now())

    def revoke(self, reason: str) -> int:
        """End these sign-ins: their access and refresh tokens fail on the next request. Returns how many were alive."""
        return self.filter(revoked_at=None).update(revoked_at=clock.now(), revoked_reason=reason)


class SignIn(models.Model):
    """One sign-in: the family of refresh tokens that one proof of identity began.

    The live refresh token is the one whose `jti` is `current_jti`; there is never another. One row a sign-in, not one
    a rotation.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sign_ins")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="sign_ins")
    method = models.CharField(max_length=20)
    current_jti = models.UUIDField(default=uuid.uuid4)
    previous_jti = models.UUIDField(null=True)
    switched_at = models.DateTimeField(null=True)  # to another workspace; tokens minted before are dead
    rotated_at = models.DateTimeField(default=now)
    ip = models.GenericIPAddressField()
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    last_used_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=40, blank=True)

    objects = SignInQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="sign_ins_by_expiry")]

    def __str__(self) -> str:
        return f"{self.method} sign-in {self.id}"


class CredentialUsage(models.Model):
    """One hour of one credential (an API key or a sign-in) in one workspace: the counter of the plan's limit, together
    with the hour's other workspaces of a sign-in that moved, and the record of use at once.

    Written by one upsert a request (accounts/usage.py). No foreign keys: a count outlives what it counted.
    """

    pk = models.CompositePrimaryKey("credential_id", "started_at", "workspace_id")
    credential_id = models.UUIDField()
    started_at = models.DateTimeField()
    workspace_id = models.UUIDField()
    requests = models.IntegerField()
    refusals = models.IntegerField()
    last_used_at = models.DateTimeField()
    last_refused_at = models.DateTimeField(null=True)
    last_ip = models.GenericIPAddressField()
    last_user_agent = models.CharField(max_length=300)
    scopes_used = models.IntegerField(null=True, help_text="SCOPE_BITS; null means that nobody noted them yet.")

    class Meta:
        indexes = [
            models.Index(fields=["workspace_id", "started_at"], name="usage_of_a_workspace"),
            models.Index(fields=["started_at"], name="usage_by_age"),  # for pruning
        ]

    def __str__(self) -> str:
        return f"{self.credential_id} from {self.started_at}"
