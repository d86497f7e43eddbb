"""The addresses of signing in by a provider, below /api/v1/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
