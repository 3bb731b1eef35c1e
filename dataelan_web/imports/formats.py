"""Whose export a file is, and how each of them is read. What does not look as expected is passed over, not trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from .conversations import ASSISTANT, USER, CannotCome, Conversation, Node, Said, Turn, chain, text_of, tree, when

Item = dict[str, Any]
Tree = tuple[list[Said], list[Turn]]
"""See conversations.tree."""


@dataclass(frozen=True)
class Format:
    name: str
    is_one: Callable[[Item], bool]
    """Is this object one of its conversations?"""
    read: Callable[[Item], tuple[Tree, Item]]
    """What was said in it, and what is known of it: {id, title, at, type?}."""


def conversations(items: list[Item], format: Format) -> Iterator[Conversation | str]:
    """Each conversation; a sentence for one that cannot come along, and nothing for one without a word."""
    for item in items:
        try:
            (prompts, turns), about = format.read(item)
        except CannotCome as problem:
            yield f"“{_title(item)}” cannot come along: {problem}."
            continue
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            yield f"“{_title(item)}” is not written as {format.name} writes its exports."
            continue
        if not turns:
            continue
        at = about.get("at") or next((asked.at for asked in prompts if asked.at), "")
        yield Conversation(about["id"][:200], about["title"], prompts, turns, at, about.get("type", "TEXT"))


def _title(item: Item) -> str:
    chat = item.get("chat")
    inner = chat.get("title") if isinstance(chat, dict) else ""
    session = item.get("session")
    own = session.get("title") if isinstance(session, dict) else ""
    title = next((t for t in (item.get("title"), item.get("name"), inner, own) if isinstance(t, str) and t.strip()), "")
    return " ".join(title.split())[:190] or "Untitled"


def _about(item: Item, id: Any, at: Any) -> Item:
    return {"id": str(id or ""), "title": _title(item), "at": when(at)}


# -- ChatGPT: `mapping`, a tree of nodes ------------------------------------------------------------


def _chatgpt(item: Item) -> tuple[Tree, Item]:
    nodes = []
    for id, node in item["mapping"].items():
        message = node.get("message") or {}
        about = message.get("metadata") or {}
        role = (message.get("author") or {}).get("role", "")
        is_hidden = about.get("is_visually_hidden_from_conversation") or message.get("recipient", "all") != "all"
        said = Said(
            _chatgpt_text(message.get("content") or {}),
            str(about.get("model_slug") or item.get("default_model_slug") or "") if role == ASSISTANT else "",
            when(message.get("create_time")),
        )
        nodes.append(Node(str(id), str(node.get("parent") or ""), "" if is_hidden else role, said))
    found = tree(nodes, str(item.get("current_node") or ""))
    return found, _about(item, item.get("conversation_id") or item.get("id"), item.get("create_time"))


def _chatgpt_text(content: Item) -> str:
    kind = content.get("content_type")
    if kind == "code":
        return f"```{content.get('language') or ''}\n{content.get('text') or ''}\n```"
    if kind in ("text", "multimodal_text"):
        return "\n\n".join(_chatgpt_part(part) for part in content.get("parts") or [] if part)
    return ""


def _chatgpt_part(part: Any) -> str:
    if isinstance(part, dict) and part.get("content_type") == "image_asset_pointer":
        return "[a picture, which the export does not hold here]"
    return text_of(part)


# -- Claude: `chat_messages`, in a row or with parents ----------------------------------------------


def _claude(item: Item) -> tuple[Tree, Item]:
    roles = {"human": USER, "assistant": ASSISTANT}
    messages = [
        (
            message,
            roles.get(message.get("sender", ""), ""),
            Said(_claude_text(message), "", when(message.get("created_at"))),
        )
        for message in item["chat_messages"]
    ]
    for _, role, said in messages:
        said.model = str(item.get("model") or "Claude") if role == ASSISTANT else ""
    if all(message.get("parent_message_uuid") and message.get("uuid") for message, _, _ in messages):
        nodes = [Node(str(m["uuid"]), str(m["parent_message_uuid"]), role, said) for m, role, said in messages]
    else:
        nodes = chain((role, said) for _, role, said in messages)
    found = tree(nodes, str(item.get("current_leaf_message_uuid") or ""))
    return found, _about(item, item.get("uuid"), item.get("created_at"))


def _claude_text(message: Item) -> str:
    said = text_of(message.get("content")) or text_of(message.get("text"))
    for file in message.get("attachments") or []:
        if isinstance(file, dict) and file.get("extracted_content"):
            name = escape(str(file.get("file_name") or "file"))
            said += f'\n\n<file name="{name}">\n{text_of(file["extracted_content"])}\n</file>'
    return said


# -- LibreChat: `messages` with parents, or as a tree of `children` ---------------------------------


def _librechat(item: Item) -> tuple[Tree, Item]:
    nodes = list[Node]()
    waiting: list[tuple[Item, str | None]] = [(m, None) for m in reversed(item.get("messagesTree") or item["messages"])]
    options = item.get("options") if isinstance(item.get("options"), dict) else {}
    while waiting:
        message, above = waiting.pop()
        id = str(message["messageId"])
        role = USER if message.get("isCreatedByUser") else ASSISTANT
        model = message.get("model") or (options or {}).get("model") or message.get("sender") or ""
        said = Said(
            text_of(message.get("text")) or text_of(message.get("content")),
            str(model) if role == ASSISTANT else "",
            when(message.get("createdAt")),
        )
        nodes.append(Node(id, above if above is not None else str(message.get("parentMessageId") or ""), role, said))
        waiting += [(child, id) for child in reversed(message.get("children") or [])]
    at = next((node.said.at for node in nodes if node.said.at), "")
    return tree(nodes, ""), _about(item, item.get("conversationId"), at)


# -- Open WebUI: `chat.history`, a tree; in old exports `chat.messages`, a row ----------------------


def _open_webui(item: Item) -> tuple[Tree, Item]:
    chat = item["chat"]
    history = chat.get("history") or {}
    if kept := history.get("messages"):
        found = [(str(id), str(m.get("parentId") or ""), m) for id, m in kept.items()]
    else:
        found = [(str(place + 1), str(place), m) for place, m in enumerate(chat["messages"])]
    nodes = [
        Node(
            id,
            parent,
            m.get("role", ""),
            Said(
                text_of(m.get("content")),
                str(m.get("model") or m.get("modelName") or "") if m.get("role") == ASSISTANT else "",
                when(m.get("timestamp")),
            ),
        )
        for id, parent, m in found
    ]
    at = item.get("created_at") or chat.get("timestamp")
    return tree(nodes, str(history.get("currentId") or "")), _about(item, item.get("id") or chat.get("id"), at)


# -- our own: docs/session-export.md ----------------------------------------------------------------


def _own(item: Item) -> tuple[Tree, Item]:
    if item.get("version") != 1:
        raise CannotCome("it was written by a later Dataelan")
    session = item["session"]
    prompts, turns = list[Said](), list[Turn]()
    asked: dict[str, int] = {}
    places: dict[str, int | None] = {"": None}
    is_tree = session.get("type", "TEXT") in ("TEXT", "CODE")
    for run in item["runs"]:
        last = len(turns) - 1 if turns else None
        # What it goes on from may be in no file, as what was deleted: then it stays behind what stands before it.
        after = last
        if is_tree and not run.get("is_copy"):
            after = places.get(str(run.get("continues") or ""), last)
        said, answer = _own_said(item, run)
        if not (said.text or answer.text):
            places[str(run.get("id"))] = after
            continue
        key = str((run.get("prompt") or {}).get("id") or run.get("id"))
        if key not in asked:
            asked[key] = len(prompts)
            prompts.append(said)
        turns.append(Turn(asked[key], answer, after))
        places[str(run.get("id"))] = len(turns) - 1
        if run.get("is_copy"):  # what a fork began with is before all that has no other beginning
            places[""] = len(turns) - 1
    about = _about(item, session.get("id"), session.get("created_at"))
    return (prompts, turns), about | {"type": "CODE" if session.get("type") == "CODE" else "TEXT"}


def _own_said(item: Item, run: Item) -> tuple[Said, Said]:
    """(what was asked, what was answered)"""
    prompt, times, model = run.get("prompt") or {}, run.get("times") or {}, run.get("model") or {}
    asked = text_of(prompt.get("text")) or _last_said(item, run)
    name = str(model.get("name") or run.get("requested") or "")
    return (
        Said(asked, at=when(prompt.get("created_at") or times.get("created"))),
        Said(text_of(run["answer"].get("text")), name, when(times.get("finished"))),
    )


def _last_said(item: Item, run: Item) -> str:
    """What a program asked: its prompt is kept nowhere but in the messages."""
    places = run.get("messages") or []
    return text_of(item["messages"][places[-1]]["parts"]) if places else ""


def _has(item: Item, *names: str) -> bool:
    return all(name in item for name in names)


FORMATS = {
    "dataelan": Format("Dataelan", lambda item: item.get("format") == "dataelan.session", _own),
    "chatgpt": Format("ChatGPT", lambda item: isinstance(item.get("mapping"), dict), _chatgpt),
    "claude": Format("Claude", lambda item: isinstance(item.get("chat_messages"), list), _claude),
    "open_webui": Format("Open WebUI", lambda item: isinstance(item.get("chat"), dict), _open_webui),
    "librechat": Format(
        "LibreChat",
        lambda item: _has(item, "conversationId") and (_has(item, "messages") or _has(item, "messagesTree")),
        _librechat,
    ),
}
