"""The 91 operations of the API by the names under which tests call them, each with the SDK's own method; and a record
of which of them tests carry out.

A name that the high-level client has too (`client.geofences.list`) is called there, the others on the generated
classes.
"""

import functools
from collections.abc import Callable
from typing import Any

OPERATIONS: dict[str, str] = {
    "auth.accept_invite": "apps_authentication_api_accept_invitation",
    "auth.accept_invite_passwordless": "apps_authentication_api_accept_invitation_passwordless",
    "auth.apple_nonce": "apps_authentication_apple_mobile_api_apple_nonce",
    "auth.apple_token_exchange": "apps_authentication_apple_mobile_api_apple_token_exchange",
    "auth.change_password": "apps_authentication_api_change_password",
    "auth.forgot_password": "apps_authentication_api_forgot_password",
    "auth.google_token_exchange": "apps_authentication_google_mobile_api_google_token_exchange",
    "auth.health": "apps_authentication_api_health_check",
    "auth.login": "apps_authentication_api_login",
    "auth.logout": "apps_authentication_api_logout",
    "auth.me": "apps_authentication_api_get_current_user",
    "auth.get_oauth_providers": "apps_authentication_oauth_api_get_oauth_providers",
    "auth.get_linked_accounts": "apps_authentication_oauth_api_get_linked_accounts",
    "auth.oauth_authorize": "apps_authentication_oauth_api_oauth_authorize",
    "auth.oauth_callback": "apps_authentication_oauth_api_oauth_callback",
    "auth.disconnect_oauth_account": "apps_authentication_oauth_api_disconnect_oauth_account",
    "auth.link_oauth_account": "apps_authentication_oauth_api_link_oauth_account",
    "auth.password_reset": "apps_authentication_api_password_reset_alias",
    "auth.confirm_password_reset": "apps_authentication_api_confirm_password_reset",
    "auth.refresh": "apps_authentication_api_refresh_token",
    "auth.register": "apps_authentication_api_register",
    "auth.resend_verification": "apps_authentication_api_resend_verification_alias",
    "auth.resend_verification_authenticated": "apps_authentication_api_resend_verification",
    "auth.resend_verification_email": "apps_authentication_api_resend_verification_email",
    "auth.reset_password": "apps_authentication_api_reset_password",
    "auth.detect_method": "apps_authentication_saml_api_detect_method",
    "auth.saml_acs": "apps_authentication_saml_api_saml_acs",
    "auth.saml_initiate": "apps_authentication_saml_api_initiate",
    "auth.saml_metadata": "apps_authentication_saml_api_metadata",
    "auth.sso_exchange": "apps_authentication_api_sso_exchange",
    "auth.sso_start": "apps_authentication_api_sso_start",
    "auth.verify_email": "apps_authentication_api_verify_email_post",
    "account.list_api_keys": "apps_accounts_api_get_api_keys",
    "account.create_api_key": "apps_accounts_api_create_api_key",
    "account.list_expiring_api_keys": "apps_accounts_api_list_expiring_api_keys",
    "account.delete_api_key": "apps_accounts_api_delete_api_key",
    "account.get_api_key": "apps_accounts_api_get_api_key",
    "account.update_api_key": "apps_accounts_api_update_api_key",
    "account.set_expiration": "apps_accounts_api_set_api_key_expiration",
    "account.regenerate_api_key": "apps_accounts_api_regenerate_api_key",
    "account.rotate_api_key": "apps_accounts_api_rotate_api_key",
    "account.health": "apps_accounts_api_account_health_check",
    "account.delete_own_account": "apps_accounts_api_delete_own_account",
    "account.get_profile": "apps_accounts_api_get_user_profile",
    "account.update_profile": "apps_accounts_api_update_user_profile",
    "workspaces.get": "apps_workspaces_api_get_workspace",
    "workspaces.patch": "apps_workspaces_api_patch_workspace",
    "workspaces.update": "apps_workspaces_api_update_workspace",
    "workspaces.available": "apps_workspaces_api_available_web_workspaces",
    "workspaces.list_invitations": "apps_workspaces_api_list_invitations",
    "workspaces.create_invitation": "apps_workspaces_api_create_invitation",
    "workspaces.resend_missing_invitations": "apps_workspaces_api_resend_missing_invitations",
    "workspaces.cancel_invitation": "apps_workspaces_api_cancel_invitation",
    "workspaces.extend_invitation": "apps_workspaces_api_extend_invitation",
    "workspaces.resend_invitation": "apps_workspaces_api_resend_invitation",
    "workspaces.list_members": "apps_workspaces_api_list_workspace_members",
    "workspaces.remove_member": "apps_workspaces_api_remove_member",
    "workspaces.update_member_role": "apps_workspaces_api_update_member_role",
    "workspaces.mobile_bootstrap": "apps_workspaces_api_mobile_workspace_bootstrap",
    "workspaces.mobile_select": "apps_workspaces_api_select_mobile_workspace",
    "workspaces.revoke_all_sessions": "apps_workspaces_api_revoke_all_workspace_sessions",
    "workspaces.delete_saml_config": "apps_workspaces_api_delete_saml_config",
    "workspaces.get_saml_config": "apps_workspaces_api_get_saml_config",
    "workspaces.upsert_saml_config": "apps_workspaces_api_upsert_saml_config",
    "workspaces.select": "apps_workspaces_api_select_web_workspace",
    "workspaces.get_usage": "apps_workspaces_api_get_workspace_usage",
    "audit_logs.list": "apps_workspaces_api_audit_list_audit_logs",
    "audit_logs.export": "apps_workspaces_api_audit_export_audit_logs",
    "geofences.list": "apps_geofences_api_list_geofences",
    "geofences.create": "apps_geofences_api_create_geofence",
    "geofences.active_summary": "apps_geofences_api_get_active_geofences_summary",
    "geofences.bulk_create": "apps_geofences_api_bulk_create_geofences",
    "geofences.list_groups": "apps_geofences_api_list_geofence_groups",
    "geofences.list_group_geofences": "apps_geofences_api_list_group_geofences",
    "geofences.test_group_point": "apps_geofences_api_test_group_point",
    "geofences.health": "apps_geofences_api_geofence_health_check",
    "geofences.list_tags": "apps_geofences_api_list_workspace_tags",
    "geofences.test_point": "apps_geofences_api_test_point",
    "geofences.delete": "apps_geofences_api_delete_geofence",
    "geofences.get": "apps_geofences_api_get_geofence",
    "geofences.update": "apps_geofences_api_update_geofence",
    "geofences.archive": "apps_geofences_api_archive_geofence",
    "geofences.update_group": "apps_geofences_api_update_geofence_group",
    "geofences.unarchive": "apps_geofences_api_unarchive_geofence",
    "system.health": "apps_core_health_api_health_check",
    "system.ready": "apps_core_health_api_health_check_ready",
    "public.get_api_docs": "apps_public_api_get_api_docs",
    "public.swagger_ui": "apps_public_api_swagger_ui",
    "public.health": "apps_public_api_health_check",
    "public.signup": "apps_public_api_signup",
    "public.status": "apps_public_api_status",
}

# Operations that the API itself has given up, so that refusing is all they do; and the one whose form the SDK cannot
# send, for browsers do.
ONLY_REFUSE: dict[str, int] = {
    "auth.register": 410,
    "auth.reset_password": 410,
    "auth.link_oauth_account": 400,
    "auth.saml_acs": 400,
}

exercised: set[str] = set()  # by the tests that are imported
carried_out: set[str] = set()  # since the running test began


def exercises(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say which operations a test carries out with the SDK. The test fails when one of them did not succeed in it."""
    unknown = set(names) - OPERATIONS.keys()
    assert not unknown, f"The contract has no such operation: {sorted(unknown)}"
    exercised.update(names)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            carried_out.clear()
            test(**fixtures)
            missing = set(names) - carried_out
            assert not missing, f"The test says that it carries out {sorted(missing)}, and does not."

        return run

    return decorate
