"""What the endpoints of a person's own sessions give."""

from rest_framework import serializers

from accounts.devices import in_words
from accounts.models import SignIn


class SessionSerializer(serializers.Serializer):
    """One sign-in as `list_own` annotates it. Never a token, nor the id of one."""

    id = serializers.CharField()
    device = serializers.SerializerMethodField()
    user_agent = serializers.CharField()
    ip_address = serializers.CharField(source="ip")
    method = serializers.CharField()
    workspace_id = serializers.CharField()
    workspace_slug = serializers.CharField(source="workspace.slug")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(source="used_at")
    expires_at = serializers.DateTimeField()
    is_current = serializers.SerializerMethodField()

    def get_device(self, sign_in: SignIn) -> str:
        return in_words(sign_in.user_agent)

    def get_is_current(self, sign_in: SignIn) -> bool:
        return bool(sign_in.id == self.context["principal"].credential_id)


class SessionListSerializer(serializers.Serializer):
    sessions = SessionSerializer(many=True)
    total = serializers.IntegerField()
    truncated = serializers.BooleanField()


class SessionsRevokedSerializer(serializers.Serializer):
    message = serializers.CharField()
    sessions_revoked = serializers.IntegerField()
