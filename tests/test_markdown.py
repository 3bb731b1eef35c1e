"""What a model wrote, as HTML: it reads well, and it can do nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataelan_web import markdown
from dataelan_web.markdown import render, sanitize
from dataelan_web.text import visible

ROOT = Path(__file__).parents[1]
ESCAPE = re.compile(r"\\(n|t|\\|u\{([0-9a-f]+)\})")
REL = "noopener noreferrer nofollow"


def payloads():
    lines = (ROOT / "tests/xss_payloads.txt").read_text().split("\n")
    return [ESCAPE.sub(unescaped, line) for line in lines if line and not line.startswith("#!")]


def unescaped(found):
    return chr(int(found[2], 16)) if found[2] else {"n": "\n", "t": "\t", "\\": "\\"}[found[1]]


class Reader(HTMLParser):
    """Holds every element of a rendered text against what may come out."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "button":
            assert values.pop("class") in ("btn-copy", "btn-save")
            assert re.fullmatch(r"[a-z0-9]{1,6}", values.pop("data-ending", "txt"))
            assert values == {"type": "button"}
            return
        assert tag in markdown.TAGS
        assert set(values) <= markdown.ATTRIBUTES.get(tag, set()) | ALSO.get(tag, set()) | {"class"}
        assert set((values.get("class") or "").split()) <= markdown.CLASSES.get(tag, set())
        if tag == "a":
            assert values["rel"] == REL
            assert values["target"] == "_blank"
            assert re.match(r"(https?|mailto):", values.get("href", "https:"))
            self.links.append(values.get("href"))

    def handle_comment(self, data):
        raise AssertionError(f"a comment came out: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


ALSO = {"a": {"rel", "target"}}


def inert(text):
    html = str(render(text))
    Reader(html)
    assert sanitize(html) == sanitize(sanitize(html))
    if not html.startswith("<pre>"):  # which is escaped more than need be
        ours = re.sub(r"<button[^>]*>\w+</button>", "", html)
        assert sanitize(ours) == ours
    return html


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("# Hello", "<h1>Hello</h1>"),
        ("a **b** *c* ~~d~~ `e`", "<p>a <strong>b</strong> <em>c</em> <s>d</s> <code>e</code></p>"),
        ("> said", "<blockquote>"),
        ("3. x", '<ol start="3">'),
        ("| a | b |\n| :-: | --- |\n| 1 | 2 |", '<td class="align-center">1</td>'),
        ("- [ ] open\n- [x] **done**", '<li class="task">☑ <strong>done</strong></li>'),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("it costs $x^2$ and $$y$$", "<p>it costs $x^2$ and $$y$$</p>"),
        ("{{7*7}} {% x %} {0.x}", "{{7*7}} {% x %} {0.x}"),
        ("![a *cat*](https://x.example/cat.png)", "[image: a cat] https://x.example/cat.png"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](/logout)", "[x](/logout)"),
        ("", ""),
    ],
)
def test_markdown_reads_as_it_should(text, part):
    assert part in inert(text)


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("[x](https://a.example/b?c=d)", "https://a.example/b?c=d"),
        ("<https://a.example>", "https://a.example"),
        ("see https://a.example/b_(c)).", "https://a.example/b_(c)"),
        ("(https://a.example)!", "https://a.example"),
        ("<ada@a.example>", "mailto:ada@a.example"),
        ("| https://a.example |\n| --- |", "https://a.example"),
    ],
)
def test_links_open_elsewhere_and_say_nothing_of_us(text, href):
    assert Reader(inert(text)).links == [href]


def test_a_bare_link_is_not_made_inside_a_link_or_code():
    assert Reader(inert("[https://b.example](https://a.example) `https://c.example`")).links == ["https://a.example"]


def test_code_is_highlighted_in_classes_and_has_a_head():
    html = inert("```python\ndef f(): return '<b>'\n```")
    assert '<span class="k">def</span>' in html
    assert "&lt;b&gt;" in html
    head = '<span class="code-language">python</span>{}</div><pre><code>'
    assert head.format(markdown.ACTS.format("py")) in html
    assert html.count('class="btn-copy"') == html.count('class="btn-save" data-ending="py"') == 1
    assert "style=" not in html


@pytest.mark.parametrize("language", ["", "nonsense", "python"])
def test_code_stays_as_it_was_typed(language):
    code = "\n\n  x = 1  \n\ty\n\n"
    html = inert(f"```{language}\n{code}```")
    inner = html.split("<pre><code>")[1].split("</code>")[0]
    assert re.sub(r"<[^>]+>", "", inner) == code


def test_every_language_we_name_has_a_lexer():
    for language in markdown.LANGUAGES:
        markdown.get_lexer_by_name(language)


def test_much_code_is_shown_without_colours():
    assert (
        "<span class=" not in render("```python\n" + "x = 1\n" * 20_000 + "```").replace("code-language", "", 1)[200:]
    )


# -- hiding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\U000e0041\U000e0042b", "a⟨U+E0041 and 1 more⟩b"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("a\u200db", "a⟨U+200D⟩b"),
        ("a\ufe0fb\ufe0f", "a⟨U+FE0F⟩b⟨U+FE0F⟩"),
        ("\x1b[31mred", "⟨U+001B⟩[31mred"),
        ("\ufeffa\u00ad\u200eb", "ab"),
        ("❤️ 👨‍👩‍👧 می‌خواهم 1️⃣ क्‍ष", "❤️ 👨‍👩‍👧 می‌خواهم 1️⃣ क्‍ष"),
        ("tab\t line\n return\r\n", "tab\t line\n return\r\n"),
    ],
)
def test_hidden_characters_are_shown_and_real_scripts_left_alone(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_nothing_hidden_is_left(text):
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\U000e0000-\U000e0fff\x1b\ufe00-\ufe0d]", visible(text))
    assert visible(visible(text)) == visible(text)


# -- attacking -------------------------------------------------------------------------------------


def test_the_corpus_is_as_large_as_promised():
    assert len(set(payloads())) >= 200


@pytest.mark.parametrize("payload", payloads())
def test_a_payload_is_inert(payload):
    assert "evil.example" not in "".join(re.findall(r"<(?!a )[^>]*>", inert(payload)))
    for shape in (
        "# {}",
        "> {}",
        "- {}",
        "*{}*",
        "a {} b",
        "`` {} ``",
        "```html\n{}\n```",
        "| {} |\n| --- |",
        "[{}](https://a.b)",
    ):
        inert(shape.format(payload) if "{}" not in payload else shape.replace("{}", payload))


def test_a_payload_cut_anywhere_is_inert():
    for payload in payloads()[::7]:
        for end in range(1, len(payload)):
            inert(payload[:end])


PIECES = st.sampled_from(
    [*"<>[]()!*_~`|\"'&;#:-\\ \n\t/=$", "```", "\n\n", "<script>", "javascript:", "https://a", "a", *payloads()]
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text()))
def test_nothing_but_the_allowed_comes_out(text):
    inert(text)


@given(st.lists(PIECES, max_size=10).map("".join))
@example("\ufeff\ufeff")
def test_the_sanitiser_alone_holds(html):
    clean = sanitize(html)
    Reader(clean)
    assert sanitize(clean) == clean


# -- failing ---------------------------------------------------------------------------------------


def test_an_error_in_the_renderer_shows_the_text_escaped(monkeypatch):
    def broken(*_):
        raise RecursionError

    monkeypatch.setattr(markdown._markdown, "render", broken)
    assert render("<script>\u202e") == "<pre>&lt;script&gt;⟨U+202E⟩</pre>"


def test_a_text_beyond_the_bound_is_shown_escaped():
    html = render("<b>" * markdown.LARGEST)
    assert html.startswith("<pre>&lt;b&gt;")
    Reader(html)


def test_half_a_surrogate_pair_is_no_error():
    assert render("a\ud800b") == "<p>a?b</p>\n"


@pytest.mark.parametrize(
    "bomb",
    [
        ">",
        "> ",
        "[",
        "![",
        "[a](",
        "*",
        "*a ",
        "**a*",
        "- ",
        "1. ",
        "|",
        "`",
        "``a`",
        "<",
        "&",
        "~~a ",
        "https://a)",
        "((",
    ],
)
def test_a_bomb_is_rendered_at_all(bomb):
    inert(bomb * 10_000)  # quadratic work here would take minutes


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("# A *b* **c** ~~d~~ `e`", "A b c d e"),
        ("[words](https://example.com) ![a picture](https://example.com/x.png)", "words a picture"),
        ("| a | b |\n| --- | ---: |\n| 1 | 2 |", "a b 1 2"),
        ("- [ ] one\n- two\n\n1. three", "☐ one two three"),
        ("```python\nprint(1)\n```\n\nafter", "print(1) after"),
        ("2 * 3 * 4 <b>&amp;", "2 * 3 * 4 <b>&"),
        ("half \ud800", "half ?"),
        ("", ""),
    ],
)
def test_the_words_of_an_answer_come_without_its_marks(text, plain):
    assert markdown.words(text) == plain


# -- colours ---------------------------------------------------------------------------------------


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scope", [".markdown", ".dark .markdown"])
def test_code_can_be_read_in_both_themes(scope):
    css = (ROOT / "static/highlight.css").read_text()
    block = re.search(rf"^{re.escape(scope)} {{(.*?)}}", css, re.DOTALL | re.MULTILINE)[1]
    colours = dict(re.findall(r"--code-(\w+): (#\w{6})", block))
    ground = luminance(colours["ground"])
    for name in colours.keys() - {"ground", "edge"}:
        dark, light = sorted((ground, luminance(colours[name])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name
