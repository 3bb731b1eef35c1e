"""The cast of all tests: in every organization one person of each role, and a guest of its first project.

olivia (owner), adam (admin), mia (member), victor (viewer), gina (guest: editor of the project), ned (nobody here).
"""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from threading import Lock

from flask import Flask, current_app, has_app_context
from flask.testing import FlaskClient
from sqlalchemy import select, update

from dataelan_web.accounts.sign_up import create_organization, create_project
from dataelan_web.executions import branches, indexing
from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.models import (
    APIKey,
    Asset,
    Batch,
    BatchCell,
    BatchCheck,
    BatchRow,
    BatchState,
    CellState,
    CheckKind,
    Collaborator,
    Execution,
    ExecutionBody,
    GatewayToken,
    Membership,
    Model,
    ModelType,
    Organization,
    OrganizationKind,
    Origin,
    Price,
    Project,
    ProjectRole,
    Prompt,
    PromptSession,
    Provider,
    Role,
    SignIn,
    State,
    Template,
    TemplateVersion,
    User,
    new_id,
    now,
)
from dataelan_web.prompts.content import Content, Turn
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.router.types import user as said
from dataelan_web.storage import storage

ROLES = {"olivia": Role.OWNER, "adam": Role.ADMIN, "mia": Role.MEMBER, "victor": Role.VIEWER}


@dataclass
class Cast:
    organization: Organization
    project: Project
    session: PromptSession
    people: dict[str, User] = field(default_factory=dict)

    def __getattr__(self, name: str) -> User:
        try:
            return self.__dict__["people"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def home(self) -> str:
        return f"/o/{self.organization.slug}"

    @property
    def session_url(self) -> str:
        return f"{self.home}/sessions/{self.session.id}"

    @cached_property
    def secret(self) -> str:
        """Of a gateway token for the project, one for all who need no new one."""
        return self.token()

    def token(self) -> str:
        """The secret of a new gateway token for the project."""
        token, secret = GatewayToken.issue(self.project, self.olivia.id, "test")
        db.session.add(token)
        db.session.commit()
        return secret


def cast(name: str) -> Cast:
    """A new organization with its people, one project and one session. Commits."""
    people = {who: user(who) for who in (*ROLES, "gina", "ned")}
    organization = create_organization(people["olivia"], name, OrganizationKind.TEAM)
    project = create_project(organization, people["olivia"], f"{name} project")
    session = PromptSession(id=new_id(), project=project, title=f"{name} session", created_by=people["olivia"].id)
    db.session.add(session)
    for who in ("adam", "mia", "victor"):
        db.session.add(Membership(organization=organization, user=people[who], role=ROLES[who]))
    db.session.flush()
    db.session.add(Collaborator(project_id=project.id, user_id=people["gina"].id, role=ProjectRole.EDITOR))
    db.session.commit()
    return Cast(organization, project, session, people)


def user(name: str) -> User:
    # No password: hashing one takes longer than most tests. Those that sign in by form set it themselves.
    made = User(id=new_id(), email=f"{name}-{uuid.uuid4().hex[:8]}@example.com", name=name.title(), password_hash="-")
    db.session.add(made)
    return made


def browser(app: Flask, person: User | None = None) -> FlaskClient:
    """A client that is signed in as this person, and sends the CSRF token with every form."""
    client = app.test_client(use_cookies=True)
    client.__class__ = Browser
    client.csrf_tokens = {}
    if person is not None:
        with client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = cookie_of(app, person), True
    return client


_cookies: dict[tuple[uuid.UUID, str], str] = {}
_making = Lock()


def cookie_of(app: Flask, person: User) -> str:
    """What the cookie of a browser of theirs says: one for all, until their password changes. They are committed."""
    key = (person.id, person.session_key)
    with _making:
        if key not in _cookies:
            row, secret = SignIn.begin(person)
            row.proven_at = now() + timedelta(days=1)  # lately, however long the tests take
            with (current_app if has_app_context() else app).app_context():  # whose database is there
                db.session.add(row)
                db.session.commit()
            _cookies[key] = secret
    return _cookies[key]


class Browser(FlaskClient):
    csrf_tokens: dict[str, str]
    """Session cookie → the token of its forms."""

    def open(self, *args: object, **options: object):  # type: ignore[no-untyped-def]
        """Each request in a context of its own: Flask would share `g` with the test's, and with it the CSRF token."""
        options.setdefault("buffered", True)
        return contextvars.Context().run(super().open, *args, **options)

    def submit(self, url: str, data: dict[str, object] | None = None, **options: object):  # type: ignore[no-untyped-def]
        """POST a form as htmx does."""
        headers = {"HX-Request": "true", **options.pop("headers", {})}  # type: ignore[dict-item]
        form = {"csrf_token": self.csrf(), **(data or {})}
        return self.post(url, data=form, headers=headers, **options)

    def csrf(self) -> str:
        """As a page would tell it, without asking for one: made once for each session, which a cookie is."""
        if (token := self.csrf_tokens.get(self._session_cookie())) is None:
            with self.session_transaction() as session:
                token = str(session.setdefault("csrf_token", uuid.uuid4().hex))
            self.csrf_tokens[self._session_cookie()] = token
        return token

    def _session_cookie(self) -> str:
        cookie = self.get_cookie(self.application.config["SESSION_COOKIE_NAME"])
        return cookie.value if cookie else ""


def simulated_model(name: str = "simulated-instant") -> Model:
    """A model of the simulated provider, which everyone has."""
    provider = db.session.scalars(select(Provider).where(Provider.slug == "simulated")).one()
    return db.session.scalars(select(Model).where(Model.provider_id == provider.id, Model.name == name)).one()


@contextmanager
def failing_model(how: str) -> Iterator[Model]:
    """Everyone's, at the simulated provider, and failing in this way: for as long as the block lasts, since what
    chooses a model by itself would choose this one."""
    name, provider_id = f"simulated-fail-{how}", simulated_model().provider_id
    model = db.session.scalars(select(Model).where(Model.provider_id == provider_id, Model.name == name)).first()
    if model is None:
        model = Model(id=new_id(), provider_id=provider_id, name=name, display_name=name)
        model.prices = [Price(source="test", input=0, output=0)]
        db.session.add(model)
    model.is_enabled = True
    db.session.commit()
    model_id = model.id
    try:
        yield model
    finally:
        db.session.rollback()
        db.session.execute(update(Model).where(Model.id == model_id).values(is_enabled=False))
        db.session.commit()


def own_provider(cast: Cast, base_url: str, kind: str = "openai", secret: str = "sk-test-1234567890") -> APIKey:
    """A provider of the organization's own, with a key."""
    provider = Provider(
        id=new_id(),
        organization_id=cast.organization.id,
        slug=f"own-{uuid.uuid4().hex[:6]}",
        name="Own",
        kind=kind,
        base_url=base_url,
    )
    db.session.add(provider)
    db.session.flush()
    key = seal(provider, cast.organization, cast.olivia.id, "Test key", secret)
    db.session.commit()
    return key


def own_model(
    cast: Cast, key: APIKey, name: str, *, input: int | None = None, output: int | None = None, **values: object
) -> Model:
    """A model at the organization's own provider. Prices in nano-USD per million tokens; None: unknown."""
    model = Model(
        id=new_id(),
        provider_id=key.provider_id,
        organization_id=cast.organization.id,
        name=name,
        display_name=name,
        model_type=ModelType.TEXT,
    )
    for field_name, value in values.items():
        setattr(model, field_name, value)
    if input is not None and output is not None:
        model.prices = [Price(source="test", input=input, output=output)]
    db.session.add(model)
    db.session.commit()
    return model


def asset(
    cast: Cast, content: bytes, media_type: str = "image/png", name: str = "picture.png", **values: object
) -> Asset:
    """A file in storage; its row is not in the session yet."""
    stored = storage().put(cast.organization.id, content)
    made = Asset(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        name=name,
        media_type=media_type,
        size=stored.size,
        sha256=stored.sha256,
        storage_key=stored.key,
    )
    for field_name, value in values.items():
        setattr(made, field_name, value)
    return made


def template(cast: Cast, *texts: str, name: str = "", **content: object) -> Template:
    """A prompt whose versions say these texts; without any, only a draft could be. Commits."""
    slug = f"prompt-{uuid.uuid4().hex[:8]}"
    made = Template(id=new_id(), project=cast.project, name=name or slug, slug=slug, created_by=cast.mia.id)
    db.session.add(made)
    db.session.flush()
    for number, text in enumerate(texts, 1):
        said = Content(messages=(Turn("user", text),), **{"requested": "simulated/simulated-instant", **content})
        version = TemplateVersion(template_id=made.id, number=number, message=f"Version {number}")
        version.content, version.digest, version.author_id = said.settled.to_json(), said.digest, cast.mia.id
        db.session.add(version)
    made.newest = len(texts)
    db.session.commit()
    return made


def batch(cast: Cast, run: Execution | None = None, **values: object) -> Batch:
    """One row at one model: done, with this run as its answer and a check; without, a draft. Commits."""
    content = Content(messages=(Turn("user", "Say {{text}}"),), requested="simulated/simulated-instant")
    made = Batch(id=new_id(), project=cast.project, name="A batch", content=content.to_json(), columns=["text"])
    made.rows_count, made.models, made.mapping = 1, [content.requested], {"text": "text"}
    made.created_by = made.started_by = cast.mia.id
    for name, value in values.items():
        setattr(made, name, value)
    row = BatchRow(id=new_id(), batch_id=made.id, position=1, line=2, values=["Hello"])
    db.session.add(made)
    db.session.flush()
    db.session.add(row)
    db.session.flush()
    if run is not None:
        made.state, made.started_at, made.finished_at = BatchState.DONE, now(), now()
        made.checks = [BatchCheck(kind=CheckKind.CONTAINS, settings={"text": "hello", "loosely": True})]
        cell = BatchCell(batch_id=made.id, row_id=row.id, position=1, model=0, state=CellState.DONE)
        cell.execution_id = run.id
        db.session.add(cell)
    db.session.commit()
    return made


def _newest(session_id: object) -> uuid.UUID | None:
    return branches.newest(db.session.get_one(PromptSession, session_id))


def ended(cast: Cast, asked: str, answered: str = "", *, via_gateway: bool = False, **values: object) -> Execution:
    """A run that is over, in the cast's session or through the gateway. Commits."""
    session_id = values.get("session_id", cast.session.id)
    prompt = None if via_gateway else Prompt(session_id=cast.session.id, author_id=cast.mia.id, text=asked)
    run = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        session_id=None if via_gateway else cast.session.id,
        continues_id=None if via_gateway or not session_id else _newest(session_id),
        prompt=prompt,
        user_id=cast.mia.id,
        origin=Origin.GATEWAY if via_gateway else Origin.PLAYGROUND,
        state=State.COMPLETED,
        finished_at=now(),
        body=ExecutionBody(request=to_json(RouterPrompt(messages=(said(asked),))), text=answered),
    )
    for name, value in values.items():
        setattr(run, name, value)
    db.session.add(run)
    db.session.commit()
    indexing.index()
    return run
