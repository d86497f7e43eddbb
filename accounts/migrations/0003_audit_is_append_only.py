"""Let the database refuse to change or delete an audit event; only personal data may be erased."""

from django.db import migrations

SQL = """
CREATE FUNCTION accounts_auditevent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.actor_salt IS NULL AND NEW.actor_email IS NULL AND NEW.ip_address IS NULL AND NEW.user_agent IS NULL
                OR ROW(NEW.actor_salt, NEW.actor_email, NEW.ip_address, NEW.user_agent)
                   IS NOT DISTINCT FROM ROW(OLD.actor_salt, OLD.actor_email, OLD.ip_address, OLD.user_agent))
            AND (NEW.target_salt IS NULL AND NEW.target_email IS NULL
                OR ROW(NEW.target_salt, NEW.target_email) IS NOT DISTINCT FROM ROW(OLD.target_salt, OLD.target_email))
            AND to_jsonb(NEW) - '{actor_salt,actor_email,ip_address,user_agent,target_salt,target_email}'::text[]
                = to_jsonb(OLD) - '{actor_salt,actor_email,ip_address,user_agent,target_salt,target_email}'::text[]
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER accounts_auditevent_guard BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION accounts_auditevent_guard();
"""
REVERSE = """
DROP TRIGGER accounts_auditevent_guard ON accounts_auditevent;
DROP FUNCTION accounts_auditevent_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_account_contract")]
    operations = [migrations.RunSQL(SQL, REVERSE)]
