"""what more is granted of a limit of the operator's is a change for everybody whom that limit counts"""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "granted_of_all"
down_revision = "limits_of_all"
branch_labels = None
depends_on = None

OF_A_GRANT = """
    IF TG_TABLE_NAME = 'budget_increases' AND changed ->> 'answer' = 'approved' THEN  -- whose limit it is, not who asked
        owner := coalesce(
            (SELECT organization_id FROM budgets WHERE id = (changed ->> 'budget_id')::uuid),
            (SELECT organization_id FROM rate_limits WHERE id = (changed ->> 'rate_id')::uuid)
        );
    END IF;"""


def upgrade() -> None:
    replace(OF_A_GRANT)


def downgrade() -> None:
    replace("")


def replace(of_a_grant: str) -> None:
    votes: Any = op.get_context().script.get_revision("votes").module
    op.execute(votes.CHANGED.format(of_a_vote=votes.OF_A_VOTE + of_a_grant))
