"""The mail domains that a workspace's identity provider may speak for."""

import secrets
import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils.timezone import now

from accounts.models.workspace import Workspace

PROOF_GRACE = timedelta(hours=72)  # how long a domain whose proof is gone from the DNS still counts as proven


def new_domain_token() -> str:
    return secrets.token_urlsafe(24)


class WorkspaceDomainQuerySet(models.QuerySet["WorkspaceDomain"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "WorkspaceDomainQuerySet":
        """The one door to a workspace's domains."""
        return self.filter(workspace_id=workspace_id)

    def proven(self) -> "WorkspaceDomainQuerySet":
        """Return the domains whose proof stands, or was lost a short while ago."""
        stands = models.Q(lost_at=None) | models.Q(lost_at__gt=now() - PROOF_GRACE)
        return self.filter(stands, verified_at__isnull=False)


class WorkspaceDomain(models.Model):
    """One mail domain that a workspace claims, and its proof by DNS. A proven domain belongs to one workspace.

    A proof that is lost for longer than PROOF_GRACE is taken back: `verified_at` is null again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="domains")
    domain = models.CharField(max_length=253)  # lower case, in ASCII (IDNA)
    is_primary = models.BooleanField(default=False)  # the one that the SDK's `covered_domain` names
    token = models.CharField(max_length=64, default=new_domain_token)  # what the TXT record must say
    verified_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True)  # since when the record is missing that was there before
    created_at = models.DateTimeField(default=now, editable=False)

    objects = WorkspaceDomainQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "domain"], name="one_claim_of_a_domain_a_workspace"),
            models.UniqueConstraint(
                fields=["domain"], condition=models.Q(verified_at__isnull=False), name="one_owner_a_proven_domain"
            ),
            models.UniqueConstraint(
                fields=["workspace"], condition=models.Q(is_primary=True), name="one_primary_domain_a_workspace"
            ),
        ]

    def __str__(self) -> str:
        return self.domain

    @property
    def is_proven(self) -> bool:
        return self.verified_at is not None and (self.lost_at is None or self.lost_at > now() - PROOF_GRACE)

    @property
    def counts_until(self) -> datetime | None:
        """When a proof that is lost ends or has ended to count; None while none is."""
        return self.lost_at + PROOF_GRACE if self.lost_at else None

    @property
    def status(self) -> str:
        if self.is_proven:
            return "lost" if self.lost_at else "proven"
        return "suspended" if self.lost_at else "pending"

    @property
    def dns_name(self) -> str:
        """The name of the TXT record that proves the domain."""
        return f"_spatialflow-challenge.{self.domain}"

    @property
    def dns_value(self) -> str:
        """What that record must say."""
        return f"spatialflow-domain-verification={self.token}"
