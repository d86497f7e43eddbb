"""The identity providers whose settings are known here: which attributes they send, and where to click there."""

from dataclasses import dataclass, field

from sso.models import IdentityProvider

CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"


@dataclass(frozen=True)
class Preset:
    """One product. The mapping says which attribute holds what; without `email` the NameID is the address."""

    name: str
    display_name: str
    name_id: str
    attribute_mapping: dict[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            IdentityProvider.Preset.OKTA,
            "Okta",
            "EmailAddress",
            {"email": "email", "first_name": "firstName", "last_name": "lastName"},
            (
                "Applications, Create App Integration, SAML 2.0.",
                "Single sign-on URL: acs_url, used as Recipient and Destination as well. Audience URI: entity_id.",
                "Name ID format: EmailAddress. Application username: Email.",
                "Attribute statements: email = user.email, firstName = user.firstName, lastName = user.lastName.",
                "Assignments: the people or groups who may sign in.",
                "Sign On, SAML Signing Certificates, Actions, View IdP metadata: send that address here.",
            ),
        ),
        Preset(
            IdentityProvider.Preset.ENTRA,
            "Microsoft Entra ID",
            "emailAddress, from user.mail",
            {
                "email": f"{CLAIMS}/emailaddress",
                "first_name": f"{CLAIMS}/givenname",
                "last_name": f"{CLAIMS}/surname",
                "name": "http://schemas.microsoft.com/identity/claims/displayname",
            },
            (
                "Enterprise applications, New application, Create your own application, non-gallery.",
                "Single sign-on, SAML, Basic SAML Configuration: Identifier is entity_id, Reply URL is acs_url.",
                "Attributes & Claims, Unique User Identifier (Name ID): format Email address, source user.mail. It is "
                "user.userprincipalname at first, which is refused where it is another address than user.mail.",
                "Keep the other claims as they are.",
                "SAML Certificates, Signing Option: Sign SAML assertion, SHA-256.",
                "Users and groups: the people who may sign in.",
                "SAML Certificates, App Federation Metadata Url: send that address here.",
            ),
        ),
        Preset(
            IdentityProvider.Preset.ONELOGIN,
            "OneLogin",
            "Email",
            {"email": "User.email", "first_name": "User.FirstName", "last_name": "User.LastName"},
            (
                "Applications, Add App, SAML Custom Connector (Advanced).",
                "Configuration: Audience (EntityID) is entity_id. Recipient and ACS URL are acs_url, the validator is "
                "its regular expression. SAML signature element: Assertion or Both.",
                "Parameters, each with Include in SAML assertion: User.email, User.FirstName, User.LastName.",
                "SSO, SAML Signature Algorithm: SHA-256.",
                "More Actions, SAML Metadata: paste that file here.",
            ),
        ),
        Preset(
            IdentityProvider.Preset.GOOGLE,
            "Google Workspace",
            "EMAIL (Basic Information > Primary email)",
            {"first_name": "firstName", "last_name": "lastName"},
            (
                "Admin console: Apps, Web and mobile apps, Add app, Add custom SAML app.",
                "Download Metadata: paste that file here.",
                "Service provider details: ACS URL is acs_url, Entity ID is entity_id. Signed response stays off.",
                "Name ID format: EMAIL. Name ID: Basic Information > Primary email.",
                "Attributes: First name as firstName, Last name as lastName.",
                "User access: switch it on for the people who may sign in.",
            ),
        ),
        Preset(
            IdentityProvider.Preset.CUSTOM,
            "Another identity provider",
            "the email address, or any lasting name beside an attribute with the address",
            {},
            (
                "Enter acs_url as the assertion consumer service (HTTP-POST) and entity_id as the audience.",
                "Assertions must be signed with SHA-256 or stronger.",
                "Send the metadata here, or enter entity ID, sign-in address and certificate by hand.",
            ),
        ),
    )
}
