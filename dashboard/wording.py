"""What pages say where the API's words would name an operation or a header: the same refusal, and what to do next."""

from rest_framework.exceptions import APIException

from accounts.scopes import SSO_MANAGE
from spatialflow.throttling import Throttled

SENTENCES = {
    "second_factor_enabled": "Your second factor is on already. Remove it first to set up another one.",
    "no_second_factor": "Your account has no second factor. Set one up first.",
    "second_factor_required": "This workspace requires a second factor. Set one up under Security first.",
    "last_way_in": "This is your only way to sign in. Set a password first.",
    "password_not_set": "Your account has no password yet. Set one by mail first, under Security.",
    "not_linked": "This account is not linked to yours any more.",
    "not_a_member": "You cannot enter this workspace: you do not belong to it, or it is suspended.",
    "sso_required": "Your organisation requires single sign-on for this address. Ask an owner of the workspace.",
    "slug_taken": "This short name is taken. Choose another one, or leave it empty to be given one.",
    "invalid_credentials": "This email address and password do not fit together. Try again, or set a new password.",
    "otp_required": "Your account has a second factor: enter its code.",
    "password_required": "Enter a password: that of your account, or a new one if you have no account yet.",
    "invalid_password": "This is not the password of your account. Try again, or set a new one by mail.",
    "sign_in_required": "Your account has a second factor. Choose “Sign in first”; you come back here then.",
    "invalid_login_code": "This sign-in took too long, or was finished already. Begin it again.",
    "plan_required": (
        "Single sign-on by an identity provider is part of the plans business and enterprise. Ask whoever runs this "
        "service for one of them."
    ),
    "connection_not_enabled": "The connection is switched off. Switch it on first.",
    "connection_not_tested": "Nobody has signed in by this connection as it is now. Test it first, then do this again.",
    "own_second_factor_missing": "Set up a second factor of your own first, under Security.",
    "owners_only": "Only owners invite owners, and change such invitations. Ask one, or choose another role.",
    "invalid_cursor": "This page is not there any more. Begin with the first one.",
    "api_key_made_already": (
        "This key was made already, and shown that once. If you did not copy it, regenerate it: its page stands under "
        "API Keys."
    ),
    "api_key_changed": (
        "This key has had a new secret since the page was drawn, and it was shown that once. Nothing has changed now. "
        "If nobody copied it, open the key under API Keys and regenerate it again."
    ),
    "api_key_rotated": (
        "This key was rotated already, and its successor shown that once. Nothing has changed. If nobody copied it, "
        "open the successor under API Keys and regenerate it."
    ),
    "setup_begun_already": (
        "Setting up was begun already, and the secret shown that once. Enter a code of it, or begin again under "
        "Security."
    ),
    "provider_not_configured": "This way to sign in is not offered here. Choose another one.",
    "method_not_allowed": "What was sent to this page is nothing that it takes. Nothing has changed.",
    "not_found": "There is nothing here any more, or it never was yours.",
}

ROLES = {
    "owner": "Everything: members, single sign-on, security, the end of the workspace",
    "manager": "Members, invitations, the audit log and everything that is worked with; not owners, nor security",
    "field_worker": "Sees everything that is worked with, and changes geofences; makes API keys for that",
    "member": "Sees everything that is worked with; makes API keys that read",
}

NOT_ALLOWED = "Insufficient permissions:"  # how a missing scope's sentence begins
NOT_ALLOWED_HERE = (
    "Your role in this workspace, or the way you signed in, does not allow this. Ask an owner of the workspace, or "
    "sign in another way."
)
NOT_ALLOWED_BY_SCOPE = {
    SSO_MANAGE: (
        "Only owners of this workspace look after its single sign-on. Ask one of them; if you are one, sign in another "
        "way."
    ),
}


def sentence_of(refusal: APIException) -> str:
    """Return what a page says about a refusal of the domain code."""
    if isinstance(refusal, Throttled):
        return f"That was too often. Wait {_in_words(int(refusal.headers['Retry-After']))}, then try again."
    if str(refusal.detail).startswith(NOT_ALLOWED):
        missing = (said for scope, said in NOT_ALLOWED_BY_SCOPE.items() if scope in str(refusal.detail))
        return next(missing, NOT_ALLOWED_HERE)
    return SENTENCES.get(str(refusal.get_codes()), str(refusal.detail))


def _in_words(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{-(-seconds // 60)} minutes"
