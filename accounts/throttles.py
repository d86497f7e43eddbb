"""The limits: numbers, what each counts by, and where it is asked. How counting works is in spatialflow/throttling.py.

Limits by address are asked before authentication, the others after what they count by is known and before a password
is hashed. An endpoint with a limit of its own does not count against the general ones.
"""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.request import Request

from accounts.emails import canonical_email, fold
from accounts.usage import charge_credential
from spatialflow.client_ip import network
from spatialflow.throttling import Throttle, charge


class LoginByAddress(Throttle):
    """60 logins a minute from one address, whatever is in the body."""

    name, rate = "login-ip", "60/m"

    def identity(self, request: Request, view: Any) -> str:
        return network(request)


class RefreshByAddress(Throttle):
    """100 refreshes a minute from one address."""

    name, rate = "refresh-ip", "100/m"

    def identity(self, request: Request, view: Any) -> str:
        return network(request)


def charge_login_email(request: Request, typed_email: str) -> None:
    """15 logins a minute for one email address, known or not, however it is spelled."""
    try:
        identity = canonical_email(typed_email)
    except ValidationError:
        identity = fold(typed_email)
    charge(request, "login-email", "15/m", identity)


def charge_refresh_token(request: Request, sign_in_id: str) -> None:
    """30 refreshes a minute with one refresh token: counted by its sign-in, so that copies and successors share the
    count.
    """
    charge(request, "refresh-token", "30/m", sign_in_id)


class CredentialThrottle:
    """Everything else: the workspace's plan an hour and credential; 100 an hour and address without one."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            charge_anonymous(request)
        else:
            charge_credential(request, request.auth)
        return True


def charge_anonymous(request: Request) -> None:
    """100 requests an hour from one address that carry no credential, or none that holds."""
    charge(request, "anonymous", "100/h", network(request))
