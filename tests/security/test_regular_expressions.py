"""SECURITY T6: no text makes a regular expression of the package slow.

Python's engine does not count its steps, so a small one here plays every expression that the source holds, with the
same backtracking, and counts them. Where the text is twice as long, it may take about twice the steps.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import flask_better_auth
from flask_better_auth import urls

if sys.version_info >= (3, 11):
    from re import _constants as sre
    from re import _parser as parser
else:
    import sre_constants as sre
    import sre_parse as parser

ROOT = Path(flask_better_auth.__file__).parent
FUNCTIONS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
#: Texts are so long, and then twice as long. A square term of any weight shows at this length.
LENGTH = 40
#: Linear is 2, square is 4.
FACTOR = 3
END = "\0"

sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))  # of a few frames for each character

Continue = Callable[[int], bool]
Node = Callable[[int, Continue], bool]


class TooManySteps(Exception):
    """The text was given up on."""


class Engine:
    """Plays one expression. ``steps`` counts characters that were compared, and repetitions that were begun."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.tree = parser.parse(pattern, flags)
        self.flags = self.tree.state.flags
        self.root = self._sequence(list(self.tree))
        self.text, self.steps, self.groups = "", 0, {}

    def count(self, text: str, method: str) -> int:
        """The steps that a method of ``re`` takes for a text."""
        self.text, self.steps, start = text, 0, 0
        anchored, many = method in ("match", "fullmatch"), method in ("split", "findall", "finditer", "sub", "subn")
        while start <= len(text):
            self.groups, end = {}, []

            def found(at: int, end: list[int] = end) -> bool:
                end.append(at)
                return method != "fullmatch" or at == len(text)

            matched = self.root(start, found)
            if anchored or (matched and not many):
                break
            start = max(end[-1], start + 1) if matched else start + 1
        return self.steps

    def _step(self) -> None:
        self.steps += 1
        if self.steps > 200_000:
            raise TooManySteps

    def _sequence(self, items: list[Any]) -> Node:
        nodes = [self._node(op, argument) for op, argument in items]

        def run(at: int, then: Continue, index: int = 0) -> bool:
            if index == len(nodes):
                return then(at)
            return nodes[index](at, lambda end: run(end, then, index + 1))

        return run

    def _node(self, op: Any, argument: Any) -> Node:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.RANGE, sre.CATEGORY):
            fits = re.compile(_source(op, argument), self.flags & ~re.DEBUG).fullmatch

            def one(at: int, then: Continue) -> bool:
                self._step()
                return at < len(self.text) and bool(fits(self.text[at])) and then(at + 1)

            return one
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return self._repeat(*argument[:2], self._sequence(list(argument[2])), greedy=op is sre.MAX_REPEAT)
        if op is sre.SUBPATTERN:
            number, _, _, inner = argument
            return self._group(number, self._sequence(list(inner)))
        if op is sre.BRANCH:
            branches = [self._sequence(list(branch)) for branch in argument[1]]
            return lambda at, then: any(branch(at, then) for branch in branches)
        if op in (sre.ASSERT, sre.ASSERT_NOT):
            inner = self._sequence(list(argument[1]))
            if argument[0] < 0:  # one character back
                return lambda at, then: (at > 0 and inner(at - 1, lambda end: True)) is (op is sre.ASSERT) and then(at)
            return lambda at, then: inner(at, lambda end: True) is (op is sre.ASSERT) and then(at)
        if op is sre.AT:
            return lambda at, then: (at == 0 if argument in _STARTS else at == len(self.text)) and then(at)
        if op is sre.GROUPREF:

            def again(at: int, then: Continue) -> bool:
                begin, end = self.groups[argument]
                return self.text.startswith(self.text[begin:end], at) and then(at + end - begin)

            return again
        raise NotImplementedError(op)

    def _group(self, number: int | None, inner: Node) -> Node:
        def run(at: int, then: Continue) -> bool:
            def closed(end: int) -> bool:
                self.groups[number] = (at, end)
                return then(end)

            return inner(at, closed)

        return run

    def _repeat(self, least: int, most: Any, inner: Node, *, greedy: bool) -> Node:
        most = sys.maxsize if most is sre.MAXREPEAT else most

        def run(at: int, then: Continue, done: int = 0) -> bool:
            self._step()

            def more() -> bool:
                return done < most and inner(at, lambda end: end != at and run(end, then, done + 1))

            if done < least:
                return more()
            return more() or then(at) if greedy else then(at) or more()

        return run


_STARTS = (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING)


def _source(op: Any, argument: Any) -> str:
    """An expression for one character."""
    if op is sre.LITERAL:
        return re.escape(chr(argument))
    if op is sre.NOT_LITERAL:
        return rf"[^{re.escape(chr(argument))}]"
    if op is sre.ANY:
        return "."
    parts = []
    for kind, value in argument:
        if kind is sre.RANGE:
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        elif kind is sre.CATEGORY:
            parts.append(_CATEGORIES[value])
        elif kind is sre.NEGATE:
            parts.append("^")
        else:
            parts.append(re.escape(chr(value)))
    return f"[{''.join(parts)}]"


_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


def _sample(items: list[Any]) -> str:
    """A short text that a sequence fits; nothing for what only looks ahead."""
    out = ""
    for op, argument in items:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            fits = re.compile(_source(op, argument), re.DOTALL).fullmatch
            out += next(c for c in "a1./:-_\\\"' %~A!" + "".join(map(chr, range(256))) if fits(c))
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            out += _sample(list(argument[2])) * argument[0]
        elif op is sre.SUBPATTERN:
            out += _sample(list(argument[3]))
        elif op is sre.BRANCH:
            out += _sample(list(argument[1][0]))
    return out


def _characters(tree: Any) -> Iterator[str]:
    """A text of one character for each place of an expression that takes one."""
    for op, argument in tree:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            yield _sample([(op, argument)])
            if op is sre.NOT_LITERAL:
                yield chr(argument)
        for inner in _inside(op, argument):
            yield from _characters(inner)


def _inside(op: Any, argument: Any) -> list[Any]:
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        return [list(argument[2])]
    if op is sre.SUBPATTERN:
        return [list(argument[3])]
    if op is sre.BRANCH:
        return [list(branch) for branch in argument[1]]
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [list(argument[1])]
    return []


def worst(pattern: str, flags: int, method: str) -> tuple[float, str]:
    """By how much the steps grow when a text becomes twice as long, at worst, and what that text is made of."""
    engine = Engine(pattern, flags)
    items = list(engine.tree)
    letters = list(dict.fromkeys(_characters(items)))[:9]
    pumps = dict.fromkeys("".join(some) for size in (1, 2) for some in product(letters, repeat=size))
    begins = dict.fromkeys(_sample(items[:end]) for end in range(len(items) + 1))
    found = (0.0, "")
    for begin, pump, end in product(begins, pumps, ("", END)):
        counts = []
        for length in (LENGTH, 2 * LENGTH):
            try:
                counts.append(engine.count(begin + pump * (length // len(pump)) + end, method))
            except (TooManySteps, RecursionError):
                return float("inf"), f"{begin!r} + {pump!r} * n"
        # what little there is beside the repetition counts for both
        found = max(found, (counts[1] / (counts[0] + 20), f"{begin!r} + {pump!r} * n"))
    return found


# ---------------------------------------------------------------- what the package holds


def modules() -> Iterator[tuple[Any, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        yield import_module(name), ast.parse(path.read_text())


def expressions() -> Iterator[tuple[str, Any, int, str]]:
    """Each expression with its flags and the method it is used by; nothing in place of one that is made at run time."""
    for module, tree in modules():
        names = vars(module)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner, method = node.func.value, node.func.attr
            where = f"{module.__name__.removeprefix('flask_better_auth.')}:{node.lineno}"
            if isinstance(owner, ast.Name) and isinstance(names.get(owner.id), re.Pattern):
                compiled = names[owner.id]
                yield where, compiled.pattern, compiled.flags & ~re.UNICODE, method
            elif isinstance(owner, ast.Name) and owner.id == "re" and method in FUNCTIONS and method != "compile":
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                flags = given.get("flags") or (node.args[2] if len(node.args) > 2 and method != "sub" else None)
                yield where, _value(node.args[0], names), _value(flags, names) or 0, method


def _value(node: ast.expr | None, names: dict[str, Any]) -> Any:
    """What an expression of the source is, if the names of the module say it."""
    if node is None:
        return None
    try:
        return eval(compile(ast.Expression(node), "", "eval"), dict(names))
    except NameError:
        return None


EXPRESSIONS = list(expressions())
#: Made of settings at run time.
PATTERNS = ["https://*.example.com", "*-*-*.example.com", "http://192.168.*.*:*", "*a*a*a*a*", "?*?*?", "myapp://*/*"]


def test_t6_every_expression_of_the_source_is_found() -> None:
    values = [value for module, _ in modules() for value in vars(module).values()]
    compiled = {value.pattern for value in values if isinstance(value, re.Pattern)}
    missing = compiled - {pattern for _, pattern, _, _ in EXPRESSIONS}
    assert len(compiled) > 10
    assert not missing, "an expression that no method is called of by its own name cannot be judged"
    assert [where for where, pattern, _, _ in EXPRESSIONS if not isinstance(pattern, str)] == []


@pytest.mark.parametrize(
    ("pattern", "flags", "method"), [pytest.param(*rest, id=where) for where, *rest in EXPRESSIONS]
)
def test_t6_steps_grow_with_the_text_and_not_with_its_square(pattern: str, flags: int, method: str) -> None:
    growth, text = worst(pattern, flags, method)
    assert growth < FACTOR, text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_t6_patterns_of_the_configuration_are_no_slower(pattern: str) -> None:
    growth, text = worst(urls._regex(pattern), urls._FLAGS, "fullmatch")
    assert growth < FACTOR, text


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(a+)+", "fullmatch"),
        (r"(a|a)*", "fullmatch"),
        (r"a*a*", "fullmatch"),
        (r"x[^/]*-[^/]*-[^/]*y", "fullmatch"),
        (r"\s+$", "search"),
        (r'"(?:[^"\\]|\\.)*"', "sub"),
        (r"a*b", "search"),
    ],
)
def test_t6_slow_expressions_are_known(pattern: str, method: str) -> None:
    assert worst(pattern, re.DOTALL, method)[0] > FACTOR


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"(a|b)+?c", "abac"), (r"(?=(a*))\1b", "aab"), (r"(?<=a)b|a(?!c)", "ab"), (r"^[^a-c\d]{2,3}$", "xyz")],
)
@pytest.mark.parametrize("cut", [0, 1])
def test_t6_the_counting_engine_matches_what_the_real_one_does(pattern: str, text: str, cut: int) -> None:
    engine, text = Engine(pattern), text[cut:]
    for start in range(len(text) + 1):
        engine.text, ends = text, []
        matched = engine.root(start, lambda end, ends=ends: not ends.append(end))
        real = re.compile(pattern).match(text, start)
        if not pattern.startswith("^"):
            assert (matched, ends) == (bool(real), [real.end()] if real else [])
