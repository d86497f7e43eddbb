"""What people are told when a sign-in by a provider comes back with an error. The codes are in docs/sso-google-apple.md
and docs/saml.md; anything else that stands in the address is not ours.
"""

SENTENCES = {
    "access_denied": "The sign-in was cancelled there.",
    "second_factor_required": (
        "Your account has a second factor, which this way cannot ask for. Sign in with your password and its code. If "
        "you were invited, accept the invitation then."
    ),
    "provider_busy": "Too many people are waiting for this provider. Try again in a few seconds.",
    "provider_unavailable": "The provider does not answer as it should. Try again in a minute.",
    "provider_refused_service": "The provider does not know this service. Tell the operator of this service.",
    "provider_not_configured": "This way to sign in is not set up any more. Sign in another way.",
    "authorization_code_refused": "The provider's answer was too old or used before.",
    "invalid_identity_token": "The provider's answer could not be verified.",
    "email_missing": "The provider did not tell your email address. Allow it there, then try again.",
    "email_not_verified_at_provider": "The provider has not verified your email address. Verify it there first.",
    "email_not_verified_here": (
        "There is an account with your address, and nobody has shown yet that the address is theirs. Set a new "
        "password by mail, which verifies it; then try again."
    ),
    "sso_required": "Your organisation requires its own single sign-on. Enter your email address to go there.",
    "another_identity_linked": (
        "Your account is linked to another account at this provider. Sign in another way and disconnect that one first."
    ),
    "account_inactive": "Your account is deactivated. Ask the operator of this service.",
    "account_changed": "Your account was changed at this very moment. Sign in again.",
    "INVITE_EMAIL_MISMATCH": (
        "This invitation is for another address than the one that the provider tells. Sign in there with the invited "
        "address, or use a password."
    ),
    "invitation_used": "This invitation was used already. Ask whoever invited you for a new one.",
    "invitation_revoked": "This invitation was withdrawn. Ask whoever invited you for a new one.",
    "invitation_expired": "This invitation has expired. Ask whoever invited you for a new one.",
    "signup_closed": "You have no account here, and only who is invited gets one. Ask a workspace owner.",
    "not_found": "The workspace of this invitation cannot be entered. Ask whoever invited you.",
    "no_workspace": "Every workspace of your account is suspended. Ask the operator of this service.",
    "sso_failed": (
        "The answer of your identity provider was not accepted. Try again; if it fails again, give the reference to an "
        "owner of your workspace, who can see why."
    ),
}
UNKNOWN = "The sign-in did not work."


def sentence_for(code: str) -> str:
    """Return what a code means to the person at the browser."""
    return SENTENCES.get(code, UNKNOWN)
