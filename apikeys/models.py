"""API keys at rest."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User, Workspace
from accounts.scopes import DEFAULT_KEY_SCOPES
from apikeys import keys


def default_scopes() -> list[str]:
    return list(DEFAULT_KEY_SCOPES)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "ApiKeyQuerySet":
        """The one door to a workspace's keys. A revoked key is gone for everyone but the audit trail."""
        return self.filter(workspace_id=workspace_id, revoked_at=None)


class ApiKeyManager(models.Manager.from_queryset(ApiKeyQuerySet)):  # type: ignore[misc]
    def issue(self, **fields: object) -> tuple["ApiKey", str]:
        """Return a saved key and its plain text, which nothing keeps."""
        raw = keys.generate()
        with transaction.atomic():
            key = self.create(prefix=keys.shown_prefix(raw), digest=keys.digest(raw), **fields)
        return key, raw


class ApiKey(models.Model):
    """One machine credential of a workspace, made by one member, known only by its digest.

    It works while it is active, not revoked, not expired, and its maker is an active member; it can do what its
    scopes and the maker's role now both allow.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="api_keys")
    created_by = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True)
    prefix = models.CharField(max_length=20)
    digest = models.BinaryField(max_length=32, unique=True)
    scopes = ArrayField(models.CharField(max_length=50), default=default_scopes)
    is_read_only = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    hourly_limit = models.PositiveIntegerField(null=True, blank=True, help_text="Null means the plan's.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ApiKeyManager()

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-created_at"], condition=Q(revoked_at=None), name="keys_of_a_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"
