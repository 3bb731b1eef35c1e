"""Which parameter a provider says that its model does not take, in the words of its refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..parameters import CHAT_COMPLETIONS

# Our word for a parameter (router/parameters.py) <- what refusals call it.
_PARAMETERS: Mapping[str, str] = {
    "temperature": "temperature",
    "reasoning_effort": r"reasoning|(?:output_config\.)?effort|reasoning[ ._]?effort|reasoningconfig|"
    r"(?:adaptive )?thinking|thinking[ _]?(?:level|budget|config)",
    "top_p": "top[_ -]?p",
    "seed": "(?:random_)?seed",
    "stop": r"stop(?:[_ ]?sequences?)?",
    "stream": "stream_format|sse",
}


def _not_taken(name: str) -> str:
    """A pattern: that a parameter itself is not taken, in so many words; not that its value is out of range, nor that
    it does not go with another."""
    named = rf"(?:{name})['\"`\])]{{0,3}}"
    quoted = rf"['\"`\[(]{{0,3}}(?:body\.)?{named}(?!\w|\.\w)"
    return (
        rf"(?:unsupported|unknown|unrecognized|unexpected|extraneous) (?:request )?"
        rf"(?:parameters?|arguments?|fields?|keys?|names?)(?: supplied)?:? {quoted}(?!.{{0,80}} has moved)|"
        rf"\b{named}:? (?:(?:parameter|field|is|are|inputs?|extra) ){{0,3}}"
        rf"(?:not (?:supported|permitted|allowed|enabled)|deprecated|unsupported)|"
        rf"(?:does not|doesn['’]t) support (?:the )?(?:parameters? )?{quoted}(?! ?(?:levels?|values?)\b| ['\"])|"
        rf"\b{named} does not support .{{1,30}} with this model\. Only the default"
    )


# OpenAI’s “This model is only supported in v1/responses and not in v1/chat/completions.” and, of the same models, “This
# is not a chat model and thus not supported in the v1/chat/completions endpoint.” (github.com/n8n-io/n8n/issues/18352,
# Portkey-AI/gateway/issues/1445); Azure’s “The chatCompletion operation does not work with the specified model”
# (langgenius/dify-plugin-sdks/issues/264); Copilot’s “is not accessible via the /chat/completions endpoint”.
_NO_CHAT = re.compile(
    r"\bmodel\b.{0,100}\b(?:only (?:supported|available|accessible) (?:in|with|by|via|through) (?:the )?"
    r"(?:/?v1/responses|responses (?:api|endpoint))|"
    r"not (?:supported|available|accessible) (?:in|with|by|via|through) (?:the )?/?(?:v1/)?chat/completions)|"
    r"chatCompletion operation does not work with the specified model",
    re.I,
)
_SAID = tuple((ours, _not_taken(theirs)) for ours, theirs in _PARAMETERS.items())
_NOT_TAKEN = {ours: re.compile(said, re.I) for ours, said in _SAID}


def refused_parameter(message: str) -> str:
    """Which parameter the provider says that its model does not take, or that it does not take chat completions at all;
    empty: it says nothing of the kind."""
    if _NO_CHAT.search(message[:5000]):
        return CHAT_COMPLETIONS
    return next((name for name, said in _NOT_TAKEN.items() if said.search(message[:5000])), "")
