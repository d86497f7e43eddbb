from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who you are: users, workspaces, memberships, sign-ins and their tokens."""

    name = "accounts"
