"""A line of the log in words: what happened, what it was before and after, and from where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from ..hub.rules.beside import STRATEGIES
from ..limits.forms import UNITS, WINDOWS
from ..limits.subjects import KINDS as SCOPES
from ..models import AuditEvent, Unit
from ..models.audit import Source
from ..quota import amounts
from .naming import Names

NOUNS = {
    "account": "Account",
    "action": "Action",
    "asset": "File",
    "audit": "Audit log",
    "batch": "Batch",
    "case": "Case",
    "check": "Check of a batch",
    "checklist": "Checklist",
    "collaborator": "Guest of a project",
    "comment": "Comment",
    "comparison": "Comparison",
    "delivery": "Message",
    "execution": "Run",
    "domain": "Domain",
    "export": "Export",
    "file": "File",
    "hub": "Model Hub",
    "impersonation": "Impersonation",
    "import": "Import",
    "increase": "Request for more",
    "invitation": "Invitation",
    "key": "Key",
    "label": "Label",
    "ledger": "Ledger",
    "limit": "Limit",
    "link": "Public link",
    "member": "Member",
    "model": "Model",
    "note": "Note",
    "organization": "Organization",
    "platform": "Dataelan",
    "price": "Price",
    "project": "Project",
    "prompt": "Prompt",
    "proposal": "Proposal",
    "provider": "Provider",
    "rate": "Rate",
    "rule": "Routing rule",
    "run": "Run",
    "runs": "Runs",
    "service_account": "Service account",
    "session": "Session",
    "sso": "Single sign-on",
    "template": "Prompt",
    "token": "Gateway token",
    "view": "View of the dashboard",
    "webhook": "Webhook",
}
"""What the first half of an action is called. A test finds those that the code records and are not in it."""
SOURCES = {Source.BROWSER: "Browser", Source.COMMAND: "Command line", Source.WORKER: "Dataelan itself"}
KINDS = sorted(((noun, name) for noun, name in NOUNS.items() if noun not in ("asset", "template", "run")), key=str)
AMOUNTS = ("limit", "amount", "granted")
"""What of a line that names a unit is counted in it."""
LONGEST = 300
CALLED = {
    "alerts": "Tell at",
    "base_url": "Address",
    "execution": "Run",
    "is_hard": "When it is reached",
    "model_type": "Type",
    "scope": "A limit on",
    "subject_id": "Which one",
    "unit": "Counted in",
    "window": "In",
}
"""Field → what its form calls it, where that is another word."""
VALUES: Mapping[str, Mapping[Any, str]] = {
    "is_hard": {True: "Refuse", False: "Only tell"},
    "scope": {scope.value: kind.one for scope, kind in SCOPES.items()},
    "strategy": {strategy.value: words[0] for strategy, words in STRATEGIES.items()},
    "unit": {unit.value: label for unit, label in UNITS.items()},
    "window": {window.value: label for window, label in WINDOWS.items()},
}
"""Field → what is stored → what its form says for it."""
CONSTANTS = ("role", "model_type", "kind", "mode")
"""Fields of which one word is stored, in large letters; and what `before` and `after` are of, in the actions below."""
ORDER = ("scope", "subject_id", "unit", "limit", "amount", "granted", "window", "is_hard", "alerts")
"""Of fields of which one says what the next is; the database keeps none."""
OF_CONSTANTS = ("member.role_changed", "collaborator.role_changed", "organization.kind_changed")
MOMENTS = ("at", "until", "starts_at", "ended_at", "window_began")


def title(action: str) -> str:
    """`key.made_default` → Key made default"""
    noun, _, verb = action.partition(".")
    return f"{NOUNS.get(noun, noun.replace('_', ' ').capitalize())} {verb.replace('_', ' ')}"


def changes(event: AuditEvent, names: Names | None = None, zone: tzinfo = UTC) -> list[tuple[str, str | None, str]]:
    """[(what, before, after)]. Before is None where there was nothing before, or nobody wrote it down. `names`: what
    the ids in it stand for (naming.py)."""
    places = {name: place for place, name in enumerate(ORDER)}
    detail = dict(sorted(event.detail.items(), key=lambda item: places.get(item[0], len(places))))
    before, units = detail.pop("before", None), dict.fromkeys(AMOUNTS, _unit(detail))

    def said(name: str, value: Any) -> str:
        if names and isinstance(value, str) and value in names:
            return names[value]
        return _said(_worded(name, value, zone), units.get(name))

    if not isinstance(before, dict):
        of = "kind" if event.action in OF_CONSTANTS else ""
        changed = [] if before is None else [("", said(of, before), said(of, detail.pop("after", None)))]
        return changed + [(_called(name), None, said(name, value)) for name, value in detail.items()]
    gone = {name: None for name in before if name not in detail}
    return [
        (_called(name), said(name, before[name]) if name in before else None, said(name, value))
        for name, value in (detail | gone).items()
        if name not in before or before[name] != value
    ]


def _called(name: str) -> str:
    return CALLED.get(name) or name.removeprefix("is_").replace("_", " ").capitalize()


def _worded(name: str, value: Any, zone: tzinfo) -> Any:
    """What is stored, as the form says it."""
    if name in VALUES and isinstance(value, str | bool):
        return VALUES[name].get(value, value)
    if not isinstance(value, str):
        return [f"{one} %" for one in value] if name == "alerts" and isinstance(value, list) else value
    if name in CONSTANTS and value.isupper():
        return value.capitalize()
    if name in MOMENTS:
        try:
            return f"{datetime.fromisoformat(value).astimezone(zone):%-d %b %Y %H:%M}"
        except ValueError:
            return value
    return value


def _unit(detail: dict[str, Any]) -> Unit | None:
    said = detail.get("unit", detail.get("pace"))
    return Unit(said) if said in list(Unit) else None


def _said(value: Any, unit: Unit | None = None) -> str:
    if value is None or value == "" or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and unit is not None:
        return amounts.said(unit, value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
