"""What a role may see is a statement that is made once: whomever it named would be shown to everybody after."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Select

from dataelan_web import access
from dataelan_web.models import Base, Role


@pytest.mark.parametrize("role", [*Role, None])
@pytest.mark.parametrize("make", [access.seen_by, access._with_what_it_is_in])
def test_a_statement_that_is_made_once_names_nobody(make: Any, role: Role | None) -> None:
    """It is made here without a request, so that there is nobody whom it could name by mistake."""
    tried = [statement(make.__wrapped__, role, mapper.class_) for mapper in Base.registry.mappers]
    made = [one for one in tried if one is not None]
    assert len(made) > 20
    for one in made:
        assert not [bind.value for bind in one.compile().binds.values() if isinstance(bind.value, uuid.UUID)]


def statement(make: Callable[..., Select[Any]], role: Role | None, model: type[Base]) -> Select[Any] | None:
    try:
        return make(role, model)
    except LookupError:  # of no organization, or seen by other ways
        return None
