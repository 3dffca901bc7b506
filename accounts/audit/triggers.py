"""The database's own refusal to change the trail, for PostgreSQL and SQLite.

A row may be deleted only from behind a checkpoint that was made as a cut. Who forges one cannot
sign it, so `verify_audit` still finds out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import StateApps

EVENT = "accounts_auditevent"
CHECKPOINT = "accounts_auditcheckpoint"
_CUT = f"SELECT COALESCE(MAX(event_id), 0) FROM {CHECKPOINT} WHERE cut"  # noqa: S608 - constants

SQLITE_INSTALL = (
    f"""CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON {EVENT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON {EVENT}
    WHEN OLD.id > ({_CUT})
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON {CHECKPOINT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    f"""CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON {CHECKPOINT}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)
SQLITE_REMOVE = (
    "DROP TRIGGER IF EXISTS audit_event_no_update",
    "DROP TRIGGER IF EXISTS audit_event_no_delete",
    "DROP TRIGGER IF EXISTS audit_checkpoint_no_update",
    "DROP TRIGGER IF EXISTS audit_checkpoint_no_delete",
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
)
POSTGRESQL_REMOVE = (
    f"DROP TRIGGER IF EXISTS audit_event_append_only ON {EVENT}",
    f"DROP TRIGGER IF EXISTS audit_checkpoint_append_only ON {CHECKPOINT}",
    "DROP FUNCTION IF EXISTS audit_refuse()",
)
_INSTALL = {"sqlite": SQLITE_INSTALL, "postgresql": POSTGRESQL_INSTALL}
_REMOVE = {"sqlite": SQLITE_REMOVE, "postgresql": POSTGRESQL_REMOVE}


def install(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers (a migration's forward step)."""
    for statement in _INSTALL[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def remove(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the triggers (a migration's backward step)."""
    for statement in _REMOVE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)
