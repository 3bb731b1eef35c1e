"""Prompts to begin with, in a project that has none."""

from __future__ import annotations

from dataclasses import dataclass

from .content import Content, Turn
from .variables import Kind, Variable


@dataclass(frozen=True)
class Example:
    name: str
    words: str
    content: Content


EXAMPLES = {
    "summary": Example(
        "Summarize for a reader",
        "A text, a reader and a length in: a summary out.",
        Content(
            system="You summarize texts for {{reader}}. Keep every figure and every name that matters."
            " Say nothing that is not in the text.",
            messages=(Turn("user", "Summarize this in at most {{sentences}} sentences:\n\n{{text}}"),),
            variables=(
                Variable("reader", default="a busy manager", description="Who reads it"),
                Variable("sentences", Kind.NUMBER, default="3"),
                Variable("text", description="What is to be summarized"),
            ),
        ),
    ),
    "reply": Example(
        "Answer a customer",
        "A customer’s message in, a reply in your tone out: short, kind, to the point.",
        Content(
            system="You answer customers of {{company}}. Tone: {{tone}}. Promise nothing that the facts do not say."
            " Where they do not suffice, say that a colleague will come back to them.\n\nFacts:\n{{facts}}",
            messages=(Turn("user", "{{message}}"),),
            temperature="0.4",
            variables=(
                Variable("company"),
                Variable("tone", Kind.CHOICE, default="friendly", options=("friendly", "formal", "brief")),
                Variable("facts", description="What the answer may rely on", required=False),
                Variable("message", description="What the customer wrote"),
            ),
        ),
    ),
    "extract": Example(
        "Read data out of a text",
        "A text in, JSON out by a schema: for programs that go on with it.",
        Content(
            messages=(Turn("user", "Read from this text the {{fields}}. Leave out what it does not say.\n\n{{text}}"),),
            temperature="0",
            schema='{\n  "type": "object",\n  "properties": {\n    "name": {"type": "string"},\n'
            '    "date": {"type": "string"},\n    "amount": {"type": "number"}\n  }\n}',
            variables=(Variable("fields", default="name, date and amount"), Variable("text")),
        ),
    ),
}
