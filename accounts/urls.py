"""The addresses of accounts, below /api/v1/."""

from django.urls import path

from accounts.views import auth, health

urlpatterns = [
    path("health", health.HealthView.as_view()),
    path("health/ready", health.ReadyView.as_view()),
    path("auth/health", health.HealthView.as_view(service="auth")),
    path("auth/login", auth.LoginView.as_view()),
    path("auth/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/me", auth.MeView.as_view()),
]
