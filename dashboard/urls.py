"""The addresses of the dashboard's pages."""

from django.urls import path

from dashboard.views import home

urlpatterns = [
    path("", home.HomePage.as_view()),
]
