"""The addresses of signing in by a provider, below /api/v1/."""

from django.urls import path

from sso.views import native, web

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
]
