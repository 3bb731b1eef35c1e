"""Whatever the OpenAPI document allows, and whatever it does not, is answered as the document says. Schemathesis makes
it up, the same each time, and a real server is asked. `DATAELAN_CALLS=300` makes up so many of each call, and besides
what lies at the edge of each field: some minutes."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from dataelan_web.gateway.openapi import document

from . import people

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis (of requirements-dev.txt) is not installed")

MANY = int(os.environ.get("DATAELAN_CALLS") or 0)
CONFIG = {
    "seed": 1,
    "generation": {
        "deterministic": True,
        "max-examples": MANY or 25,
        "database": "none",
        "with-security-parameters": False,
    },
    "phases": {"coverage": {"enabled": bool(MANY)}},
    # What no schema can say is 400.
    "checks": {"positive_data_acceptance": {"enabled": False}},
}
SCHEMA = schemathesis.openapi.from_dict(document(), config=schemathesis.Config.from_dict(CONFIG))
MODELS = {
    "create_embeddings": "simulated-vectors",
    "generate_images": "simulated-image",
    "speak": "simulated-voice",
    "transcribe": "simulated-ear",
}
SOUND = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"
ELSEWHERE = ("x-dataelan-rule", "Idempotency-Key")
"""Headers that would have it end before anything is asked: there is no such rule, and the key was used."""


@pytest.mark.sweep
@SCHEMA.parametrize()
@settings(deadline=None, suppress_health_check=[*HealthCheck])
def test_the_gateway_answers_as_its_document_says(case: Any, server: str, acme: people.Cast) -> None:
    """No error of ours, no status, form, type or header that is not documented, and nothing taken that it forbids."""
    if case.meta.generation.mode.is_positive:
        answerable(case)
    case.call_and_validate(base_url=server, headers={"Authorization": f"Bearer {acme.token()}"})


def answerable(case: Any) -> None:
    """Asks a model that is there, which no schema knows."""
    model = MODELS.get(case.operation.definition.raw["operationId"], "simulated-instant")
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = model
    if isinstance(case.body, dict) and "file" in case.body:
        case.body["file"] = SOUND
    for name in {"model", "name"} & (case.path_parameters or {}).keys():
        case.path_parameters[name] = model
    for name in ELSEWHERE:
        (case.headers or {}).pop(name, None)
