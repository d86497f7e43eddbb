from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    """Machine credentials of a workspace: their format, storage, and management."""

    name = "apikeys"

    def ready(self) -> None:
        from accounts.hooks import account_ended, account_reclaimed, membership_ended, role_lowered, workspace_counts
        from apikeys.lifecycle import (
            count_keys,
            forget_who_used_keys,
            revoke_keys_beyond_role,
            revoke_keys_of_member,
            revoke_keys_of_person,
        )
        from apikeys.pruning import CHORES
        from spatialflow.pruning import chores

        chores.extend(CHORES)
        account_ended.register(forget_who_used_keys)
        account_reclaimed.register(revoke_keys_of_person)
        membership_ended.register(revoke_keys_of_member)
        role_lowered.register(revoke_keys_beyond_role)
        workspace_counts["api_keys"] = count_keys
