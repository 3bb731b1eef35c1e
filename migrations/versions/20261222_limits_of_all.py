"""what was granted of a limit of the operator's counts inside every organization, whichever of them asked for it"""

from alembic import op

revision = "limits_of_all"
down_revision = "windows_over"
branch_labels = None
depends_on = None

# Inside an organization (second_net) an increase that another asked for is not seen, and a limit on all of them was
# held to without it. These name their tenant themselves, or the rows that they are told.
FUNCTIONS = "quota_limits", "quota_hold", "quota_left"


def upgrade() -> None:
    for name in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {name} SECURITY DEFINER SET search_path FROM CURRENT")


def downgrade() -> None:
    for name in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {name} SECURITY INVOKER RESET search_path")
