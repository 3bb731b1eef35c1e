"""A route that makes the code of its address when one is first asked for.

Werkzeug compiles two functions for each of our 370 routes while the application starts, which is most of what
`create_app` costs, and a page asks for a few dozen addresses.
"""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Rule

Build = Callable[..., tuple[str, str]]


class LazyRule(Rule):
    def _compile_builder(self, append_unknown: bool = True) -> Build:
        compile_now = super()._compile_builder

        def build(rule: LazyRule, /, **values: object) -> tuple[str, str]:
            made: Build = compile_now(append_unknown).__get__(rule)
            setattr(rule, "_build_unknown" if append_unknown else "_build", made)
            return made(**values)

        return build
