"""What the pages about single sign-on call things: the checks of a sign-in with what to do about each, and what each
identity provider calls our addresses. docs/saml.md says the same at greater length.
"""

from typing import NamedTuple


class CheckWords(NamedTuple):
    """What a check is called, and what to do where it failed."""

    name: str
    advice: str


AGAIN = "Begin the sign-in again."
CLOCK = "Let the provider's clock be set by NTP, or choose a shorter lifetime there."
CHECKS = {
    "request": CheckWords("Begun here", "Begin at this service, in one browser with cookies, within ten minutes."),
    "connection": CheckWords("Connection in service", "Switch the connection on, or sign in again."),
    "encoding": CheckWords("Encoding", "Set the provider to an ordinary SAML response, by HTTP-POST."),
    "structure": CheckWords("Structure", "Set the provider to an ordinary response with one assertion, by HTTP-POST."),
    "status": CheckWords("The provider's word", "Assign the person to the application at the provider; see its log."),
    "encryption": CheckWords(
        "Encryption", "Give the provider our present certificate, or switch encryption off on one of the two sides."
    ),
    "signature": CheckWords(
        "Signature", "Add the provider's present certificate here, and let it sign assertions with SHA-256."
    ),
    "issuer": CheckWords("Issuer", "Compare the provider's entity ID here with the one that was received."),
    "destination": CheckWords("Destination", "Enter our ACS URL at the provider exactly as it is shown here."),
    "recipient": CheckWords("Recipient", "Enter our ACS URL at the provider exactly as it is shown here."),
    "audience": CheckWords("Audience", "Enter our entity ID at the provider as its audience."),
    "confirmation": CheckWords("Confirmation", "Choose the profile for web browsers at the provider."),
    "in_response_to": CheckWords("Answers our request", AGAIN),
    "not_before": CheckWords("Valid already", CLOCK),
    "not_on_or_after": CheckWords("Valid still", CLOCK),
    "clock": CheckWords("Clock", CLOCK),
    "authn_statement": CheckWords("Time of the sign-in", CLOCK),
    "session": CheckWords("Session at the provider", "Sign in at the provider anew."),
    "name_id": CheckWords("Name ID", "Choose EmailAddress or Persistent as the format of the Name ID at the provider."),
    "library": CheckWords("Second opinion", "Send the reference to the operator of this service."),
    "replay": CheckWords("Used once", AGAIN),
    "email": CheckWords("Email address", "Compare the attribute mapping with the attributes that were received."),
    "name_id_email": CheckWords(
        "Name ID and email agree", "Let both be the same address at the provider, or choose the format Persistent."
    ),
    "domain": CheckWords("Proven domain", "Prove this domain here, or let the provider send another address."),
    "account": CheckWords("Account", "Do what stands under “expected”."),
    "membership": CheckWords("Membership", "Do what stands under “expected”: mostly, invite exactly this address."),
    "logout_request": CheckWords("Logout request", "Choose signed messages by HTTP-Redirect for logout there."),
    "logout_response": CheckWords("Logout response", "Choose signed messages by HTTP-Redirect for logout there."),
    "logout_message": CheckWords("Logout message", "Choose signed messages by HTTP-Redirect for logout there."),
}


def words_of(check: str) -> CheckWords:
    """Return what a check is called and what to do about it."""
    return CHECKS.get(check) or CheckWords(check, "")


# Where one can do it: on a page of the connection, or on one of the workspace.
OF_THE_CONNECTION = {"signature": "certificates", "encryption": "settings", "issuer": "by-hand", "email": "settings"}
OF_THE_WORKSPACE = {
    **dict.fromkeys(("destination", "recipient", "audience"), "/settings/sso/provider"),
    "domain": "/settings/sso/domains",
    "membership": "/settings/members/invitations/new",
}
FOLDERS = {"serving": "connection", "staged": "staged"}


def page_for(check: str, state: str) -> str:
    """Return the page where what a check has found can be mended, for a connection in this state; or nothing."""
    if check in OF_THE_WORKSPACE:
        return OF_THE_WORKSPACE[check]
    if check in OF_THE_CONNECTION and state in FOLDERS:
        return f"/settings/sso/{FOLDERS[state]}/{OF_THE_CONNECTION[check]}"
    return ""


# What a provider calls our ACS URL and our entity ID.
CALLED_THERE = {
    "okta": ("Single sign-on URL", "Audience URI (SP Entity ID)"),
    "entra": ("Reply URL (Assertion Consumer Service URL)", "Identifier (Entity ID)"),
    "onelogin": ("ACS (Consumer) URL, and Recipient", "Audience (EntityID)"),
    "google": ("ACS URL", "Entity ID"),
    "custom": ("assertion consumer service, reply URL, recipient", "audience, SP entity ID"),
}


def step_of(text: str) -> str:
    """Return a step of a preset as a person reads it, who copies from the page and has no API."""
    said = text.replace("acs_url", "our ACS URL").replace("entity_id", "our entity ID")
    said = said.replace("send that address here", "enter that address in step 2")
    said = said.replace("Send the metadata here", "Enter the metadata in step 2")
    said = said.replace("paste that file here", "paste that file in step 2")
    return said[0].upper() + said[1:]


# What the DNS said of a domain's record.
OUTCOMES = {
    "proven": "The record is in the DNS: the domain is proven.",
    "missing": (
        "There is no TXT record of this name yet. Enter it, and check again when the DNS shows it: that takes minutes, "
        "at times a day."
    ),
    "different": "There are TXT records of this name, but none says what it must.",
    "unanswered": "The DNS did not answer, so nothing has changed. Try again in some minutes.",
}
