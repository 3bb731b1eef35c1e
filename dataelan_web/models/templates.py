"""Prompts as assets: a template with its versions, labels, drafts, saved cases, runs and proposals.

A `content` is everything that is sent, as it was typed (prompts/content.py says its form); two are the same when
their `digest`s are. Versions are named by their number: 1, 2, 3 … within their template.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from enum import StrEnum
from itertools import count
from typing import cast

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column, object_session, relationship

from .accounts import User
from .base import Base, DbSession, Json, Long, Name, Time, Trashable, in_trash, now, parent, reference
from .executions import Execution
from .workspace import Project


class Template(Base):
    """A prompt with variables. Programs name it by its `slug`. One in the trash gives its name and slug free."""

    __tablename__ = "templates"
    __table_args__ = (
        Index("uq_templates_slug", "project_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("uq_templates_name", "project_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    project_id: Mapped[uuid.UUID] = parent("projects.id")
    name: Mapped[Name]
    slug: Mapped[Name]
    description: Mapped[Long] = mapped_column(default="")
    newest: Mapped[int] = mapped_column(default=0)
    """The number of the newest version; 0 while none is published."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time] = mapped_column(default=now)
    deleted_at: Mapped[Time | None]
    deleted_by: Mapped[uuid.UUID | None] = reference("users.id")

    project: Mapped[Project] = relationship()

    def discard(self, user_id: uuid.UUID) -> None:
        self.deleted_at, self.deleted_by = now(), user_id

    def restore(self) -> None:
        """Under another name, where its own is taken by now."""
        living = select(Template.name, Template.slug)
        living = living.where(Template.project_id == self.project_id, Template.deleted_at.is_(None))
        others = cast(Session, object_session(self)).execute(living).all()
        self.name = free_name(self.name, {other.name for other in others}, " ({})")
        self.slug = free_name(self.slug, {other.slug for other in others}, "-{}")
        self.deleted_at = self.deleted_by = None


def free_name(wanted: str, taken: Collection[str], ending: str) -> str:
    """It, or with a number where it is taken."""
    numbered = (f"{wanted[:190]}{ending.format(number)}" for number in count(2))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


class TemplateVersion(Base):
    """Never changed: the database itself refuses it (a trigger of the migration that made the table)."""

    __tablename__ = "template_versions"
    __table_args__ = (UniqueConstraint("template_id", "number"),)

    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    number: Mapped[int]
    content: Mapped[Json]
    digest: Mapped[Name]
    message: Mapped[Long]
    """What changed, in its author's words."""
    author_id: Mapped[uuid.UUID | None] = reference("users.id")

    author: Mapped[User | None] = relationship()


class TemplateDraft(Base):
    """What one person is writing, and the values they try it with. `base`: the version that was newest then. One that
    was dropped can be taken back until another is begun."""

    __tablename__ = "template_drafts"
    __table_args__ = (UniqueConstraint("template_id", "user_id"),)

    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    content: Mapped[Json]
    values: Mapped[Json] = mapped_column(default=dict)
    said: Mapped[Long] = mapped_column(default="")
    base: Mapped[int]
    updated_at: Mapped[Time] = mapped_column(default=now)
    dropped_at: Mapped[Time | None]


class TemplateLabel(Base):
    """A name, such as production, that programs ask for, and the version it stands for now."""

    __tablename__ = "template_labels"
    __table_args__ = (
        UniqueConstraint("template_id", "name"),
        ForeignKeyConstraint(
            ["template_id", "number"],
            ["template_versions.template_id", "template_versions.number"],
            ondelete="CASCADE",
            name="fk_template_labels_version",
        ),
    )

    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    name: Mapped[Name]
    number: Mapped[int]
    updated_at: Mapped[Time] = mapped_column(default=now, onupdate=now)


class LabelMove(Base):
    """A label's history. `before` None: it was new; `after` None: it was taken away."""

    __tablename__ = "label_moves"
    __table_args__ = (Index("ix_label_moves_template_id_name", "template_id", "name"),)

    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    name: Mapped[Name]
    before: Mapped[int | None]
    after: Mapped[int | None]
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    proposal: Mapped[int | None]
    """The number of the proposal that asked for it."""

    user: Mapped[User | None] = relationship()


class LabelProtection(Base):
    """Whether a label of this project is moved by owners and admins only. Without a row, `production` alone is."""

    __tablename__ = "label_protections"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    name: Mapped[Name]
    is_protected: Mapped[bool]


class TemplateCase(Trashable, Base):
    """Values to try every version with. `said`: what a person says after the template's own messages. One in the trash
    gives its name free."""

    __tablename__ = "template_cases"
    __table_args__ = (
        Index(
            "uq_template_cases_name", "template_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")
        ),
        in_trash("template_cases"),
    )

    template_id: Mapped[uuid.UUID] = parent("templates.id")
    name: Mapped[Name]
    values: Mapped[Json] = mapped_column(default=dict)
    said: Mapped[Long] = mapped_column(default="")
    expected: Mapped[Long] = mapped_column(default="")
    """The answer that is hoped for; empty: none was said."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    template: Mapped[Template] = relationship()

    @property
    def project_id(self) -> uuid.UUID:
        return self.template.project_id

    def restore(self) -> None:
        """Under another name, where its own is taken by now."""
        living = select(TemplateCase.name).filter_by(template_id=self.template_id, deleted_at=None)
        others = cast(Session, object_session(self)).scalars(living).all()
        self.name = free_name(self.name, set(others), " ({})")
        super().restore()


class TemplateRun(Base):
    """What an execution was made from: its id is the execution's. `number` None: a draft.

    The same `digest`, `values` and `said` make the same prompt, so an answer is found again whatever it is called now.
    """

    __tablename__ = "template_runs"
    __table_args__ = (Index("ix_template_runs_template_id_created_at", "template_id", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True)
    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    number: Mapped[int | None]
    digest: Mapped[Name]
    values: Mapped[Json] = mapped_column(default=dict)
    said: Mapped[Long] = mapped_column(default="")
    case_id: Mapped[uuid.UUID | None] = reference("template_cases.id", index=True)
    together: Mapped[uuid.UUID | None]
    """The same for runs that were started to be compared."""

    execution: Mapped[Execution] = relationship(back_populates="template_run")
    template: Mapped[Template] = relationship()
    case: Mapped[TemplateCase | None] = relationship()

    def again(self) -> TemplateRun:
        """The same, for another execution."""
        names = ("template_id", "number", "digest", "values", "said", "case_id")
        return TemplateRun(**{name: getattr(self, name) for name in names})


class ProposalState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Proposal(Base):
    """A draft that is to become a version, or a version that a label is to stand for, waiting for another person.

    `content` is what is proposed in either case; `publishes` tells which. `target` is the version: from the start when
    it exists already, else once it was approved.
    """

    __tablename__ = "proposals"
    __table_args__ = (
        UniqueConstraint("template_id", "number"),
        Index("ix_proposals_open", "template_id", postgresql_where=text("state = 'open'")),
    )

    template_id: Mapped[uuid.UUID] = parent("templates.id", index=False)
    number: Mapped[int]
    author_id: Mapped[uuid.UUID | None] = reference("users.id")
    message: Mapped[Long]
    content: Mapped[Json]
    digest: Mapped[Name]
    base: Mapped[int]
    """The version that was newest when it was made."""
    publishes: Mapped[bool]
    target: Mapped[int | None]
    label: Mapped[Name] = mapped_column(default="")
    """The label to move when it is approved; empty: none."""
    state: Mapped[ProposalState] = mapped_column(default=ProposalState.OPEN)
    decided_by: Mapped[uuid.UUID | None] = reference("users.id")
    decided_at: Mapped[Time | None]
    note: Mapped[Long] = mapped_column(default="")

    author: Mapped[User | None] = relationship(foreign_keys=[author_id])
    decider: Mapped[User | None] = relationship(foreign_keys=[decided_by])
    comments: Mapped[list[ProposalComment]] = relationship(order_by="ProposalComment.created_at")

    @property
    def is_open(self) -> bool:
        return self.state is ProposalState.OPEN


class ProposalComment(Base):
    __tablename__ = "proposal_comments"

    proposal_id: Mapped[uuid.UUID] = parent("proposals.id")
    author_id: Mapped[uuid.UUID | None] = reference("users.id")
    text: Mapped[Long]

    author: Mapped[User | None] = relationship()


# -- the verbs of one row: each is one atomic statement ------------------------------------------


def next_number(session: DbSession, id: uuid.UUID, seen: int) -> int | None:
    """Take the number of a template's next version. None when `seen` is no longer the newest: somebody was first."""
    number: int | None = session.scalar(
        update(Template)
        .where(Template.id == id, Template.newest == seen, Template.deleted_at.is_(None))
        .values(newest=Template.newest + 1, updated_at=now())
        .returning(Template.newest)
    )
    return number


def decide(session: DbSession, id: uuid.UUID, state: ProposalState, user_id: uuid.UUID, note: str = "") -> bool:
    """Bring an open proposal to its end. False: somebody else has decided already."""
    decided = session.scalar(
        update(Proposal)
        .where(Proposal.id == id, Proposal.state == ProposalState.OPEN)
        .values(state=state, decided_by=user_id, decided_at=now(), note=note)
        .returning(Proposal.id)
    )
    return decided is not None
