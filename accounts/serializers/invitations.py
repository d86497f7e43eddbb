"""What the invitation endpoints take and give."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.invitation_batches import MAX_BATCH, Batch, Outcome
from accounts.invitation_pages import MAX_PAGE_LENGTH, STATUSES, Page
from accounts.invitations import LIFETIME, MAX_LIFETIME_LEFT, Issued
from accounts.models import Invitation
from accounts.scopes import Role
from accounts.serializers.auth import TokenPairSerializer, token_pair_json
from accounts.serializers.fields import EmailAddressField
from accounts.tokens import TokenPair
from spatialflow.digits import WholeNumberField
from spatialflow.strict_fields import TextField

MAX_OFFSET = 2**31 - 1


class InviteSerializer(serializers.Serializer):
    email = EmailAddressField()
    role = serializers.ChoiceField(list(Role), default=Role.FIELD_WORKER, allow_null=True)

    def validate_role(self, role: str | None) -> str:
        return role or Role.FIELD_WORKER


class ExtendSerializer(serializers.Serializer):
    expires_at = serializers.DateTimeField()

    def validate_expires_at(self, expires_at: datetime) -> datetime:
        now = timezone.now()
        if expires_at <= now:
            raise serializers.ValidationError("Choose a moment in the future.")
        if expires_at > now + MAX_LIFETIME_LEFT:
            raise serializers.ValidationError(f"Choose a moment within {MAX_LIFETIME_LEFT.days} days.")
        return expires_at


class BatchSerializer(serializers.Serializer):
    """With `invitation_ids` those, otherwise the next page of pending invitations after `before`."""

    invitation_ids = serializers.ListField(
        child=TextField(max_length=100, allow_blank=True),
        required=False,
        allow_null=True,
        max_length=MAX_BATCH,
    )
    before = TextField(max_length=100, required=False, allow_null=True, allow_blank=True)


class PageQuerySerializer(serializers.Serializer):
    limit = WholeNumberField(min_value=1, default=MAX_PAGE_LENGTH)
    offset = WholeNumberField(min_value=0, max_value=MAX_OFFSET, default=0)
    before = serializers.CharField(max_length=100, required=False, allow_blank=True)

    def validate_limit(self, limit: int) -> int:
        return min(limit, MAX_PAGE_LENGTH)


class StatusQuerySerializer(serializers.Serializer):
    status = serializers.ChoiceField(STATUSES, default="pending")
    before = serializers.CharField(max_length=100, required=False, allow_blank=True)


class InvitationSerializer(serializers.ModelSerializer):
    """Never a token: that is in the answer that makes one, and in the mail."""

    invited_by_email = serializers.CharField(source="invited_by.email", allow_null=True, default=None)
    status = serializers.ChoiceField(["pending", "accepted", "revoked", "expired"])

    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "status", "created_at", "expires_at", "invited_by_email"]


class IssuedSerializer(InvitationSerializer):
    """Describes what `issued_json` renders."""

    invite_link = serializers.CharField()
    invite_ttl_hours = serializers.IntegerField()

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "invite_link", "invite_ttl_hours"]


class InvitationListSerializer(serializers.Serializer):
    invitations = InvitationSerializer(many=True)
    total = serializers.IntegerField()
    next_cursor = serializers.CharField(allow_null=True)


class OutcomeSerializer(serializers.Serializer):
    invitation_id = serializers.CharField()
    status = serializers.ChoiceField(["resent", "skipped"])
    invitation = IssuedSerializer(allow_null=True)
    detail = serializers.CharField(allow_null=True)
    error_code = serializers.CharField(allow_null=True)


class BatchOutcomeSerializer(serializers.Serializer):
    results = OutcomeSerializer(many=True)
    resent_count = serializers.IntegerField()
    skipped_count = serializers.IntegerField()
    next_cursor = serializers.CharField(allow_null=True)
    remaining_count = serializers.IntegerField()


class AcceptPasswordlessSerializer(serializers.Serializer):
    token = TextField(max_length=500)
    invite_id = TextField(max_length=100)


class AcceptSerializer(AcceptPasswordlessSerializer):
    password = TextField(max_length=100_000, trim_whitespace=False, required=False, allow_null=True)


class EnteredWorkspaceSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    role = serializers.ChoiceField(list(Role))


class AcceptedSerializer(TokenPairSerializer):
    """Describes what `accepted_json` renders."""

    workspace = EnteredWorkspaceSerializer()


def issued_json(issued: Issued) -> dict[str, Any]:
    hours = int(LIFETIME.total_seconds() // 3600)
    shown = InvitationSerializer(issued.invitation).data
    return {**shown, "invite_link": issued.link, "invite_ttl_hours": hours}


def page_json(page: Page) -> dict[str, Any]:
    shown = InvitationSerializer(page.invitations, many=True).data
    return {"invitations": shown, "total": page.total, "next_cursor": page.next_cursor}


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "invitation_id": outcome.invitation_id,
        "status": "resent" if outcome.issued else "skipped",
        "invitation": issued_json(outcome.issued) if outcome.issued else None,
        "detail": str(outcome.refusal.detail) if outcome.refusal else None,
        "error_code": outcome.refusal.get_codes() if outcome.refusal else None,
    }


def batch_json(batch: Batch) -> dict[str, Any]:
    resent = sum(outcome.issued is not None for outcome in batch.outcomes)
    return {
        "results": [_outcome_json(outcome) for outcome in batch.outcomes],
        "resent_count": resent,
        "skipped_count": len(batch.outcomes) - resent,
        "next_cursor": batch.next_cursor,
        "remaining_count": batch.remaining_count,
    }


def accepted_json(pair: TokenPair) -> dict[str, Any]:
    """Return the body of a login, and which workspace it is in."""
    workspace = pair.membership.workspace
    entered = {
        "id": str(workspace.id),
        "name": workspace.name,
        "slug": workspace.slug,
        "role": pair.membership.role,
    }
    return {**token_pair_json(pair), "workspace": entered}
