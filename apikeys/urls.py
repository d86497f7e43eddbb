"""The addresses of API keys, below /api/v1/."""

from django.urls import path

from apikeys import views

urlpatterns = [
    path("account/api-keys", views.ApiKeyListView.as_view()),
    path("account/api-keys/<str:key_id>", views.ApiKeyView.as_view()),
]
