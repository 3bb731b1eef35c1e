"""A session to read anywhere: what was asked as a quotation, what was answered as it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..formats import count, duration, exact_money
from ..models import Asset, CopiedAnswer, Execution, PromptSession
from ..playground.conversation import Card


def markdown(session: PromptSession, cards: Iterable[Card]) -> str:
    return "\n\n".join([f"# {_line(session.title)}", *(part for card in cards for part in _card(card))]) + "\n"


def _card(card: Card) -> Iterator[str]:
    author = card.prompt.author.name if card.prompt and card.prompt.author else "A program"
    yield f"## {_line(author)}, {card.created_at:%Y-%m-%d %H:%M} UTC"
    if asked := _asked(card):
        yield "\n".join(f"> {line}".rstrip() for line in asked.splitlines())
    if card.prompt and card.prompt.assets:
        yield _files("Attached", card.prompt.assets)
    yield f"**{_line(_model(card))}**"
    text, calls = (
        (card.body.text, card.body.tool_calls) if isinstance(card, Execution) else (card.text, card.tool_calls)
    )
    if text:
        yield text
    for call in calls:
        yield _fenced(f"{call['name']}\n{call['arguments']}")
    if card.assets:
        yield _files("Made", card.assets)
    if isinstance(card, Execution) and card.body.error:
        yield f"*{card.state.value.capitalize()}: {_line(card.body.error)}*"
    yield f"*{_facts(card)}*"


def _asked(card: Card) -> str:
    """The prompt's words; or what tools, or a program, said last."""
    if card.prompt and card.prompt.text:
        return card.prompt.text
    message = (card.body.request.get("messages") or [{"parts": []}])[-1] if isinstance(card, Execution) else card.asked
    return "\n\n".join(part["text"] for part in message["parts"] if part.get("text"))


def _model(card: Card) -> str:
    if isinstance(card, CopiedAnswer):
        return card.model_name or "A model"
    if card.blind_in:
        return "A model of a blind comparison"
    return card.model.display_name if card.model else card.requested


def _facts(card: Card) -> str:
    if isinstance(card, CopiedAnswer):
        return "Copied from the session that this one was forked from"
    if card.blind_in:
        return "Its model, cost and speed are told when the best answer is chosen"
    facts = [card.state.value.capitalize(), exact_money(card.cost)]
    if card.tokens_in is not None or card.tokens_out is not None:
        facts.append(f"{count(card.tokens_in)} tokens in, {count(card.tokens_out)} out")
    if card.seconds is not None:
        facts.append(duration(card.seconds))
    return " · ".join(facts)


def _files(label: str, assets: list[Asset]) -> str:
    return f"{label}: {', '.join(_line(asset.name) for asset in assets)}"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _line(text: str) -> str:
    return " ".join(text.split())
