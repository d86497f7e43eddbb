"""The addresses of signing in by a provider, below /api/v1/."""

from django.urls import path

from sso.views import domains, native, recovery, saml, saml_config, saml_logout, web

urlpatterns = [
    path("auth/google/token-exchange", native.GoogleExchangeView.as_view()),
    path("auth/apple/nonce", native.AppleNonceView.as_view()),
    path("auth/apple/token-exchange", native.AppleExchangeView.as_view()),
    path("auth/apple/notifications", native.AppleNotificationView.as_view()),
    path("auth/oauth/user/linked-accounts", native.LinkedAccountsView.as_view()),
    path("auth/oauth/<str:provider>/disconnect", native.DisconnectView.as_view()),
    path("auth/oauth/<str:provider>/link", native.LinkView.as_view()),
    path("auth/oauth/providers", web.ProvidersView.as_view()),
    path("auth/oauth/<str:provider>/authorize", web.AuthorizeView.as_view()),
    path("auth/oauth/<str:provider>/callback", web.CallbackView.as_view()),
    path("auth/sso/exchange", web.ExchangeView.as_view()),
    path("auth/sso/start", saml.StartView.as_view()),
    path("auth/saml/detect-method", saml.DetectMethodView.as_view()),
    path("auth/saml/<str:workspace_slug>/initiate", saml.InitiateView.as_view()),
    path("auth/saml/<str:workspace_slug>/acs", saml.AcsView.as_view()),
    path("auth/saml/logout", saml_logout.LeaveView.as_view()),
    path("auth/saml/<str:workspace_slug>/slo", saml_logout.SingleLogoutView.as_view()),
    path("auth/sso/recovery", recovery.AskForRecoveryView.as_view()),
    path("auth/sso/recovery/redeem", recovery.RedeemRecoveryView.as_view()),
    path("workspaces/domains", domains.DomainsView.as_view()),
    path("workspaces/domains/<str:domain_id>", domains.DomainView.as_view()),
    path("workspaces/domains/<str:domain_id>/verify", domains.VerifyDomainView.as_view()),
    path("workspaces/domains/<str:domain_id>/primary", domains.PrimaryDomainView.as_view()),
    path("auth/saml/<str:workspace_slug>/metadata", saml_config.OwnMetadataView.as_view()),
    path("workspaces/saml-config", saml_config.SamlConfigView.as_view()),
    path("workspaces/saml-config/staged", saml_config.StagedConfigView.as_view()),
    path("workspaces/saml-config/staged/promote", saml_config.PromoteView.as_view()),
    path("workspaces/saml-config/rollback", saml_config.RollBackView.as_view()),
    path("workspaces/saml-config/metadata", saml_config.ImportMetadataView.as_view()),
    path("workspaces/saml-config/service-provider", saml_config.ServiceProviderView.as_view()),
    path("workspaces/saml-config/presets", saml_config.PresetsView.as_view()),
    path("workspaces/saml-config/test", saml_config.TestConnectionView.as_view()),
    path("workspaces/saml-config/attempts", saml_config.AttemptsView.as_view()),
    path("workspaces/saml-config/attempts/<str:attempt_id>", saml_config.AttemptView.as_view()),
]
