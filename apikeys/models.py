"""API keys at rest."""

import uuid
from datetime import UTC, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from accounts.models import CredentialUsage, User, Workspace
from accounts.scopes import DEFAULT_KEY_SCOPES
from apikeys import keys

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def default_scopes() -> list[str]:
    return list(DEFAULT_KEY_SCOPES)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "ApiKeyQuerySet":
        """The one door to a workspace's keys. A revoked key is gone for everyone but the audit trail."""
        return self.filter(workspace_id=workspace_id, revoked_at=None)

    def named(self, search: str) -> "ApiKeyQuerySet":
        """The keys whose name contains `search`, whatever its case, or which begin with it; all for an empty one."""
        return self.filter(Q(name__icontains=search) | Q(prefix__startswith=search)) if search else self

    def with_usage(self) -> "ApiKeyQuerySet":
        """Annotate how often each key was used and refused for its limit, and when, from where and by what client last
        in either way.
        """
        hours = CredentialUsage.objects.filter(credential_id=OuterRef("id"))
        unfolded = hours.filter(started_at__gte=OuterRef("folded_until")).values("credential_id")
        latest = hours.order_by("-started_at")
        return self.annotate(
            usage_count=F("folded_requests") + Coalesce(Subquery(unfolded.values(total=Sum("requests"))), 0),
            refusal_count=F("folded_refusals") + Coalesce(Subquery(unfolded.values(total=Sum("refusals"))), 0),
            last_refused_at=Greatest(  # of which Postgres passes over nulls
                F("folded_last_refused_at"), Subquery(unfolded.values(latest=Max("last_refused_at")))
            ),
            last_used_at=Subquery(latest.values("last_used_at")[:1]),
            last_used_ip=Subquery(latest.values("last_ip")[:1]),
            last_used_client=Subquery(latest.values("last_user_agent")[:1]),
        )


class ApiKeyManager(models.Manager.from_queryset(ApiKeyQuerySet)):  # type: ignore[misc]
    def issue(self, **fields: object) -> tuple["ApiKey", str]:
        """Return a saved key and its plain text, which nothing keeps."""
        raw = keys.generate()
        return self.create(prefix=keys.shown_prefix(raw), digest=keys.digest(raw), **fields), raw


class ApiKey(models.Model):
    """One machine credential of a workspace, made by one member, known only by its digest.

    A rotated key keeps working beside the one that replaces it until its `expires_at`, which can then only come sooner.
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
    rotated_at = models.DateTimeField(null=True)
    replaced_by = models.OneToOneField("self", models.SET_NULL, null=True, related_name="replaces")
    usage_count_at_rotation = models.BigIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True)
    # The hours of use that began before `folded_until`, added up (apikeys/pruning.py).
    folded_requests = models.BigIntegerField(default=0, db_default=0)
    folded_refusals = models.BigIntegerField(default=0, db_default=0)
    folded_last_refused_at = models.DateTimeField(null=True)
    folded_until = models.DateTimeField(default=NEVER, db_default=NEVER)

    objects = ApiKeyManager()

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-created_at"], condition=Q(revoked_at=None), name="keys_of_a_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    @property
    def state(self) -> str:
        """What the key is to a person who looks at the list. Whether it works also depends on its maker."""
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        if not self.is_active:
            return "disabled"
        return "rotated" if self.rotated_at else "active"
