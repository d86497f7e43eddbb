"""The cast of every test: Alice owns acme, Bob is a field worker there, Carol only reads, Mallory owns other and must
never see acme.
"""

from dataclasses import dataclass
from functools import cache
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from accounts.authentication import JWTAuthentication
from accounts.emails import canonical_email
from accounts.models import Membership, User, Workspace
from accounts.principal import Client
from accounts.tokens import AccessToken, TokenPair, issue
from apikeys.models import ApiKey

PASSWORD = "correct horse battery staple"
ADDRESSES = {
    "alice": "alice@acme.test",
    "bob": "bob@acme.test",
    "carol": "carol@acme.test",
    "mallory": "mallory@other.test",
}


@dataclass
class Actor:
    """A person signed in to a workspace: `client` carries a real access token."""

    user: User
    workspace: Workspace
    membership: Membership
    pair: TokenPair
    client: APIClient

    @property
    def sign_in_id(self) -> UUID:
        return AccessToken.read(self.pair.access_token).sid

    def request(self) -> Request:
        """Return an authenticated request, for calling what views call."""
        raw = APIRequestFactory().post("/", HTTP_AUTHORIZATION=f"Bearer {self.pair.access_token}")
        return Request(raw, authenticators=[JWTAuthentication()])

    def sign_in_again(self) -> TokenPair:
        return issue(self.membership, "password", Client("192.0.2.7", "another device"))

    def make_key(self, scopes: list[str] | None = None, **fields: object) -> tuple[ApiKey, str]:
        return ApiKey.objects.issue(
            workspace=self.workspace,
            created_by=self.user,
            name=fields.pop("name", "test"),
            scopes=["geofences:read", "geofences:write"] if scopes is None else scopes,
            **fields,
        )

    def key_client(self, scopes: list[str] | None = None, **fields: object) -> APIClient:
        return APIClient(headers={"X-API-KEY": self.make_key(scopes, **fields)[1]})


def make_workspace(slug: str, plan: str = "business") -> Workspace:
    return Workspace.objects.create(slug=slug, name=slug.title(), plan=plan)


def make_user(email: str, **fields: object) -> User:
    """Return a new person whose password is PASSWORD."""
    return User.objects.create(email=canonical_email(email), password=_hashed(), **fields)


@cache
def _hashed() -> str:
    """Return PASSWORD as the service hashes it. Tests share it: the hash costs more than all else of a person."""
    return make_password(PASSWORD)


def enter(name: str, role: str, workspace: Workspace) -> Actor:
    """Return a new person of that role in the workspace, signed in."""
    user = make_user(ADDRESSES[name], name=name.title(), email_verified_at=timezone.now())
    membership = Membership.objects.create(user=user, workspace=workspace, role=role)
    pair = issue(membership, "password", Client("192.0.2.1", "tests"))
    return Actor(user, workspace, membership, pair, bearer(pair.access_token))


def bearer(access_token: str) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {access_token}"})
