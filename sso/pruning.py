"""What single sign-on removes when its time is over (spatialflow/pruning.py)."""

from datetime import timedelta

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone

from spatialflow import clock
from spatialflow.pruning import Chore, delete_in_batches
from sso.models import (
    LoginCode,
    OAuthState,
    ProviderNonce,
    SamlAttempt,
    SamlLogout,
    SamlRequest,
    SamlTest,
    SpentToken,
    SsoRecovery,
)

ATTEMPTS_KEPT = timedelta(days=30)
ONE_TIME_ROWS: tuple[type[models.Model], ...] = (
    LoginCode,
    OAuthState,
    ProviderNonce,
    SamlLogout,
    SamlRequest,
    SamlTest,
    SpentToken,
    SsoRecovery,
)


def _expired(model: type[models.Model]) -> Chore:
    def doomed() -> QuerySet:
        return model._default_manager.filter(expires_at__lt=clock.now())

    return Chore(str(model._meta.verbose_name_plural), delete_in_batches(doomed))


def _old_attempts() -> QuerySet:
    return SamlAttempt.objects.filter(created_at__lt=timezone.now() - ATTEMPTS_KEPT)


CHORES = [*map(_expired, ONE_TIME_ROWS), Chore("saml attempts", delete_in_batches(_old_attempts))]
