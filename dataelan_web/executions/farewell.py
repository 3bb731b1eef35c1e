"""An organization whose 30 days are over: what its people said, their places, keys and programs go for ever. The narrow
rows of runs and the ledger stay, under a name that says nothing: they are the books."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, select, update

from ..extensions import db
from ..models import (
    Annotation,
    Answer,
    APIKey,
    Budget,
    ClaimedDomain,
    Correction,
    Delivery,
    GatewayToken,
    IdentityProvider,
    Increase,
    Invitation,
    Leftover,
    Membership,
    Notice,
    Organization,
    Project,
    RateLimit,
    RoutingRule,
    RunExport,
    SavedView,
    ServiceAccount,
    Webhook,
    new_id,
    now,
    slug_for,
)

GONE = "A deleted organization"


def farewell(organization: Organization, forget_project: Callable[[Project], None]) -> None:
    """Does not commit."""
    organization.purged_at = now()
    organization.name, organization.slug = GONE, slug_for("deleted")
    db.session.flush()  # from here on it needs no owner
    here = Project.organization_id == organization.id
    for project in db.session.scalars(select(Project).where(here, Project.purged_at.is_(None))).all():
        project.name, project.deleted_at = "A deleted project", project.deleted_at or now()
        forget_project(project)
    _destroy_secrets(organization)
    files = select(RunExport.storage_key).where(RunExport.organization_id == organization.id)
    for key in db.session.scalars(files.where(RunExport.storage_key != "")).all():
        db.session.add(Leftover(id=new_id(), storage_key=key))
    projects = select(Project.id).where(here)
    db.session.execute(delete(GatewayToken).where(GatewayToken.project_id.in_(projects)))
    settings = (RoutingRule, Invitation, ServiceAccount, Webhook, RateLimit, Budget, IdentityProvider, ClaimedDomain)
    for table in (*settings, SavedView, Annotation, Correction, Delivery, Notice, RunExport):
        owner = table.organization_id
        db.session.execute(delete(table).where(owner == organization.id).execution_options(synchronize_session=False))
    _forget_what_was_asked(organization)
    db.session.execute(delete(Membership).where(Membership.organization_id == organization.id))


def _forget_what_was_asked(organization: Organization) -> None:
    """Of the operator's limits: what was granted there may still count, for others too."""
    asked = Increase.organization_id == organization.id
    for statement in (
        delete(Increase).where(asked, Increase.answer != Answer.APPROVED),
        update(Increase).where(asked).values(reason="", answer_note=""),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))


def _destroy_secrets(organization: Organization) -> None:
    """The rows stay: attempts speak of them."""
    keys = update(APIKey).where(APIKey.organization_id == organization.id)
    gone = {"ciphertext": "", "is_enabled": False, "is_default": False, "goes_first": False, "archived_at": now()}
    db.session.execute(keys.values(**gone).execution_options(synchronize_session=False))
