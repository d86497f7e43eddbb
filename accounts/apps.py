from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who you are: users, workspaces, memberships, sign-ins and their tokens."""

    name = "accounts"

    def ready(self) -> None:
        from accounts import (  # noqa: F401 - registers the makers
            mail,
            mail_identity,
            mail_invitations,
            mail_security,
            mail_workspaces,
        )
        from accounts.hooks import membership_ended, role_lowered
        from accounts.invitations import revoke_invitations_beyond_role, revoke_invitations_of_leaver
        from accounts.models import OutgoingMail, User
        from accounts.pruning import CHORES
        from spatialflow.encryption import encrypted_columns
        from spatialflow.pruning import chores

        chores.extend(CHORES)
        encrypted_columns.extend([(User, "totp_secret"), (OutgoingMail, "parameters")])
        membership_ended.register(revoke_invitations_of_leaver)
        role_lowered.register(revoke_invitations_beyond_role)
