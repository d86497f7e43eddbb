"""What the way in for locked-out owners takes."""

from rest_framework import serializers

from accounts.serializers.fields import EmailAddressField
from spatialflow.strict_fields import TextField


class AskForRecoverySerializer(serializers.Serializer):
    email = EmailAddressField()
    workspace_slug = TextField(max_length=255)


class RedeemRecoverySerializer(serializers.Serializer):
    token = TextField(max_length=1000, trim_whitespace=False)
    otp = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=100,
        help_text="The code of the second factor, or a recovery code; not looked at where the account has none.",
    )
