"""What apps send and get, and what people see of their linked accounts."""

from typing import Any

from rest_framework import serializers

from accounts.scopes import Role
from accounts.serializers.auth import TokenPairSerializer, otp_field, token_pair_json
from accounts.tokens import TokenPair
from spatialflow.strict_fields import TextField, TrueOrFalseField
from sso.identities import name_of
from sso.login import Entry
from sso.native import InvitationLink


def optional_text(max_length: int) -> TextField:
    return TextField(max_length=max_length, required=False, allow_null=True, allow_blank=True)


class GoogleExchangeSerializer(serializers.Serializer):
    """An invitation counts when both of its two fields are there."""

    id_token = TextField(max_length=20_000)
    invite_id = optional_text(100)
    invite_token = optional_text(500)
    otp = otp_field()

    @property
    def invitation_link(self) -> InvitationLink:
        body = self.validated_data
        return InvitationLink(body.get("invite_id") or "", body.get("invite_token") or "")


class FullNameSerializer(serializers.Serializer):
    given_name = optional_text(300)
    family_name = optional_text(300)


NONCE_MISSING = "Send the nonce of POST /api/v1/auth/apple/nonce that Apple was given."


class AppleExchangeSerializer(GoogleExchangeSerializer):
    id_token = None  # type: ignore[assignment]  # Apple calls it otherwise
    identity_token = TextField(max_length=20_000)
    authorization_code = TextField(max_length=2000)
    nonce = TextField(max_length=500, error_messages=dict.fromkeys(("required", "null", "blank"), NONCE_MISSING))
    full_name = FullNameSerializer(required=False, allow_null=True)
    confirm_new_account = TrueOrFalseField(required=False, allow_null=True)

    @property
    def name(self) -> str:
        full_name = self.validated_data.get("full_name") or {}
        return " ".join(full_name.get(part) or "" for part in ("given_name", "family_name"))


class SignedInSerializer(TokenPairSerializer):
    """Describes what `signed_in_json` renders; the last two are null without an invitation."""

    created = serializers.BooleanField()
    role = serializers.ChoiceField(list(Role))
    consumed_invite_id = serializers.UUIDField(allow_null=True)
    already_member = serializers.BooleanField(allow_null=True)


def signed_in_json(entry: Entry, pair: TokenPair) -> dict[str, Any]:
    return {
        **token_pair_json(pair),
        "created": entry.created,
        "role": pair.membership.role,
        "consumed_invite_id": entry.consumed_invite_id,
        "already_member": entry.already_member,
    }


class NonceSerializer(serializers.Serializer):
    nonce = serializers.CharField()


class NotificationSerializer(serializers.Serializer):
    payload = TextField(max_length=20_000)


class LinkedAccountSerializer(serializers.Serializer):
    """No picture and no page of the provider is kept, so the last two say nothing."""

    provider = serializers.CharField()
    display_name = serializers.SerializerMethodField()
    linked_at = serializers.DateTimeField(source="created")
    avatar_url = serializers.CharField(default=None, allow_null=True, read_only=True)
    profile_url = serializers.CharField(default=None, allow_null=True, read_only=True)

    def get_display_name(self, identity: Any) -> str:
        return name_of(identity.provider)


class LinkedAccountsSerializer(serializers.Serializer):
    linked_accounts = LinkedAccountSerializer(many=True)
    has_password = serializers.BooleanField()
