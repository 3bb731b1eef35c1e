"""What can be done with an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.router import actions as module
from dataelan_web.router.actions import Action, actions
from dataelan_web.router.types import ToolCall


def kinds(text, **more):
    return [action.kind for action in actions(text, **more)]


def only(text, *more, **named):
    [action] = actions(text, *more, **named)
    return action


def test_plain_prose_asks_for_nothing():
    assert actions("Hello *there*.\n\n- one\n- two\n\n[x](javascript:alert(1))") == []


# -- code ------------------------------------------------------------------------------------------


def test_a_code_block_is_code():
    action = only("Try:\n\n```Python\nprint(1)\n```")
    assert action == Action("code", "python", {"language": "python", "file_name": "", "content": "print(1)\n"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("```python title=app.py\nx\n```", "app.py"),
        ('```python title="src/app.py"\nx\n```', "src/app.py"),
        ("```js:lib/x.js\nx\n```", "lib/x.js"),
        ("```main.go\nx\n```", "main.go"),
        ("```Dockerfile\nx\n```", "Dockerfile"),
        ("In `app.py`:\n\n```python\nx\n```", "app.py"),
        ("**src/main.rs**\n```rust\nx\n```", "src/main.rs"),
        ("### config.yaml\n```yaml\nx\n```", "config.yaml"),
        ("Some words.\nSave it as `run.sh`:\n```sh\nx\n```", "run.sh"),
        ("Here is `app.py`, which prints:\n```\nx\n```", ""),
        ("See version 3.11:\n```\nx\n```", ""),
        ("`../../etc/passwd.txt`:\n```\nx\n```", ""),
        ("`app.py`\n\nand\n\n- x\n\n```\nx\n```", ""),
    ],
)
def test_a_file_name_is_taken_from_the_fence_or_the_line_above(text, name):
    assert only(text).payload["file_name"] == name


def test_the_hint_names_the_language_that_the_fence_does_not():
    assert only("```\nx = 1\n```", language_hint="python").payload["language"] == "python"
    assert only("```sql\nx\n```", language_hint="python").payload["language"] == "sql"


def test_a_table_inside_code_is_code():
    assert kinds("```markdown\n| a | b |\n| - | - |\n| 1 | 2 |\n```") == ["code"]


# -- tables and data -------------------------------------------------------------------------------


def test_a_markdown_table_has_a_header_and_even_rows():
    action = only("| a | **b** |\n|---|:-:|\n| 1 | `2` |\n| 3 |\n")
    assert action.payload == {"header": ["a", "b"], "rows": [["1", "2"], ["3", ""]]}
    assert action.title == "a, b"


def test_fenced_csv_is_a_table():
    assert only('```csv\na,b\n"1,5",2\n```').payload == {"header": ["a", "b"], "rows": [["1,5", "2"]]}
    assert only("```tsv\na\tb\n1\t2\n```").payload["rows"] == [["1", "2"]]
    assert only('```csv\na,b\n"1\n5",2\n```').payload["rows"] == [["1\n5", "2"]]
    assert only("```csv\nalone\n```").kind == "code"


SHEETS = [
    "city,people\nOslo,709037\nRome,2748109",
    "city;people\nOslo;709037",
    "city\tpeople\nOslo\t709037\n",
    'city,people\n"Washington, D.C.",689545\nRome,2748109',
    "city, people\nOslo, 709037\nRome, 2 %",
]


@pytest.mark.parametrize("text", SHEETS)
def test_an_answer_that_is_nothing_but_rows_is_a_table(text):
    for written in (text, f"```\n{text}\n```", f"```text\n{text}\n```"):
        found = only(written)
        assert (found.kind, found.payload["header"]) == ("table", ["city", "people"])
        assert {len(row) for row in found.payload["rows"]} == {2}


@pytest.mark.parametrize(
    "text",
    [
        "Roses are red, violets are blue\nSugar is sweet, and so are you",
        "Well, yes.\nBut, no.",
        "Dear John,\nI am well,",
        "one,two\nthree",
        "same,same\n1,2",
        "alone, 1",
        "a,b\n1,2\n\nThat is all of it.",
        '"never, closed\n1,2',
    ],
)
def test_what_only_has_commas_is_no_table(text):
    assert kinds(text) == []


def test_a_list_of_like_objects_is_a_table_also_inside_the_object_that_a_schema_demands():
    rows = '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]'
    for text in (rows, f'{{"rows": {rows}, "more": false}}'):
        assert kinds(text) == ["json", "table"]
        assert actions(text)[1].payload == {"header": ["a", "b"], "rows": [["1", "x"], ["2", ""]]}
    assert kinds(f'{{"these": {rows}, "those": {rows}}}') == ["json"], "which of them?"
    assert kinds('{"rows": [{"a": [1]}, {"a": [2]}]}') == ["json"]


@pytest.mark.parametrize("text", ['```json\n{"a": [1]}\n```', '```\n{"a": [1]}\n```', ' {"a": [1]}\n'])
def test_json_is_parsed(text):
    assert only(text).payload == {"value": {"a": [1]}}


@pytest.mark.parametrize(
    "value",
    ["{", '{"a": NaN}', "[1e999]", "[" * 60 + "]" * 60, "[" * 9000 + "]" * 9000, "7", '["\\u0000"]', '{"\\ud800": 1}'],
)
def test_what_is_not_quite_json_stays_code(value):
    assert only(f"```json\n{value}\n```").kind == "code"


# -- checklists and links --------------------------------------------------------------------------


def test_a_checklist_has_items_and_what_is_done():
    action = only("1. [x] buy **milk**\n2. [ ] walk\n3. no box")
    assert action.payload == {"items": [{"text": "buy milk", "done": True}, {"text": "walk", "done": False}]}
    assert action.title == "1 of 2 done"


def test_a_checklist_inside_a_list_is_its_own():
    found = actions("- [ ] a\n  - [x] b\n- [ ] c")
    assert [[item["text"] for item in action.payload["items"]] for action in found] == [["a", "c"], ["b"]]


def test_links_are_found_once_each_and_only_the_web():
    found = actions(
        "[A *b*](https://a.example) https://b.example/x. <https://a.example> ![i](https://i.example) "
        "[m](mailto:a@b) [f](ftp://x) `https://code.example`"
    )
    assert [action.payload for action in found] == [
        {"url": "https://a.example", "text": "A b"},
        {"url": "https://b.example/x", "text": "https://b.example/x"},
    ]


# -- tool calls ------------------------------------------------------------------------------------


def test_pieces_of_a_tool_call_are_joined_and_parsed():
    pieces = [ToolCall(0, "c1", "get_weather", '{"city":'), ToolCall(1, "c2", "stop"), ToolCall(0, arguments='"Oslo"}')]
    first, second = actions("", pieces)
    assert first.payload == {"id": "c1", "name": "get_weather", "arguments": {"city": "Oslo"}}
    assert second.payload == {"id": "c2", "name": "stop", "arguments": {}}


def test_arguments_that_are_no_json_are_kept_raw_with_the_reason():
    payload = only("", [ToolCall(0, "c", "f", "{oops")]).payload
    assert payload["raw"] == "{oops"
    assert payload["error"]
    assert "arguments" not in payload


# -- bounds ----------------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        *'|-[]()>`*_#\n \t:.{}",0x',
        "```",
        "\n\n",
        "- [x] ",
        "| a |\n|---|\n",
        "https://a",
        "```csv\n",
        "```json\n{",
        "\ud800",
        "\0",
        '["\\u0000"]',
    ]
)


def checked(found):
    assert len(found) <= module.MOST
    for action in found:
        assert action.title
        stored = json.dumps(dict(action.payload), allow_nan=False, ensure_ascii=False)
        assert "\\u0000" not in stored.replace("\\\\", "")
        stored.encode()
    return found


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=60).map("".join)), st.text(max_size=5))
def test_no_text_is_too_much(text, arguments):
    checked(actions(text, [ToolCall(0, arguments=arguments)], language_hint="x"))


@pytest.mark.parametrize(
    "bomb",
    ["> ", "- ", "[", "`", "| ", "https://a ", "```\n```\n", "- [ ] a\n  ", "- a\n\n1. b\n\n", "[a](https://b)", "{"],
)
def test_bombs_are_bounded(bomb):
    checked(actions(bomb * 5_000))


def test_sizes_are_bounded():
    table = "|" + "a|" * 60 + "\n|" + "-|" * 60 + "\n" + ("|" + "b|" * 60 + "\n") * 600
    payload = only(table).payload
    assert (len(payload["header"]), len(payload["rows"])) == (module.MOST_COLUMNS, module.MOST_ROWS)
    assert len(only("```\n" + "x" * 200_000 + "\n```").payload["content"]) == module.LARGEST_CONTENT
    assert kinds("```\nx\n```\n" * 60) == ["code"] * module.MOST


# -- changes, and lists that are tables ------------------------------------------------------------


def test_a_diff_counts_its_lines_and_names_its_file():
    text = "```diff\n--- a/src/app.py\n+++ b/src/app.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n+y = 3\n z = 4\n```"
    action = only(text)
    assert (action.kind, action.title) == ("diff", "src/app.py")
    assert (action.payload["added"], action.payload["removed"]) == (2, 1)
    assert only("```patch\n+++ ../../etc/passwd\n+x\n```").payload["file_name"] == ""
    assert only("```diff\n+x\n```").title == "Changes"


def test_json_that_is_a_list_of_like_objects_is_a_table_as_well():
    json_, table = actions('```json\n[{"a": 1, "b": "x"}, {"a": null, "c": true}]\n```')
    assert json_.kind == "json"
    assert table.payload == {"header": ["a", "b", "c"], "rows": [["1", "x", ""], ["", "", "true"]]}
    assert kinds('[{"a": 1}]') == kinds('[{"a": {}}, {"a": []}]') == kinds("[1, 2]") == ["json"]
