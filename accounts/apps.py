from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who you are: users, workspaces, memberships, sign-ins and their tokens."""

    name = "accounts"

    def ready(self) -> None:
        from accounts import mail, mail_identity, mail_security, mail_workspaces  # noqa: F401 - registers the makers
