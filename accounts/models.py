"""Users, workspaces, memberships, sign-ins, and the usage of credentials."""

import secrets
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone
from django.utils.text import slugify

from accounts.emails import MAX_LENGTH, canonical_email
from accounts.scopes import Role

ROLE_CHOICES = [(role.value, role.value) for role in Role]
PLAN_CHOICES = [(plan, plan) for plan in settings.PLAN_LIMITS]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Return a saved user. Without a password the account has none that could ever match."""
        user = self.model(email=canonical_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, email_verified_at=timezone.now(), **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=canonical_email(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """One person. `email` is stored in its canonical form (accounts/emails.py), so the unique index sees every
    spelling.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.CharField(max_length=MAX_LENGTH, unique=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    name = models.CharField(max_length=255, blank=True)
    company = models.CharField(max_length=255, blank=True)
    language_preference = models.CharField(max_length=10, default="en")
    selected_plan = models.CharField(
        max_length=20, choices=PLAN_CHOICES, default="free"
    )  # a wish, not the workspace's plan
    last_workspace = models.ForeignKey("Workspace", models.SET_NULL, null=True, blank=True, related_name="+")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    last_login = None  # the sign-ins tell

    USERNAME_FIELD = "email"
    objects = UserManager()

    def __str__(self) -> str:
        return self.email


class WorkspaceManager(models.Manager["Workspace"]):
    def free_slug(self, name: str) -> str:
        """Return an unused slug for `name`; a random ending where the plain one is taken or empty."""
        base = slugify(name)[:40] or "workspace"
        slug = base
        while self.filter(slug=slug).exists():
            slug = f"{base}-{secrets.token_hex(3)}"
        return slug


class Workspace(models.Model):
    """One tenant. Everything protected belongs to exactly one workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)
    slug = models.SlugField(max_length=255, unique=True)
    plan = models.CharField(max_length=20, choices=PLAN_CHOICES, default="free")
    access_token_lifetime = models.DurationField(
        null=True, blank=True, help_text="Null means the deployment's default."
    )
    suspended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = WorkspaceManager()

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """One user's place in one workspace. A user has at most one role in each."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "workspace"], name="one_membership_a_user_and_workspace")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.workspace_id} as {self.role}"


class SignInQuerySet(models.QuerySet["SignIn"]):
    def live(self) -> "SignInQuerySet":
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def revoke(self, reason: str) -> int:
        """End these sign-ins: their access and refresh tokens fail on the next request. Returns how many were alive."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_reason=reason)


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
    rotated_at = models.DateTimeField(default=timezone.now)
    ip = models.GenericIPAddressField()
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=40, blank=True)

    objects = SignInQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="sign_ins_by_expiry")]

    def __str__(self) -> str:
        return f"{self.method} sign-in {self.id}"


class CredentialUsage(models.Model):
    """One hour of one credential (an API key or a sign-in): the counter of the plan's limit and the record of use at
    once.

    Written by one upsert a request (accounts/usage.py). No foreign keys: a count outlives what it counted.
    """

    pk = models.CompositePrimaryKey("credential_id", "started_at")
    credential_id = models.UUIDField()
    started_at = models.DateTimeField()
    workspace_id = models.UUIDField()
    requests = models.IntegerField()
    refusals = models.IntegerField()
    last_used_at = models.DateTimeField()
    last_refused_at = models.DateTimeField(null=True)
    last_ip = models.GenericIPAddressField()
    last_user_agent = models.CharField(max_length=300)

    class Meta:
        indexes = [models.Index(fields=["workspace_id", "started_at"], name="usage_of_a_workspace")]

    def __str__(self) -> str:
        return f"{self.credential_id} from {self.started_at}"
