"""An encryption key is replaced: what is stored under the old one is encrypted anew, and the old one can go."""

import base64
import hashlib
import os
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg import sql

from accounts.models import OutgoingMail, User
from accounts.outbox import sealed
from spatialflow.encryption import encrypt
from sso.models import AppleRefreshToken, OAuthState
from sso.saml.keys import get_key_pair
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import PROJECT, launch
from tests.support.race import call
from tests.support.totp import code, enrol, wait_for_an_early_moment

pytestmark = pytest.mark.django_db(transaction=True)
OLD = ",".join(f"{key_id}:{secret}" for key_id, secret in settings.ENCRYPTION_KEYS.items())
NEW_SECRET = secrets.token_hex(32)
NEW = f"new:{NEW_SECRET}"
DONE = "Nothing is under an older key: older ones may be removed from ENCRYPTION_KEYS."


def reencrypt(database_url: str, keys: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the operator does, with these keys."""
    environment = {**os.environ, "DATABASE_URL": database_url, "ENCRYPTION_KEYS": keys}
    command = [sys.executable, "manage.py", "reencrypt"]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def stored() -> dict[tuple[str, str], list[str]]:
    """Return every encrypted text in the database, wherever it is, by table and column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying', 'jsonb')"
        )
        columns = cursor.fetchall()
        found = {}
        for table, column in columns:
            place = {"column": sql.Identifier(column), "table": sql.Identifier(table)}
            texts = sql.SQL("SELECT {column}::text FROM {table} WHERE {column}::text LIKE 'gAAAA%%' ORDER BY 1")
            cursor.execute(texts.format(**place))
            if rows := [row[0] for row in cursor.fetchall()]:
                found[table, column] = rows
    return found


def read(keys: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return what is encrypted in the database, as whoever has these keys alone reads it. Raises InvalidToken."""
    fernets = [Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())) for secret in keys.values()]
    [fernet] = fernets
    return {
        place: sorted(fernet.decrypt(text.encode()).decode() for text in texts) for place, texts in stored().items()
    }


def mail(**parameters: Any) -> OutgoingMail:
    """Return a mail that is not due while a test lasts."""
    later = timezone.now() + timedelta(hours=1)
    return OutgoingMail.objects.create(kind="verify_email", parameters=sealed(**parameters), not_before=later)


@pytest.fixture
def secret(alice: Actor, bob: Actor) -> str:
    """Fill every column that is encrypted; return the secret of Alice's second factor."""
    wait_for_an_early_moment(12)
    secret = enrol(alice)[0]
    OutgoingMail.objects.all().delete()
    User.objects.filter(id=bob.user.id).update(totp_secret=encrypt("PENDING"))
    get_key_pair(alice.workspace)
    mail(user_id=str(alice.user.id))
    AppleRefreshToken.objects.create(user=alice.user, client_id="com.acme.app", token=encrypt("r.001"))
    fields = {"provider": "google", "nonce_digest": b"n" * 32, "browser_digest": b"b" * 32, "intent": "client"}
    OAuthState.objects.issue(**fields, pkce_verifier=encrypt("verifier"))
    return secret


def test_the_old_key_can_be_removed(database_url, alice, secret):
    before = read(settings.ENCRYPTION_KEYS)
    assert set(before) == {
        ("accounts_user", "totp_secret"),
        ("accounts_outgoingmail", "parameters"),
        ("sso_oauthstate", "pkce_verifier"),
        ("sso_samlkeypair", "private_key"),
        ("sso_applerefreshtoken", "token"),
    }

    done = reencrypt(database_url, f"{NEW},{OLD}")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "user totp_secret: 2",
        "outgoing mail parameters: 1",
        "o auth state pkce_verifier: 1",
        "saml key pair private_key: 1",
        "apple refresh token token: 1",
        DONE,
    ]
    assert read({"new": NEW_SECRET}) == before
    with pytest.raises(InvalidToken):
        read(settings.ENCRYPTION_KEYS)
    with launch(database_url, workers=1, extra_env={"ENCRYPTION_KEYS": NEW}) as server:  # the old key is gone
        body = {"email": "alice@acme.test", "password": PASSWORD, "otp": code(secret)}
        assert call(server, "POST", "/api/v1/auth/login", body).status == 200


def test_a_second_run_changes_nothing(database_url, secret):
    reencrypt(database_url, f"{NEW},{OLD}")
    once = stored()

    again = reencrypt(database_url, f"{NEW},{OLD}")

    assert again.stdout.splitlines()[0] == "user totp_secret: 0" and DONE in again.stdout
    assert stored() == once


def test_several_at_once_lose_nothing(database_url, alice):
    written = sorted(f'{{"number": {number}}}' for number in range(700))
    OutgoingMail.objects.all().delete()
    for number in range(700):
        mail(number=number)

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(reencrypt, database_url, f"{NEW},{OLD}") for _ in range(3)]
        renewed = sum(int(run.result().stdout.splitlines()[1].rpartition(" ")[2]) for run in runs)

    assert read({"new": NEW_SECRET})["accounts_outgoingmail", "parameters"] == written
    assert renewed == 700


def test_what_is_in_use_is_left_and_said(database_url, alice, secret):
    place = connection.settings_dict
    with psycopg.connect(host=place["HOST"], user=place["USER"], dbname=place["NAME"]) as other:
        other.execute("SELECT FROM accounts_outgoingmail FOR UPDATE")  # as while a mail is being sent
        held = reencrypt(database_url, f"{NEW},{OLD}")

    assert (held.returncode, DONE in held.stdout) == (1, False)
    assert held.stderr.startswith("CommandError: 1 are still under an older key")
    assert DONE in reencrypt(database_url, f"{NEW},{OLD}").stdout


def test_what_a_server_with_the_old_key_first_wrote_is_found(database_url, alice, secret):
    reencrypt(database_url, f"{NEW},{OLD}")
    mail(late=True)

    again = reencrypt(database_url, f"{NEW},{OLD}")

    assert again.stdout.splitlines()[1] == "outgoing mail parameters: 1"


def test_a_missing_key_is_said_and_nothing_is_lost(database_url, alice, secret):
    before = stored()

    missing = reencrypt(database_url, NEW)

    assert missing.returncode == 1
    told = re.fullmatch(
        r"CommandError: 6 cannot be decrypted \((.+)\): the key that they are under is not in ENCRYPTION_KEYS.\n",
        missing.stderr,
    )
    assert told and sum(int(part.rpartition(": ")[2]) for part in told.group(1).split(", ")) == 6
    assert "outgoing mail parameters: " in told.group(1)
    assert stored() == before
