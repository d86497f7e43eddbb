"""The keys by which other services verify access tokens, at /.well-known/jwks.json."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.key_ring import public_keys
from spatialflow.api import PublicAPIView

# How long a service may go on with what it has fetched. A new key is to stand second for longer than this before it
# stands first and signs (docs/keys.md).
KEPT_SECONDS = 300


@extend_schema(exclude=True)
class PublicKeysView(PublicAPIView):
    """The public keys of JWT_SIGNING_KEYS as a JWK Set (RFC 7517 section 5); secrets have none, so with them alone it
    is empty.
    """

    rate_limit_exempt = True

    def get(self, request: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={KEPT_SECONDS}"}
        return Response({"keys": public_keys()}, headers=headers)
