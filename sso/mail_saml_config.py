"""The mails to a workspace's owners about the configuration of its identity provider."""

from django.core.mail import EmailMessage

from accounts.outbox import mail
from sso.mail_saml import to_owner

WHAT_HAPPENED = {
    "sso.configured": "was changed",
    "sso.swapped": "was replaced by the one that had been tested beside it",
    "sso.rolled_back": "was replaced by the one that served before",
    "sso.deleted": "was deleted: nobody signs in by it any more",
    "metadata": "was changed, as its metadata says since the last reading",
}


@mail("sso_changed")
def sso_changed(user_id: str, workspace_id: str, change: str, fields: list[str]) -> EmailMessage | None:
    """To each owner, whoever it was: who controls this connection signs in as any covered member."""
    what = f" Changed: {', '.join(fields)}." if fields else ""
    return to_owner(
        user_id,
        workspace_id,
        "Single sign-on of {workspace} was changed",
        f"The connection of {{workspace}} to its identity provider {WHAT_HAPPENED[change]}.{what}",
        "The audit log says who did it, and what it was before. If no owner of yours did, end everybody's sign-ins "
        "and set it right at once: whoever controls this connection can sign in as your people.",
    )


@mail("sso_metadata_problem")
def sso_metadata_problem(user_id: str, workspace_id: str, problem: str, is_read: bool = False) -> EmailMessage | None:
    """To each owner, when a reading of the metadata fails that did not fail before, or leaves something out."""
    if is_read:
        return to_owner(
            user_id,
            workspace_id,
            "A part of your identity provider's metadata cannot be used",
            f"The metadata of {{workspace}}'s identity provider was read. {problem}",
            "Everything else was taken over. If the provider signs with what was left out, sign-ins fail: let it sign "
            "with a certificate that can be used.",
        )
    return to_owner(
        user_id,
        workspace_id,
        "The metadata of your identity provider cannot be used",
        f"The metadata of {{workspace}}'s identity provider was read again, as every day, and was not taken: {problem}",
        "Sign-ins go on with the configuration as it was. Look at it before the provider's certificate changes.",
    )
