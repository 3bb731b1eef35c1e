"""that a key goes before its owner's others, or no more, is a change of the hub: the migration at_once forgot it"""

from alembic import op

revision = "order_counts"
down_revision = "fewer_entries"
branch_labels = None
depends_on = None

BEFORE = (
    "ciphertext, provider_id, organization_id, label, last_four, is_default, weight, is_enabled, expires_at,"
    " listed_models, allowed_models, archived_at"
)
TRIGGER = (
    "CREATE TRIGGER api_keys_are_counted AFTER INSERT OR DELETE OR UPDATE OF {columns} ON api_keys"
    " FOR EACH ROW EXECUTE FUNCTION hub_changed()"
)


def upgrade() -> None:
    counted(f"{BEFORE}, goes_first, daily_quota")


def downgrade() -> None:
    counted(BEFORE)


def counted(columns: str) -> None:
    op.execute("DROP TRIGGER api_keys_are_counted ON api_keys")
    op.execute(TRIGGER.format(columns=columns))
