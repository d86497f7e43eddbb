"""What the endpoints of the second factor take and give."""

from rest_framework import serializers

from spatialflow.strict_fields import TextField


class CurrentPasswordSerializer(serializers.Serializer):
    current_password = TextField(max_length=100_000, trim_whitespace=False)


class OtpSerializer(serializers.Serializer):
    otp = TextField(max_length=100, help_text="The six digits that the authenticator app shows.")


class BothFactorsSerializer(CurrentPasswordSerializer):
    otp = TextField(max_length=100, help_text="The six digits, or a recovery code.")


class EnrolmentSerializer(serializers.Serializer):
    secret = serializers.CharField()
    otpauth_uri = serializers.CharField()


class RecoveryCodesSerializer(serializers.Serializer):
    """The only answer that holds them. Each works once in place of a code."""

    message = serializers.CharField()
    recovery_codes = serializers.ListField(child=serializers.CharField())
