"""The addresses of the dashboard's pages."""

from django.urls import path

from dashboard.views import confirm, home, profile, second_factor, security, sign_ins, workspaces

urlpatterns = [
    path("", home.HomePage.as_view()),
    path("confirm", confirm.ConfirmPage.as_view()),
    path("settings/sign-ins", sign_ins.SignInsPage.as_view()),
    path("settings/sign-ins/end-others", sign_ins.EndOthersPage.as_view()),
    path("settings/sign-ins/everywhere", sign_ins.SignOutEverywherePage.as_view()),
    path("settings/security", security.SecurityPage.as_view()),
    path("settings/security/password", security.ChangePasswordPage.as_view()),
    path("settings/security/email", security.ChangeEmailPage.as_view()),
    path("settings/security/accounts/<str:provider>/disconnect", security.DisconnectPage.as_view()),
    path("settings/security/second-factor", second_factor.BeginPage.as_view()),
    path("settings/security/second-factor/confirm", second_factor.ConfirmPage.as_view()),
    path("settings/security/second-factor/remove", second_factor.RemovePage.as_view()),
    path("settings/security/recovery-codes", second_factor.RenewCodesPage.as_view()),
    path("settings/profile", profile.ProfilePage.as_view()),
    path("settings/profile/delete", profile.DeleteAccountPage.as_view()),
    path("workspaces", workspaces.WorkspacesPage.as_view()),
    path("workspaces/new", workspaces.NewWorkspacePage.as_view()),
]
