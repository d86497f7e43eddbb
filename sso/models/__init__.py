"""What signing in by a provider keeps. The bound identities themselves are social-auth's `UserSocialAuth`: (provider,
uid) is unique, and the uid is the provider's subject.
"""

from sso.models.one_time import (
    LOGIN_CODE_LIFETIME,
    NONCE_LIFETIME,
    SECOND_FACTOR_PATIENCE,
    STATE_LIFETIME,
    UNASKED_LIFETIME,
    AppleRefreshToken,
    LoginCode,
    OAuthState,
    OneTimeRow,
    ProviderNonce,
    SamlLogout,
    SamlRequest,
    SamlTest,
    SpentToken,
    SsoRecovery,
    digest,
    sweep,
)
from sso.models.saml import IdentityProvider, SamlAttempt, SamlKeyPair, SamlSession

__all__ = [
    "LOGIN_CODE_LIFETIME",
    "NONCE_LIFETIME",
    "SECOND_FACTOR_PATIENCE",
    "STATE_LIFETIME",
    "UNASKED_LIFETIME",
    "AppleRefreshToken",
    "IdentityProvider",
    "LoginCode",
    "OAuthState",
    "OneTimeRow",
    "ProviderNonce",
    "SamlAttempt",
    "SamlKeyPair",
    "SamlLogout",
    "SamlRequest",
    "SamlSession",
    "SamlTest",
    "SpentToken",
    "SsoRecovery",
    "digest",
    "sweep",
]
