"""What signing out at a workspace's identity provider takes and gives."""

from rest_framework import serializers

from sso.serializers.web import Text


class LeaveSerializer(serializers.Serializer):
    """Where the browser is to come at the end: `next`, a page of ours, or `return`, an address of the app."""

    next = Text()

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the fields with `return`, which Python does not take as the name of one."""
        return {"return": Text(), **super().get_fields()}


class LogoutUrlSerializer(serializers.Serializer):
    logout_url = serializers.CharField(
        allow_null=True, help_text="Send the browser there; null where nothing is left to end."
    )


class LogoutMessageSerializer(serializers.Serializer):
    """Describes the query that an identity provider sends a browser with: a message, and its signature."""

    SAMLRequest = serializers.CharField(required=False)
    SAMLResponse = serializers.CharField(required=False)
    RelayState = serializers.CharField(required=False)
    SigAlg = serializers.CharField(required=False)
    Signature = serializers.CharField(required=False)
