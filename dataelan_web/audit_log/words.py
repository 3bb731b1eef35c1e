"""A line of the log in words: what happened, what it was before and after, and from where."""

from __future__ import annotations

import json
from typing import Any

from ..models import AuditEvent, Unit
from ..models.audit import Source
from ..quota import amounts

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


def title(action: str) -> str:
    """`key.made_default` → Key made default"""
    noun, _, verb = action.partition(".")
    return f"{NOUNS.get(noun, noun.replace('_', ' ').capitalize())} {verb.replace('_', ' ')}"


def changes(event: AuditEvent) -> list[tuple[str, str | None, str]]:
    """[(what, before, after)]. Before is None where there was nothing before, or nobody wrote it down."""
    detail = dict(event.detail)
    before, units = detail.pop("before", None), dict.fromkeys(AMOUNTS, _unit(detail))
    if not isinstance(before, dict):
        changed = [] if before is None else [("", _said(before), _said(detail.pop("after", None)))]
        return changed + [(_called(name), None, _said(value, units.get(name))) for name, value in detail.items()]
    gone = {name: None for name in before if name not in detail}
    return [
        (_called(name), _said(before[name], units.get(name)) if name in before else None, _said(value, units.get(name)))
        for name, value in (detail | gone).items()
        if name not in before or before[name] != value
    ]


def _called(name: str) -> str:
    return name.removeprefix("is_").replace("_", " ").capitalize()


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
