"""People, and the one-time secrets that are mailed to them or kept for a lost second factor."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils.timezone import now

from accounts.emails import MAX_LENGTH, canonical_email

PLAN_CHOICES = [(plan, plan) for plan in settings.PLAN_LIMITS]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Return a saved user. Without a password the account has none that could ever match."""
        user = self.model(email=canonical_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, email_verified_at=now(), **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=canonical_email(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """One person. `email` is stored in its canonical form (accounts/emails.py), so the unique index sees every
    spelling.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.CharField(max_length=MAX_LENGTH, unique=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    undeliverable_email = models.CharField(max_length=MAX_LENGTH, blank=True)  # a relay said so; while it is `email`
    mail_switched_at = models.DateTimeField(null=True, blank=True)  # when the relay stopped or began to forward
    name = models.CharField(max_length=255, blank=True)
    company = models.CharField(max_length=255, blank=True)
    language_preference = models.CharField(max_length=10, default="en")
    selected_plan = models.CharField(max_length=20, choices=PLAN_CHOICES, default="free")  # a wish, not the workspace's
    bio = models.CharField(max_length=1000, blank=True)
    avatar_url = models.CharField(max_length=500, blank=True)
    phone_number = models.CharField(max_length=20, blank=True)
    timezone = models.CharField(max_length=50, default="UTC")
    preferences = models.JSONField(default=dict)  # what differs from the defaults in serializers/profile.py
    signup_details = models.JSONField(default=dict)  # use case and campaign of the signup, for the operator
    totp_secret = models.TextField(blank=True)  # encrypted; pending until totp_confirmed_at
    totp_confirmed_at = models.DateTimeField(null=True, blank=True)
    totp_last_step = models.BigIntegerField(default=0)  # the last time step spent, so that a code works once
    last_workspace = models.ForeignKey("Workspace", models.SET_NULL, null=True, blank=True, related_name="+")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    last_login = None  # the sign-ins tell

    USERNAME_FIELD = "email"
    objects = UserManager()

    def __str__(self) -> str:
        return self.email

    @property
    def has_second_factor(self) -> bool:
        return self.totp_confirmed_at is not None

    @property
    def is_mail_stopped(self) -> bool:
        """Whether a relay has said that it forwards no mail to the address of the account."""
        return bool(self.undeliverable_email) and self.undeliverable_email == self.email

    @property
    def home_workspace_id(self) -> uuid.UUID | None:
        """Where the trail shows what happens to this person while signed in nowhere: the workspace chosen last, else
        the one joined first.
        """
        joined = self.memberships.order_by("created_at", "id").values_list("workspace_id", flat=True)
        return self.last_workspace_id or joined.first()


class MailedToken(models.Model):
    """One secret mailed to a person, known only by its digest; it works once, for one purpose, until it expires.

    A person has at most one for each purpose: asking again makes the former worthless.
    """

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105
        CHANGE_EMAIL = "change_email"

    user = models.ForeignKey(User, models.CASCADE, related_name="mailed_tokens")
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    digest = models.BinaryField(max_length=32, unique=True)
    email = models.CharField(max_length=MAX_LENGTH)  # the address it was sent to and speaks for
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "purpose"], name="one_mailed_token_a_purpose")]

    def __str__(self) -> str:
        return f"{self.purpose} of {self.user_id}"


class RecoveryCode(models.Model):
    """One code that stands in for a lost second factor, known only by its digest; spending it deletes the row."""

    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32, unique=True)

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"
