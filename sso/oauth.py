"""The code flow of Google and Apple: what goes to the provider, and what of its answer is believed.

social-core speaks the protocol. Its backends are subclassed where no setting reaches: state, nonce and PKCE are always
on and come from our row, requests go out bounded (outbound.py), the id token is verified by our own rules (idtoken.py),
and nothing runs behind them: who the person is here, sso/login.py says. The session and the settings that social-core
would ask a framework for do not exist, and of the provider's callback it sees the code alone.
"""

import base64
import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from social_core.backends.apple import AppleIdAuth
from social_core.backends.google_openidconnect import GoogleOpenIdConnect
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import (
    AuthConfigurationError,
    AuthCredentialError,
    SocialAuthBaseException,
)
from social_core.strategy import BaseStrategy

from spatialflow.errors import ApiError
from sso.apple import client_secret
from sso.idtoken import verify
from sso.outbound import Answer, ProviderUnavailable, fetch
from sso.providers import APPLE, GOOGLE, Provider

logger = logging.getLogger(__name__)


class CodeRefused(ApiError):
    """The provider did not take its own code back: spent, expired, or not made for this round trip."""

    default_detail = "The sign-in provider refused this authorization code. Begin the sign-in again."
    default_code = "authorization_code_refused"


class ProviderMisconfigured(ProviderUnavailable):
    """The provider does not know us: for the operator, who finds its word in the log."""

    default_detail = "The sign-in provider refused this service. Its operator has to check the settings."
    default_code = "provider_refused_service"


@dataclass(frozen=True)
class RoundTrip:
    """The secrets of one visit to a provider. `state` is known once its row is stored."""

    nonce: str
    verifier: str
    state: str = ""

    @classmethod
    def new(cls) -> "RoundTrip":
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(48))


def callback_url(provider: Provider) -> str:
    """Return the one redirect URI of a provider: different for each, and never taken from a request."""
    return f"{settings.PUBLIC_URL}/api/v1/auth/oauth/{provider.name}/callback"


class Strategy(BaseStrategy[Any]):
    """What social-core asks of a framework: no settings, no session, and no pipeline behind the verified token."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.callback = {"code": code}

    def get_setting(self, name: str) -> Any:
        raise KeyError(name)

    def get_request_data(self, merge: bool = True) -> dict[str, Any]:
        return self.callback

    def build_absolute_uri(self, path: str | None = None) -> str:
        return path or ""

    def authenticate(self, backend: Any, *args: Any, **kwargs: Any) -> Any:
        return backend.id_token, kwargs["response"]
