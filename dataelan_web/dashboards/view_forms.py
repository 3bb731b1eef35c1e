from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from .. import access
from ..fields import trim
from ..models import SavedView
from . import saved
from .filters import BadFilter

LONGEST = 80
TAKEN = "A view is called like that already. Choose another name."
FULL = f"There are {saved.MOST} views already. Delete one that nobody needs."


class NameForm(FlaskForm):
    name = StringField(
        "Name",
        [DataRequired("A view needs a name."), Length(max=LONGEST, message=f"A name has {LONGEST} letters at most.")],
        filters=[trim],
    )

    def is_free_for(self, view: SavedView) -> bool:
        """Else says so at the field."""
        if saved.of_the_same_name(str(self.name.data), shared=view.is_shared, but=view) is None:
            return True
        self.name.errors = [TAKEN]
        return False


class SaveForm(NameForm):
    """What is shown now, under a name."""

    page = HiddenField()
    said = HiddenField()
    """What stands behind the ? of its address."""
    is_shared = BooleanField("Everyone in the organization sees it")
    is_default = BooleanField(
        "The dashboard opens with it", description="For everyone, where no filters are asked for."
    )
    replaces = BooleanField("Replace the view of this name")

    address: dict[str, str]
    instead: SavedView | None = None
    can_replace = False

    @property
    def shares(self) -> bool:
        return access.may(access.ADMINISTER) and bool(self.is_shared.data or self.is_default.data)

    def validate_name(self, field: StringField) -> None:
        same = saved.of_the_same_name(str(field.data), shared=self.shares)
        self.can_replace = same is not None
        if same and not self.replaces.data:
            raise ValidationError("A view is called like that already. Replace it below, or choose another name.")
        if not same and saved.is_full(shared=self.shares):
            raise ValidationError(FULL)
        self.instead = same

    def validate_said(self, field: HiddenField) -> None:
        try:
            self.address = saved.read(str(self.page.data), field.data or "")
        except BadFilter as bad:
            raise ValidationError(str(bad)) from bad


def offered(found: Sequence[SavedView], page: str, address: Mapping[str, str]) -> dict[str, Any]:
    """What the menu of views on a page of the dashboard is made of."""
    form = SaveForm(data={"page": page, "said": urlencode(address)})
    return {"views": saved.menu(found, page, address), "save_form": form, "url_of_view": saved.url_of}
