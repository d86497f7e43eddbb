"""The addresses of signing in by a provider, below /api/v1/."""

from django.urls import path

from sso.views import web

urlpatterns = [
    path("auth/oauth/providers", web.ProvidersView.as_view()),
    path("auth/oauth/<str:provider>/authorize", web.AuthorizeView.as_view()),
    path("auth/oauth/<str:provider>/callback", web.CallbackView.as_view()),
    path("auth/sso/exchange", web.ExchangeView.as_view()),
]
