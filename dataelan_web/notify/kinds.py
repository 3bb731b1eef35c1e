"""The kinds of notices: how each is called, and who is told of it beside the page of notices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    name: str
    about: str
    """When it is told; a whole sentence."""
    icon: str
    is_mailed: bool = True
    """By mail too, unless the person wishes otherwise."""
    is_for_programs: bool = True
    """May webhooks be told? Of their own failures they are not: that would fail as well."""


KINDS = {
    "limit.reached": Kind("Limits", "A limit has used a share of what it allows, or all of it.", "gauge"),
    "increase.asked": Kind("Requests for more", "Somebody asks for more than a limit allows.", "ticket"),
    "increase.answered": Kind("Answers to requests", "A request for more was approved or declined.", "circle-check"),
    "proposal.asked": Kind("Proposals", "Somebody proposes a change to a prompt that you may decide.", "pencil"),
    "proposal.comment": Kind("Comments on proposals", "Somebody comments where you wrote.", "message-square"),
    "proposal.decided": Kind("Decisions on proposals", "A proposal of yours was approved or declined.", "check-check"),
    "batch.ended": Kind("Batches", "A batch that you started is done.", "layers", is_mailed=False),
    "batch.paused": Kind("Paused batches", "A batch that you started paused by itself.", "circle-pause"),
    "export.ended": Kind(
        "Exports",
        "An export of runs that you asked for is ready, or failed.",
        "download",
        is_mailed=False,
        is_for_programs=False,
    ),
    "action.waiting": Kind("Actions to approve", "A model asks for an action that you may approve.", "zap"),
    "action.decided": Kind("Decisions on actions", "An action that you ran was approved or declined.", "check-check"),
    "action.failed": Kind("Failing actions", "An action’s receiver does not take what it is told.", "circle-alert"),
    "summary.week": Kind(
        "Weekly summaries", "A week is over: what it cost, and what ran in it.", "file-text", is_mailed=False
    ),
    "summary.month": Kind(
        "Monthly summaries", "A month is over: what it cost, and what ran in it.", "file-text", is_mailed=False
    ),
    "member.joined": Kind(
        "New members", "Somebody accepted an invitation of yours.", "user-plus", is_mailed=False, is_for_programs=False
    ),
    "member.role": Kind("Your role", "Somebody changed what you may do.", "users", is_for_programs=False),
    "organization.deleted": Kind(
        "Deleted organizations", "An organization that you belong to was deleted.", "trash", is_for_programs=False
    ),
    "account.impersonated": Kind(
        "Administrators in your name", "An administrator looks at Dataelan as you see it.", "eye", is_for_programs=False
    ),
    "webhook.failed": Kind(
        "Failing webhooks", "A webhook does not take what it is told.", "webhook", is_for_programs=False
    ),
    "ledger.drift": Kind(
        "Limits and the ledger",
        "A limit does not agree with the ledger (for superusers).",
        "circle-alert",
        is_for_programs=False,
    ),
    "mail.failed": Kind(
        "Failing mail", "Mail to somebody is not delivered.", "mail", is_mailed=False, is_for_programs=False
    ),
}


def kind_of(name: str) -> Kind:
    """Also of one that a later version told, or an earlier one."""
    return KINDS.get(name) or Kind(name.replace(".", " ").replace("_", " ").capitalize(), "", "bell")


MAILED = {name: kind for name, kind in KINDS.items() if name != "mail.failed"}
FOR_PROGRAMS = {name: kind for name, kind in KINDS.items() if kind.is_for_programs}
