"""Let the audit trail ask who still has an account once its head is locked, and let the head only go forward."""

from django.db import migrations

# In PL/pgSQL a volatile function looks with a snapshot of its own: so it sees an account that was deleted while the
# statement that calls it waited for the head.
SQL = """
CREATE FUNCTION accounts_is_known(person uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN person IS NULL OR EXISTS (SELECT FROM accounts_user WHERE id = person);
END $$;
CREATE FUNCTION accounts_audithead_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.id = OLD.id AND NEW.sequence = OLD.sequence + 1 THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the head of the audit trail only goes forward, by one';
END $$;
CREATE TRIGGER accounts_audithead_guard BEFORE UPDATE OR DELETE ON accounts_audithead
    FOR EACH ROW EXECUTE FUNCTION accounts_audithead_guard();
"""
REVERSE = """
DROP TRIGGER accounts_audithead_guard ON accounts_audithead;
DROP FUNCTION accounts_audithead_guard();
DROP FUNCTION accounts_is_known(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_undeliverable_email")]
    operations = [migrations.RunSQL(SQL, REVERSE)]
