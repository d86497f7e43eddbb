from django.apps import AppConfig


class SsoConfig(AppConfig):
    """Signing in by an identity that somebody else vouches for: Google, Apple, and a workspace's own provider."""

    name = "sso"

    def ready(self) -> None:
        from accounts.hooks import account_ended, account_reclaimed, sign_ins_ended, workspace_sign_ins_ended
        from spatialflow.encryption import encrypted_columns
        from spatialflow.pruning import chores
        from sso import mail_saml, mail_saml_config, mails, recovery  # noqa: F401 - registers the makers
        from sso.apple import revoke_tokens
        from sso.identities import unbind_all
        from sso.login_codes import forget_of_person, forget_of_workspace
        from sso.models import AppleRefreshToken, OAuthState, SamlKeyPair
        from sso.pruning import CHORES
        from sso.saml_attempts import forget_attempts_of

        chores.extend(CHORES)
        encrypted_columns.append((OAuthState, "pkce_verifier"))
        encrypted_columns.append((SamlKeyPair, "private_key"))
        encrypted_columns.append((AppleRefreshToken, "token"))
        account_ended.register(revoke_tokens)
        account_ended.register(forget_attempts_of)
        account_reclaimed.register(revoke_tokens)
        account_reclaimed.register(unbind_all)
        sign_ins_ended.register(forget_of_person)
        workspace_sign_ins_ended.register(forget_of_workspace)
