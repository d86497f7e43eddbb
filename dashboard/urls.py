"""The addresses of the dashboard's pages."""

from django.urls import path

from dashboard.views import confirm, home

urlpatterns = [
    path("", home.HomePage.as_view()),
    path("confirm", confirm.ConfirmPage.as_view()),
]
