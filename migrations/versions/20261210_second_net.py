"""a request inside an organization sees no rows of another, whatever its queries ask for: row-level security"""

from alembic import op

revision = "second_net"
down_revision = "undone"
branch_labels = None
depends_on = None

ORGANIZATION = "(SELECT current_setting('dataelan.organization')::uuid)"
PERSON = "(SELECT current_setting('dataelan.person')::uuid)"
HERE = f"nullif(organization_id = {ORGANIZATION}, false) IS NOT NULL"
"""Said so that the planner looks it up in no index and takes it to hold, as it does where a query names its tenant. With
`organization_id = …` alone, it read all of an organization's runs for those of a session, and thought them few."""
ON_US = f"subject_id = {ORGANIZATION}"

OWN = (
    "action_calls action_receivers annotations assets audit_events budget_increases claimed_domains executions "
    "identity_providers invitations ledger_entries projects rollup_keys rollup_recounts run_exports "
    "saved_views search_slices service_accounts webhooks"
).split()
SHARED = "api_keys deliveries models prices providers routing_rules".split()
"""Rows of no organization are the operator's, and everybody's to use."""
LIMITS = ("budgets", "rate_limits")
"""The operator's hold for everybody, or for one organization."""

IN_PROJECTS = "batches declared_actions gateway_tokens imports label_protections prompt_sessions templates".split()
WORDS = {"execution_bodies": ("executions", "id"), "prompts": ("prompt_sessions", "session_id")}


def through(above: str, table: str, column: str) -> str:
    return f"EXISTS (SELECT FROM {above} above WHERE above.id = {table}.{column})"


POLICIES = {
    **dict.fromkeys(OWN, HERE),
    **dict.fromkeys(SHARED, f"{HERE} OR organization_id IS NULL"),
    **dict.fromkeys(LIMITS, f"{HERE} OR organization_id IS NULL AND (scope <> 'organization' OR {ON_US})"),
    # What is somebody's own is told to them wherever they are.
    **dict.fromkeys(("memberships", "notices"), f"{HERE} OR user_id = {PERSON}"),
    "collaborators": f"{through('projects', 'collaborators', 'project_id')} OR user_id = {PERSON}",
    **{table: through("projects", table, "project_id") for table in IN_PROJECTS},
    **{table: through(above, table, column) for table, (above, column) in WORDS.items()},
}
"""What is written, too, must be so."""
WRITTEN = {"audit_events": "true"}
"""Of what goes on inside, lines without an organization tell too: of one's account, or of the platform."""

STAY_INSIDE = """
CREATE FUNCTION stay_inside(organization uuid, person uuid) RETURNS boolean LANGUAGE plpgsql AS $$
-- To the end of this transaction. False: there is no role for it yet (dataelan_web/second_net.py makes this anew).
BEGIN
    RETURN false;
END $$
"""
ORGANIZATIONS_OF = """
CREATE FUNCTION organizations_of(person uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10 SET search_path FROM CURRENT AS $$
-- Those that somebody belongs to, or is a guest of: asked from inside one of them as well.
BEGIN
    RETURN QUERY
    SELECT m.organization_id FROM memberships m WHERE m.user_id = person
    UNION
    SELECT p.organization_id FROM collaborators c JOIN projects p ON p.id = c.project_id AND p.deleted_at IS NULL
    WHERE c.user_id = person;
END $$
"""


def upgrade() -> None:
    # Each table by itself: nobody waits for more than one of them, nor in a circle.
    with op.get_context().autocommit_block():
        for table, is_here in POLICIES.items():
            written = WRITTEN.get(table, is_here)
            op.execute(f"DROP POLICY IF EXISTS stays_inside ON {table}")
            op.execute(f"CREATE POLICY stays_inside ON {table} USING ({is_here}) WITH CHECK ({written})")
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    for function in (STAY_INSIDE, ORGANIZATIONS_OF):
        op.execute(function)


def downgrade() -> None:
    op.execute("DROP FUNCTION organizations_of(uuid)")
    op.execute("DROP FUNCTION stay_inside(uuid, uuid)")
    for table in reversed(POLICIES):
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY stays_inside ON {table}")
