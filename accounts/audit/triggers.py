"""The database's own refusal to change the trail, for PostgreSQL and SQLite.

A row may be deleted only from behind a checkpoint that was made as a cut. Who forges one cannot
sign it, so `verify_audit` still finds out.

SQLite's INSERT OR REPLACE takes the row that stands in its way without asking the triggers of
deletion, so there an insertion that meets such a row is refused: the same id, hash or row number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import StateApps

EVENT = "accounts_auditevent"
CHECKPOINT = "accounts_auditcheckpoint"
_CUT = f"SELECT COALESCE(MAX(event_id), 0) FROM {CHECKPOINT} WHERE cut"  # noqa: S608 - constants
_SAME_EVENT = f"SELECT 1 FROM {EVENT} WHERE id = NEW.id OR hash = NEW.hash OR rowid = NEW.rowid"  # noqa: S608
# Its id is its row number.
_SAME_CHECKPOINT = f"SELECT 1 FROM {CHECKPOINT} WHERE id = NEW.id"  # noqa: S608

SQLITE_INSTALL = (
    f"""CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON {EVENT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON {EVENT}
    WHEN OLD.id > ({_CUT})
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_event_no_replace BEFORE INSERT ON {EVENT}
    WHEN EXISTS ({_SAME_EVENT})
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON {CHECKPOINT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON {CHECKPOINT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_checkpoint_no_replace BEFORE INSERT ON {CHECKPOINT}
    WHEN EXISTS ({_SAME_CHECKPOINT})
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)
SQLITE_REMOVE = (
    "DROP TRIGGER IF EXISTS audit_event_no_update",
    "DROP TRIGGER IF EXISTS audit_event_no_delete",
    "DROP TRIGGER IF EXISTS audit_event_no_replace",
    "DROP TRIGGER IF EXISTS audit_checkpoint_no_update",
    "DROP TRIGGER IF EXISTS audit_checkpoint_no_delete",
    "DROP TRIGGER IF EXISTS audit_checkpoint_no_replace",
)

POSTGRESQL_INSTALL = (
    f"""CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'DELETE' AND TG_TABLE_NAME = '{EVENT}' THEN
        IF OLD.id <= ({_CUT}) THEN RETURN OLD; END IF;
      END IF;
      RAISE EXCEPTION 'the audit trail is append-only';
    END $$""",
    f"""CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON {EVENT}
    FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
    f"""CREATE TRIGGER audit_checkpoint_append_only BEFORE UPDATE OR DELETE ON {CHECKPOINT}
    FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
    f"""CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON {EVENT}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    f"""CREATE TRIGGER audit_checkpoint_no_truncate BEFORE TRUNCATE ON {CHECKPOINT}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
)
POSTGRESQL_REMOVE = (
    f"DROP TRIGGER IF EXISTS audit_event_append_only ON {EVENT}",
    f"DROP TRIGGER IF EXISTS audit_checkpoint_append_only ON {CHECKPOINT}",
    f"DROP TRIGGER IF EXISTS audit_event_no_truncate ON {EVENT}",
    f"DROP TRIGGER IF EXISTS audit_checkpoint_no_truncate ON {CHECKPOINT}",
    "DROP FUNCTION IF EXISTS audit_refuse()",
)
INSTALL = {"sqlite": SQLITE_INSTALL, "postgresql": POSTGRESQL_INSTALL}
REMOVE = {"sqlite": SQLITE_REMOVE, "postgresql": POSTGRESQL_REMOVE}


def install(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers (a migration's forward step)."""
    for statement in INSTALL[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def remove(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the triggers (a migration's backward step)."""
    for statement in REMOVE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def renew(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Replace the triggers of an older release by these (a migration's forward step)."""
    remove(apps, schema_editor)
    install(apps, schema_editor)
