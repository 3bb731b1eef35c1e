"""A model's answer → HTML that is safe to show. The text is hostile until proven otherwise.

The order is the point: hidden characters told, Markdown without raw HTML, code highlighted into classes, and
the sanitiser last, over everything that was made. Whatever goes wrong, the text is shown escaped, never raw.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES

from dataelan_web.text import visible

LARGEST = 300_000  # characters: the worst text of this length takes some three seconds, an ordinary one a fraction
LARGEST_HIGHLIGHT = 100_000  # characters of code an answer may have highlighted: it is the slow part
DEEPEST = 20

# A lexer is a heap of regular expressions, some of them slow on hostile text: only the well-trodden ones run.
LANGUAGES = frozenset(
    "bash c c++ cpp cs csharp css diff docker dockerfile elixir go golang graphql haskell html http ini java "
    "javascript jinja js json jsx kotlin lua make makefile nginx perl php powershell ps1 py python r rb rs ruby "
    "rust scala sh shell sql swift toml ts tsx typescript xml yaml yml zsh".split()
)

ENDINGS = dict(
    pair.split("=")
    for pair in (
        "python=py javascript=js typescript=ts rust=rs ruby=rb golang=go shell=sh bash=sh zsh=sh markdown=md kotlin=kt "
        "haskell=hs perl=pl csharp=cs cs=cs c++=cpp yaml=yml elixir=ex powershell=ps1"
    ).split()
)

# -- what may come out: everything else is removed -------------------------------------------------

ALIGNMENTS = {f"align-{side}" for side in ("left", "center", "right")}
CLASSES = {
    "div": {"code-block", "code-head"},
    "span": {"code-language", "image-placeholder", *filter(None, STANDARD_TYPES.values())},
    "li": {"task"},
    "th": ALIGNMENTS,
    "td": ALIGNMENTS,
}
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "a", "strong", "em", "s"),
    *("table", "thead", "tbody", "tr", "th", "td", "pre", "code", "div", "span"),
}
ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}  # "*" unsaid would mean title and lang
LINK = re.compile(r"https?://[^/?#\s]|mailto:[^?\s]", re.IGNORECASE)

_cleaner = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    allowed_classes=CLASSES,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    clean_content_tags={"script", "style"},
)

# Added after the sanitiser, which lets no button through: fixed text of ours, in a place only we make.
HEAD = re.compile(r'<div class="code-head"><span class="code-language">([^<]*)</span>(?=</div>)')
ACTS = (
    '<button type="button" class="btn-save" data-ending="{}">Download</button>'
    '<button type="button" class="btn-copy">Copy</button>'
)


def render(text: str) -> Markup:
    text = text.encode(errors="replace").decode()  # half a surrogate pair can be in a JSON string
    if len(text) > LARGEST:
        return plain(text)
    try:
        html = sanitize(_markdown.render(visible(text)))
        html = HEAD.sub(lambda head: head[0] + ACTS.format(ending_of(head[1].lower())), html)
        return Markup(html)  # noqa: S704 - sanitised, and constants
    except Exception:
        logging.getLogger(__name__).exception("an answer could not be rendered and is shown as plain text")
        return plain(text)


@lru_cache(maxsize=500)
def words(text: str) -> str:
    """In one line and without what Markdown is written with: marks, rulings of tables, where links lead. For excerpts:
    a few thousand letters at most. Still hostile: whoever shows it escapes it."""
    text = text.encode(errors="replace").decode()
    try:
        return " ".join(" ".join(_said(_markdown.parse(text))).split())
    except Exception:
        logging.getLogger(__name__).exception("the words of an answer could not be told from its marks")
        return text


def _said(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "inline":
            yield "".join(_inline(token.children or ()))
        elif token.type in ("fence", "code_block"):
            yield token.content


def _inline(children: Sequence[Token]) -> Iterator[str]:
    for token in children:
        if token.type in ("softbreak", "hardbreak"):
            yield " "
        elif token.type != "image":
            yield token.content
        else:
            yield from _inline(token.children or ())


def ending_of(language: str) -> str:
    """Of the name of a file of code: a few letters and digits, whatever the model called its language."""
    return ENDINGS.get(language) or (language if re.fullmatch(r"[a-z0-9]{1,6}", language) else "txt")


def sanitize(html: str) -> str:
    return _cleaner.clean(html).lstrip("\ufeff")  # a mark of byte order, which whoever reads it leaves out


def plain(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(visible(text))


# -- Markdown → HTML, not yet trusted --------------------------------------------------------------


class _Renderer(RendererHTML):
    """Each rule is called by the name of its token."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        language = (token.info.split() or [""])[0][:40]
        code = _highlighted(token.content, language.lower(), env)
        label = f'<span class="code-language">{escape(language or "text")}</span>'
        return f'<div class="code-block"><div class="code-head">{label}</div><pre><code>{code}</code></pre></div>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Never an image: fetching it would tell the address, and whatever the URL carries, to a stranger."""
        token = tokens[idx]
        alt = self.renderInlineAsText(token.children or [], options, env)
        return f'<span class="image-placeholder">[image: {escape(alt)}] {escape(token.attrGet("src"))}</span>'


def _highlighted(code: str, language: str, env: Any) -> str:
    env["highlighted"] = env.get("highlighted", 0) + len(code)
    if language not in LANGUAGES or env["highlighted"] > LARGEST_HIGHLIGHT:
        return escape(code)
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return highlight(code, lexer, HtmlFormatter(nowrap=True))


# -- what GFM adds to CommonMark -------------------------------------------------------------------

BARE_LINK = re.compile(r"\bhttps?://[^\s<>\"'`]+", re.IGNORECASE)
TRAILING = ".,:;!?*_~"
BOXES = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}


def _task_lists(state: StateCore) -> None:
    """A list item that starts with a box gets a sign for it: text, so that nothing looks like a control."""
    for item, _, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type == "list_item_open" and inline.type == "inline" and inline.children:
            first = inline.children[0]
            if first.type == "text" and (box := BOXES.get(first.content[:4])):
                first.content = box + first.content[4:]
                item.attrSet("class", "task")


def _bare_links(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.children and "://" in token.content:
            token.children = list(_linked(token.children))


def _linked(children: Sequence[Token]) -> Iterator[Token]:
    inside = 0
    for token in children:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type == "text" and not inside:
            yield from _split(token.content)
        else:
            yield token


def _split(text: str) -> Iterator[Token]:
    end = 0
    for found in BARE_LINK.finditer(text):
        url = without_trailing(found[0])
        yield Token("text", "", 0, content=text[end : found.start()])
        yield Token("link_open", "a", 1, attrs={"href": _markdown.normalizeLink(url)})
        yield Token("text", "", 0, content=url)
        yield Token("link_close", "a", -1)
        end = found.start() + len(url)
    yield Token("text", "", 0, content=text[end:])


def without_trailing(url: str) -> str:
    """Punctuation after a URL belongs to the sentence, and so does a bracket the URL did not open."""
    url = url.rstrip(TRAILING)
    unopened = url.count(")") - url.count("(")
    while unopened > 0 and url.endswith(")"):
        closed = len(url) - len(url.rstrip(")"))
        url = url[: -min(closed, unopened)].rstrip(TRAILING)
        unopened -= closed
    return url


def _alignments(state: StateCore) -> None:
    """A column's alignment as a class, for inline styles do not come out."""
    for token in state.tokens:
        if style := token.attrs.pop("style", None):
            token.attrSet("class", f"align-{str(style).removeprefix('text-align:')}")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(LINK.match(url))  # type: ignore[method-assign]
    for rule in (_task_lists, _bare_links, _alignments):
        parser.core.ruler.push(rule.__name__, rule)
    return parser


_markdown = _parser()
