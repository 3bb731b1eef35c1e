"""Pages of models: the list, one model, and those that an organization adds itself."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from ... import access
from ...extensions import db
from ...fields import offered
from ...models import Model, ModelType, Price, Project, Provider
from ...once import done_once
from ...router.parameters import CHAT_COMPLETIONS, OF_TASK
from ...router.types import Task
from ...web import page_number, redirect, render, toast, with_toast
from ..archive import shelving
from ..blueprint import bp, id_in
from . import browse, corrections, own, prices
from .browse import SORTS, Filters
from .forms import VARIED, FactsForm, ModelForm, OverrideForm, SizesForm
from .page import page_of
from .purpose import SOUGHT


@bp.get("/hub/models")
def models() -> Response:
    access.require(access.SEE)
    filters = Filters.of(request.args)
    lines, total, page = browse.search(filters, page_number())
    first = (page - 1) * browse.PAGE
    return render(
        "hub/models/models.html",
        "results",
        lines=lines,
        filters=filters,
        total=total,
        first=first + 1,
        last=first + len(lines),
        providers=[(row.slug, row.name) for row in browse.providers_with_models()],
        types=list(ModelType),
        tasks=list(Task),
        sought=SOUGHT,
        sorts=list(SORTS.items()),
        previous_url=_page_url(filters, page - 1) if page > 1 else None,
        next_url=_page_url(filters, page + 1) if page * browse.PAGE < total else None,
        can_edit=access.may(access.ADMINISTER),
    )


@bp.get("/hub/models/new")
def model_form() -> Response:
    access.require(access.ADMINISTER)
    return _new_page(ModelForm(formdata=None))


@bp.post("/hub/models")
@done_once()
def model_add() -> Response:
    access.require(access.ADMINISTER)
    form = ModelForm()
    provider = access.visible(Provider, id_in(form.provider_id.data))
    form.provider_id.choices = offered([(str(provider.id), provider.name)])
    if not form.validate_on_submit() or not form.check_prices(form.task):
        return _new_page(form, 422)
    try:
        model = own.add_by_hand(provider, g.organization, current_user.id, form.model_values)
    except own.Taken as taken:
        form.name.errors = [str(taken)]
        return _new_page(form, 422)
    toast(f"{model.display_name} was added.", "good")
    return redirect(url_for("hub.model", id=model.id))


@bp.post("/hub/models/catalogue")
@done_once()
def models_from_catalogue() -> Response:
    """Those that were ticked in the price catalogue's list of a provider that lists none itself."""
    access.require(access.ADMINISTER)
    provider = access.visible(Provider, id_in(request.form.get("provider_id")))
    added = own.add_from_catalogue(provider, g.organization, request.form.getlist("name"))
    if not added:
        page = _new_page(ModelForm(formdata=None), 422, provider)
        return with_toast(page, "Tick the models to add.", "danger")
    toast(f"{len(added)} {'model was' if len(added) == 1 else 'models were'} added.", "good")
    return redirect(url_for("hub.models", provider=provider.slug))


@bp.get("/hub/models/<uuid:id>")
def model(id: uuid.UUID) -> Response:
    access.require(access.SEE)
    return model_page(id)


@bp.post("/hub/models/<uuid:id>/enablement")
def model_enablement(id: uuid.UUID) -> Response:
    model = _own(id)
    own.set_enabled(model, request.form.get("is_enabled") == "yes")
    return with_toast(model_page(id), f"It is switched {'on' if model.is_enabled else 'off'}.", "good")


@bp.post("/hub/models/<uuid:id>/facts")
def model_facts(id: uuid.UUID) -> Response:
    """Of one of everyone's models: for this organization alone."""
    model = access.administered(Model, id)
    form = FactsForm() if model.organization_id else SizesForm()
    if not form.validate_on_submit():
        return model_page(id, 422, facts_form=form)
    if isinstance(form, FactsForm):
        own.set_facts(model, form.facts)
        return with_toast(model_page(id), "Saved.", "good")
    is_changed = corrections.correct(model, g.organization, current_user.id, form.sizes)
    word = "Saved, for your organization alone." if is_changed else "That is what holds here already."
    return with_toast(model_page(id), word, "good")


@bp.post("/hub/models/<uuid:id>/facts/undoing")
def model_facts_undoing(id: uuid.UUID) -> Response:
    """What the organization said of one of everyone's models is the catalogue's word again."""
    model = access.administered(Model, id)
    corrections.undo(model, g.organization)
    return with_toast(model_page(id), "What the catalogue says counts here again.", "good")


@bp.post("/hub/models/<uuid:id>/deletion")
def model_deletion(id: uuid.UUID) -> Response:
    model = _own(id)
    name = model.display_name
    try:
        shelving.remove_model(model)
    except shelving.InUse as refused:
        return model_page(id, 422, problem=str(refused))
    toast(f"“{name}” is in the archive now.", "good")
    return redirect(url_for("hub.models"))


@bp.post("/hub/models/<uuid:id>/sessions")
@done_once()
def model_session(id: uuid.UUID) -> Response:
    """“Try it”: a new session that asks this model."""
    access.require(access.EDIT)
    model = access.visible(Model, id)
    project = access.editable(Project, id_in(request.form.get("project_id")))
    session = own.new_session(model, project, current_user.id)
    return redirect(url_for("playground.show", id=session.id))


@bp.post("/hub/models/<uuid:id>/prices")
@done_once()
def model_price(id: uuid.UUID) -> Response:
    model, form = access.administered(Model, id), OverrideForm()
    values = form.values
    if not form.validate_on_submit() or not form.check_prices(model.task) or values is None:
        return model_page(id, 422, price_form=form)
    price = prices.set_price(model, g.organization, current_user.id, values, form.starts_at, form.variants(model.task))
    when = f"from {price.effective_at:%-d %B %Y} on" if form.starts_at else "from now on"
    return with_toast(model_page(id), f"Your price counts {when}.", "good")


@bp.post("/hub/models/<uuid:id>/prices/<uuid:price_id>/ending")
def model_price_ending(id: uuid.UUID, price_id: uuid.UUID) -> Response:
    model = access.administered(Model, id)
    price = db.session.get(Price, price_id)
    if price is None or price.model_id != model.id or price.organization_id != g.organization.id:
        abort(404)
    prices.end_price(price, model)
    return with_toast(model_page(id), "Your price has ended.", "good")


def model_page(id: uuid.UUID, status: int = 200, **context: Any) -> FlaskResponse:
    line = browse.line(id)
    empty = OverrideForm(formdata=None)
    empty.fill(line.price)
    page: dict[str, Any] = {"price_form": empty, "problem": "", **page_of(line), **context}
    fields, more_fields = page["price_form"].classes(line.task)
    page.setdefault("facts_form", FactsForm.of(line.model) if page["is_own"] else SizesForm.of_line(line))
    page["varied"] = VARIED.get(Task(line.task))
    return render(
        "hub/models/model.html",
        "model",
        status=status,
        fields=fields,
        more_fields=more_fields,
        crumbs=[("Models", url_for("hub.models"))],
        **page,
    )


def _new_page(form: ModelForm, status: int = 200, chosen: Provider | None = None) -> FlaskResponse:
    providers = list(db.session.scalars(access.scoped(Provider).order_by(Provider.name)))
    form.provider_id.choices = offered((str(row.id), row.name) for row in providers if not row.needs_address)
    asked = request.args.get("provider", "")
    form.provider_id.data = form.provider_id.data or next((str(row.id) for row in providers if row.slug == asked), None)
    without = own.without_list()
    chosen = chosen or next((row for row in without if row.slug == asked), None)
    return render(
        "hub/models/new.html",
        "new",
        status=status,
        form=form,
        fields=form.fields,
        refusable=[
            (box, [task.value for task, names in OF_TASK.items() if box.data in names])
            for box in form.refuses
            if box.data != CHAT_COMPLETIONS  # the first refusal tells
        ],
        price_classes=prices.BY_NAME,
        without_list=[(row.slug, row.name) for row in without],
        chosen=chosen,
        offered=own.offered(chosen) if chosen else [],
        crumbs=[("Models", url_for("hub.models"))],
    )


def _own(id: uuid.UUID) -> Model:
    """Only an organization's own may be changed; everyone's are the operator's."""
    model = access.administered(Model, id)
    if model.organization_id is None:
        abort(403)
    return model


def _page_url(filters: Filters, page: int) -> str:
    values: dict[str, Any] = {**filters.said, "page": page}
    return url_for("hub.models", **values)
