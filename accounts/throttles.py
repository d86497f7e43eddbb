"""The limits: numbers, what each counts by, and where it is asked. How counting works is in spatialflow/throttling.py.

Limits are asked before a password is hashed. An exhausted limit by address refuses before anything is looked up; it is
charged last, so that a refusal by a narrower limit does not count against everybody at that address. An endpoint with
limits of its own (its `throttle_classes` are empty) does not count against the general ones.
"""

import uuid
from contextlib import AbstractContextManager
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.request import Request

from accounts.emails import canonical_email, fold
from accounts.permissions import find_used_scope
from accounts.usage import charge_credential
from spatialflow.client_ip import network
from spatialflow.throttling import Limit

# 60 logins a minute from one address; 15 for one email address, known or not, however it is spelled.
LOGIN_BY_ADDRESS = Limit("login-ip", "60/m")
LOGIN_BY_EMAIL = Limit("login-email", "15/m")

# 100 refreshes a minute from one address; 30 with one refresh token, counted by its sign-in, which copies and
# successors share.
REFRESH_BY_ADDRESS = Limit("refresh-ip", "100/m")
REFRESH_BY_TOKEN = Limit("refresh-token", "30/m")

# 10 nonces a minute to one address for a sign-in with Apple; 60 identity tokens from one address. Apple's own words
# come from few addresses.
APPLE_NONCE = Limit("apple-nonce-ip", "10/m")
TOKEN_EXCHANGE = Limit("token-exchange-ip", "60/m")
APPLE_NOTIFICATION = Limit("apple-notification-ip", "300/m")

# 10 signups an hour from one address, 3 for one email address.
SIGNUP_BY_ADDRESS = Limit("signup-ip", "10/h")
SIGNUP_BY_EMAIL = Limit("signup-email", "3/h")

# 10 requests an hour from one address for a mail with a link (reset, verification), 3 for one email address.
FORGOT_BY_ADDRESS = Limit("forgot-ip", "10/h")
FORGOT_BY_EMAIL = Limit("forgot-email", "3/h")
RESEND_BY_ADDRESS = Limit("resend-verification-ip", "10/h")
RESEND_BY_EMAIL = Limit("resend-verification-email", "3/h")

# 3 links an hour to one email address that an account is to be moved to, whoever asks.
NEW_EMAIL = Limit("new-email", "3/h")

# 20 links an hour followed from one address, 5 tries an hour with one secret.
LINK_BY_ADDRESS = Limit("link-ip", "20/h")
LINK_BY_TOKEN = Limit("link-token", "5/h")

# 15 tries an hour of one person at their own current password or second factor, while signed in.
REAUTHENTICATION = Limit("reauthentication", "15/h")

# 20 codes of a second factor an hour for one account, at login behind a right password: guessing one of a million
# takes years.
SECOND_FACTOR = Limit("second-factor", "20/h")

# One person's invitations an hour: 100 new, 10 sent again, 10 batches sent again; counted after the permission check.
INVITATIONS = Limit("invitations", "100/h")
INVITATION_RESENDS = Limit("invitation-resends", "10/h")
INVITATION_BATCHES = Limit("invitation-batches", "10/h")

# 300 tries an hour from one address to accept an invitation, for a crew may check in from one; 10 with one link.
ACCEPT_BY_ADDRESS = Limit("accept-ip", "300/h")
ACCEPT_BY_INVITATION = Limit("accept-invitation", "10/h")

# Everybody's sign-ins of one workspace can be ended once a minute.
REVOKE_ALL = Limit("revoke-all-sessions", "1/m")

# The audit trail of all workspaces can be verified 6 times an hour for one of them.
# Each step of one that goes on from page to page is taken once: the window is far longer than a verification lasts.
AUDIT_VERIFICATIONS = Limit("audit-verifications", "6/h")
AUDIT_VERIFICATION_STEPS = Limit("audit-verification-steps", "1/d")

# 60 a minute from one address of each step of a browser's sign-in by Google or Apple: begin, come back, trade the code.
OAUTH_START_BY_ADDRESS = Limit("oauth-start-ip", "60/m")
OAUTH_CALLBACK_BY_ADDRESS = Limit("oauth-callback-ip", "60/m")
EXCHANGE_BY_ADDRESS = Limit("sso-exchange-ip", "60/m")

# The same of a sign-in by a workspace's identity provider, and 30 questions a minute from one address how an email
# address signs in. What an identity provider posts for many people may come through one address.
SAML_START_BY_ADDRESS = Limit("saml-start-ip", "60/m")
SAML_ANSWER_BY_ADDRESS = Limit("saml-answer-ip", "300/m")
DETECT_BY_ADDRESS = Limit("detect-method-ip", "30/m")

# What costs a request to somebody else: 30 an hour for one workspace to prove a domain, 20 to fetch metadata.
DOMAIN_CHECKS = Limit("domain-checks", "30/h")
METADATA_FETCHES = Limit("metadata-fetches", "20/h")

# A link for a locked-out owner: 10 asked for an hour from one address, 3 mailed to one owner about one workspace, 20
# tried from one address. Whoever asks is not told of the second, nor can they use it up for another workspace.
RECOVERY_BY_ADDRESS = Limit("sso-recovery-ip", "10/h")
RECOVERY_BY_OWNER = Limit("sso-recovery-owner", "3/h")
RECOVERY_LINK_BY_ADDRESS = Limit("sso-recovery-link-ip", "20/h")

# Bulk creation and imports of geofences, as published for the former: 10 an hour by one sign-in, 60 by one API key.
BULK_BY_SIGN_IN = Limit("geofences-bulk-sign-in", "10/h")
BULK_BY_KEY = Limit("geofences-bulk-key", "60/h")
IMPORTS_BY_SIGN_IN = Limit("geofences-import-sign-in", "10/h")
IMPORTS_BY_KEY = Limit("geofences-import-key", "60/h")

# 100 requests an hour from one address without a credential that holds.
ANONYMOUS = Limit("anonymous", "100/h")


def charged_by_address(limit: Limit, request: Request) -> AbstractContextManager[None]:
    """Charge the caller's address (IPv6: its /64) after the block. Raises `Throttled` before or after it."""
    return limit.charged_last(request, network(request))


def charged_if_refused(limit: Limit, request: Request) -> AbstractContextManager[None]:
    """Charge the caller's address for a request that the block refuses, and no other. Raises `Throttled`."""
    return limit.charged_if_refused(request, network(request))


def charge_email(limit: Limit, request: Request, typed_email: str) -> None:
    """Charge an email address in its canonical form, or as folded text where it is none. Raises `Throttled`."""
    limit.charge(request, _identity(typed_email))


def charge_login(request: Request, typed_email: str) -> None:
    """Charge the caller's address and the email address, as `charge_email` does, in one trip. Raises `Throttled`."""
    LOGIN_BY_ADDRESS.charge_with(LOGIN_BY_EMAIL, request, network(request), _identity(typed_email))


def charge_refresh(request: Request, sign_in_id: uuid.UUID) -> None:
    """Charge the caller's address and the sign-in of a token of our signature, in one trip. Raises `Throttled`."""
    REFRESH_BY_ADDRESS.charge_with(REFRESH_BY_TOKEN, request, network(request), str(sign_in_id))


def _identity(typed_email: str) -> str:
    try:
        return canonical_email(typed_email)
    except ValidationError:
        return fold(typed_email)


def charge_caller(request: Request, *, sign_in: Limit, key: Limit) -> None:
    """Charge the caller's sign-in or API key by the limit for its kind. Raises `Throttled`."""
    limit = key if request.auth.credential == "api_key" else sign_in
    limit.charge(request, str(request.auth.credential_id))


class GeneralThrottle:
    """Everything without limits of its own: the workspace's plan an hour and credential, `ANONYMOUS` without one."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            ANONYMOUS.charge(request, network(request))
        else:
            charge_credential(request, request.auth, find_used_scope(request, view))
        return True
