"""The addresses of API keys, below /api/v1/."""

from django.urls import path

from apikeys import views
from apikeys.introspection import IntrospectionView

urlpatterns = [
    path("account/api-keys", views.ApiKeyListView.as_view()),
    path("account/api-keys/current", views.CurrentKeyView.as_view()),
    path("account/api-keys/expiring", views.ExpiringView.as_view()),
    path("account/api-keys/<str:key_id>", views.ApiKeyView.as_view()),
    path("account/api-keys/<str:key_id>/regenerate", views.RegenerateView.as_view()),
    path("account/api-keys/<str:key_id>/rotate", views.RotateView.as_view()),
    path("account/api-keys/<str:key_id>/expiration", views.ExpirationView.as_view()),
    path("account/api-keys/<str:key_id>/usage", views.UsageView.as_view()),
    path("auth/introspect", IntrospectionView.as_view()),
    path("workspaces/api-keys", views.WorkspaceKeyListView.as_view()),
    path("workspaces/api-keys/<str:key_id>", views.WorkspaceKeyView.as_view()),
    path("workspaces/api-keys/<str:key_id>/usage", views.WorkspaceKeyUsageView.as_view()),
]
