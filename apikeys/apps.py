from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    """Machine credentials of a workspace: their format, storage, and management."""

    name = "apikeys"

    def ready(self) -> None:
        from accounts.hooks import membership_ended, role_lowered
        from apikeys.lifecycle import revoke_keys_beyond_role, revoke_keys_of_member

        membership_ended.register(revoke_keys_of_member)
        role_lowered.register(revoke_keys_beyond_role)
