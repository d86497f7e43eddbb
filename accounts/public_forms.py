"""Reading what people send who have no credential: checked, and charged to the limits of its endpoint. The API and the
dashboard read alike, so neither is the weaker way in.

Each takes the request, whose form is `request.data`. Everything raises `Throttled`, and the 422 that names the fields.
"""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from accounts import throttles
from accounts.acceptance import refuse_weak_choice as refuse_weak_first_password
from accounts.mailed_tokens import digest
from accounts.password_changes import refuse_weak_choice as refuse_weak_new_password
from accounts.passwords import refuse_weak_password
from accounts.serializers.auth import LoginSerializer, RefreshSerializer
from accounts.serializers.identity import EmailSerializer, SignupSerializer
from accounts.throttles import charge_email, charge_login, charged_by_address, charged_if_refused
from accounts.tokens import MAX_TOKEN_LENGTH
from spatialflow.throttling import Limit


def validated(serializer: type[serializers.Serializer], request: Request) -> Any:
    """Return the serializer with the request's body validated."""
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    return body


def read_login(request: Request) -> dict[str, Any]:
    """Return email, password and code, before any password is hashed."""
    with charged_if_refused(throttles.LOGIN_BY_ADDRESS, request):
        body = _usual_login(request.data) or validated(LoginSerializer, request).validated_data
    charge_login(request, body["email"])
    return body


def _usual_login(body: Any) -> dict[str, Any] | None:
    """Return what LoginSerializer would of an address and a password that have nothing unusual about them, at a
    twentieth of its cost; None for everything else.
    """
    match body:
        case {"email": str(email), "password": str(password), **rest} if (
            "otp" not in rest
            and 0 < len(email.strip()) <= len(email) <= 1000
            and email.isprintable()
            and 0 < len(password) <= 1000
            and password.isprintable()
        ):
            return {"email": email.strip(), "password": password}
    return None


def read_refresh_token(request: Request) -> str | None:
    """Return the refresh token in the body, where there is one."""
    match request.data:
        # The usual body. A serializer looks through a text character by character for what JSON cannot hold, which
        # takes longer than checking the token's signature.
        case {"refresh_token": str(token)} if len(token) <= MAX_TOKEN_LENGTH:
            return token.strip()
    read: str | None = validated(RefreshSerializer, request).validated_data.get("refresh_token")
    return read


def read_email(request: Request, by_address: Limit, by_email: Limit) -> str:
    """Return the canonical address in the body, charged to both limits."""
    with charged_by_address(by_address, request):
        email: str = validated(EmailSerializer, request).validated_data["email"]
        charge_email(by_email, request, email)
    return email


def read_signup(request: Request) -> SignupSerializer:
    """Return a signup. A weak password costs the address no try."""
    with charged_by_address(throttles.SIGNUP_BY_ADDRESS, request):
        body: SignupSerializer = validated(SignupSerializer, request)
        refuse_weak_password(body.validated_data["password"], body.user())
        charge_email(throttles.SIGNUP_BY_EMAIL, request, body.validated_data["email"])
    return body


def read_link(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """Return a body that holds the secret of a mailed link, charged to the limits of links. A weak password uses up no
    try with the link.
    """
    with charged_by_address(throttles.LINK_BY_ADDRESS, request):
        body: dict[str, Any] = validated(serializer, request).validated_data
        if "password" in body:
            refuse_weak_new_password(body["token"], body["password"])
        throttles.LINK_BY_TOKEN.charge(request, digest(body["token"]).hex())
    return body


def read_acceptance(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """Return a body that holds an invitation's link. A weak password uses up no try with it."""
    with charged_by_address(throttles.ACCEPT_BY_ADDRESS, request):
        body: dict[str, Any] = validated(serializer, request).validated_data
        refuse_weak_first_password(request, body["invite_id"], body["token"], body.get("password"))
        throttles.ACCEPT_BY_INVITATION.charge(request, body["invite_id"].lower())
    return body
