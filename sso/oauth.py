"""The code flow of Google and Apple: what goes to the provider, and what of its answer is believed.

social-core speaks the protocol. Its backends are subclassed where no setting reaches: state, nonce and PKCE are always
on and come from our row, requests go out bounded (outbound.py), the id token is verified by our own rules (idtoken.py),
and no pipeline runs behind them: whose account it is, sso/login.py says. The session and the settings that social-core
would ask a framework for do not exist, and of the provider's callback it sees the code alone.
"""

import base64
import hashlib
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from social_core.backends.apple import AppleIdAuth
from social_core.backends.google_openidconnect import GoogleOpenIdConnect
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import AuthConfigurationError, AuthCredentialError, SocialAuthBaseException
from social_core.strategy import BaseStrategy

from spatialflow.errors import ApiError
from sso.apple import client_secret
from sso.idtoken import IdToken, refusal, verify
from sso.outbound import REFUSALS_OF_THE_SERVICE, Answer, ProviderUnavailable, ServiceRefused, fetch
from sso.providers import APPLE, GOOGLE, Provider

logger = logging.getLogger(__name__)


class CodeRefused(ApiError):
    """The provider did not take its own code back: spent, expired, or not made for this round trip."""

    default_detail = "The sign-in provider refused this authorization code. Begin the sign-in again."
    default_code = "authorization_code_refused"


@dataclass(frozen=True)
class Secrets:
    """What binds the legs of one round trip: `nonce` is only needed on the way out, `code` only on the way back."""

    state: str
    verifier: str
    nonce: str = ""
    code: str = ""


@dataclass(frozen=True)
class Grant:
    """What a provider gave for a code: its verified id token, and Apple's refresh token."""

    id_token: IdToken
    refresh_token: str


def authorization_url(provider: Provider, secrets: Secrets) -> str:
    """Return where to send the browser: with state, nonce and a PKCE challenge (S256)."""
    url: str = BACKENDS[provider.name](provider, secrets).auth_url()
    return url


def redeem(provider: Provider, secrets: Secrets) -> Grant:
    """Trade the provider's code for who signed in. The caller compares the nonce.

    One request, of at most 5 seconds, and a second one where the provider's keys are not at hand. Raises
    `CodeRefused`, `ServiceRefused`, `ProviderUnavailable`, `ProvidersBusy` and what `verify` raises.
    """
    backend: Any = BACKENDS[provider.name](provider, secrets)
    try:
        id_token, answer = backend.auth_complete()
    except AuthCredentialError:
        raise CodeRefused() from None
    except AuthConfigurationError as error:
        host = urlsplit(provider.token_url).hostname
        logger.error("%s refuses this service: %s", host, getattr(error, "provider_code", ""))
        raise ServiceRefused() from None
    except SocialAuthBaseException as error:
        logger.warning("%s answered without sense: %s", urlsplit(provider.token_url).hostname, type(error).__name__)
        raise ProviderUnavailable() from None
    refresh_token = answer.get("refresh_token")
    return Grant(id_token, refresh_token if isinstance(refresh_token, str) else "")


def callback_url(provider: Provider) -> str:
    """Return the one redirect URI of a provider: different for each, and never taken from a request."""
    return f"{settings.PUBLIC_URL}/api/v1/auth/oauth/{provider.name}/callback"


class Strategy(BaseStrategy[Any]):
    """What social-core asks a framework for: nothing is set, and the request holds a code."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.callback = {"code": code}

    def get_setting(self, name: str) -> Any:
        raise KeyError(name)

    def get_request_data(self, merge: bool = True) -> dict[str, Any]:
        return self.callback

    def build_absolute_uri(self, path: str | None = None) -> str:
        return path or ""


class CodeFlow(OpenIdConnectAuth[Any]):
    """social-core's OpenID Connect, held to our own row, rules and requests."""

    DEFAULT_USE_PKCE = True  # by S256, which is its default method
    USE_NONCE = False  # ours is added below: social-core would keep its own in a session
    TOKEN_ENDPOINT_AUTH_METHOD = "client_secret_post"  # noqa: S105

    def __init__(self, provider: Provider, secrets: Secrets) -> None:
        super().__init__(Strategy(secrets.code), callback_url(provider))
        self.provider, self.secrets = provider, secrets

    def authorization_url(self) -> str:
        return self.provider.authorization_url

    def access_token_url(self) -> str:
        return self.provider.token_url

    def get_or_create_state(self) -> str:
        return self.secrets.state

    def validate_state(self) -> str:
        return self.secrets.state  # its row was found and spent by the one who calls

    def create_code_verifier(self, state: str | None = None) -> str:
        return self.secrets.verifier

    def get_code_verifier(self, state: str | None = None) -> str:
        return self.secrets.verifier

    def auth_params(self, state: str | None = None) -> dict[str, str]:
        return {**super().auth_params(state), "nonce": self.secrets.nonce}

    def request(self, url: str, *, method: str = "GET", data: Any = None, stage: Any = "user_info", **_: Any) -> Any:
        """Return the answer of a provider that agrees. Raises social-core's name for a refusal, `ServiceRefused`,
        `ProviderUnavailable`, or `ProvidersBusy`.
        """
        answer = fetch(method, url, data)
        if answer.status != 200:
            logger.warning("%s answered %s %s", urlsplit(url).hostname, answer.status, answer.error_word())
            raise self._refusal(answer, stage) or ProviderUnavailable()
        return answer

    def _refusal(self, answer: Answer, stage: Any) -> SocialAuthBaseException | None:
        said = answer.json() if 400 <= answer.status < 500 else None
        if said and answer.error_word() in REFUSALS_OF_THE_SERVICE:
            raise ServiceRefused()
        refusal: SocialAuthBaseException | None = self.get_provider_error(said, stage=stage, status_code=answer.status)
        return refusal

    def validate_and_return_id_token(self, id_token: str, access_token: str) -> IdToken:
        verified = verify(self.provider, id_token)
        if verified.client_id != self.provider.web_client_id:
            raise refusal(self.provider, "it was made for an app")
        if not _fits(verified.claims.get("at_hash"), access_token):
            raise refusal(self.provider, "the access token beside it is another's")
        return verified

    def do_auth(self, access_token: str, *args: Any, **kwargs: Any) -> Any:
        """End here: the access token is of no use, for the id token says all there is to know."""
        return self.id_token, kwargs["response"]


class Google(CodeFlow, GoogleOpenIdConnect[Any]):
    def get_key_and_secret(self) -> tuple[str, str]:
        return self.provider.web_client_id, settings.GOOGLE_CLIENT_SECRET


class Apple(CodeFlow, AppleIdAuth[Any]):
    """Asked for name and address, Apple posts its answer as a form (`response_mode`), from its own site."""

    name = "apple-id"
    DEFAULT_SCOPE = ["name", "email"]

    def get_key_and_secret(self) -> tuple[str, str]:
        return self.provider.web_client_id, client_secret(self.provider.web_client_id)


BACKENDS: dict[str, type[CodeFlow]] = {GOOGLE: Google, APPLE: Apple}


def _fits(at_hash: Any, access_token: str) -> bool:
    """Return whether an id token that names an access token is beside that one (OpenID Connect Core 3.1.3.6, RS256)."""
    hashed = hashlib.sha256(access_token.encode("utf-8", "surrogatepass")).digest()
    return at_hash is None or at_hash == base64.urlsafe_b64encode(hashed[:16]).rstrip(b"=").decode()
