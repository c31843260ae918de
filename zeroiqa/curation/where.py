"""A small language of conditions on the columns of a run's table: `score < 3 and width > 1000`.

    condition   comparison | "not" condition | condition "and" condition | condition "or" condition
                | "(" condition ")"
    comparison  value (OPERATOR value)+ | COLUMN "is" ["not"] "empty"
    OPERATOR    < <= > >= = == != <> | ["not"] "like" | ["not"] "in"
    value       NUMBER | 'TEXT' | "TEXT" | COLUMN | `COLUMN`

Nothing is called, looked up or computed besides. A comparison with an empty value is neither true nor false,
and so is what depends on it, as in SQL: `not score < 3` is not true of an image without a score.
"""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.columns import first_names
from zeroiqa.suggestions import did_you_mean

Row: TypeAlias = Mapping[str, Any]
Truth: TypeAlias = bool | None
"""None: a value that it depends on is empty."""
Kind: TypeAlias = Literal["number", "text", "list"]
_Test: TypeAlias = Callable[[Row], Truth]
_Get: TypeAlias = Callable[[Row], Any]

LONGEST = 4096
"""Characters of a condition."""
DEEPEST = 50
"""Brackets and `not` within each other."""
_TEXTS = ("path", "group", "status", "error", "warnings", "better", "description")
_LISTS = ("tags",)
_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?(?![\w.]))
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<quoted>`[^`]*`)
    | (?P<name>[^\W\d][\w.:@+-]*)
    | (?P<sign><=|>=|<>|==|!=|[<>=()])""",
    re.VERBOSE,
)
_WORDS = ("and", "or", "not", "in", "like", "is", "empty")
_PIECE = re.compile(r"\w[\w.]*|.", re.DOTALL)
"""What is shown of a text where no token begins."""
_ASKS_TAGS = "a list is asked by 'blurred' in tags"
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
}


def kind_of(column: str) -> Kind:
    """What the values of a column are."""
    return "list" if column in _LISTS else "text" if column in _TEXTS else "number"


@dataclass(frozen=True)
class Condition:
    """A condition that has been read."""

    text: str
    columns: frozenset[str]
    """Those that it names."""
    test: _Test

    def __call__(self, row: Row) -> Truth:
        """Whether a row fulfils it; None where that depends on a value that is empty."""
        return self.test(row)


def parse(text: str, columns: Collection[str]) -> Condition:
    """Read a condition.

    Args:
        text: What the user wrote.
        columns: Names that it may use; what they hold is said by `kind_of`.

    Raises:
        UserError: it is none; the message says where, and what is expected there.
    """
    return _Parser(text, columns).condition()


class _Token(NamedTuple):
    kind: str
    """number, text, name, a word or a sign of the language, or "end"."""
    text: str
    place: int


class _Value(NamedTuple):
    kind: Kind
    get: _Get
    shown: str
    place: int
    column: str | None = None
    constant: Any = None


class _Parser:
    """Reads a condition by recursive descent, as deep as `DEEPEST`."""

    def __init__(self, text: str, columns: Collection[str]) -> None:
        self._text, self._columns = text, columns
        self._named: set[str] = set()
        self._depth = self._next = 0
        self._tokens = self._split()

    def condition(self) -> Condition:
        test = self._or()
        if self._token.kind != "end":
            self._fail("and, or, or the end is expected")
        return Condition(self._text, frozenset(self._named), test)

    def _split(self) -> list[_Token]:
        if len(self._text) > LONGEST:
            raise UserError(
                f"The condition has {len(self._text):,} characters, more than the {LONGEST:,} that are read; "
                "write several --where."
            )
        tokens, place = [], 0
        while place < len(self._text):
            found = _TOKEN.match(self._text, place)
            if found is None:
                piece = _PIECE.match(self._text, place)
                assert piece is not None, "there is a character"
                opens = piece[0] in ("'", '"', "`")
                why = "whose second one is missing" if opens else "which is no part of a condition"
                self._fail_at(place, why, piece[0])
            kind, text = str(found.lastgroup), found[0]
            if kind in ("text", "quoted"):
                tokens.append(_Token("text" if kind == "text" else "name", text[1:-1], place))
            elif kind != "blank":
                word = text.lower() if kind == "name" and text.lower() in _WORDS else None
                tokens.append(_Token(word or (text if kind == "sign" else kind), text, place))
            place = found.end()
        return [*tokens, _Token("end", "", len(self._text))]

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> _Token | None:
        """The next token, if it is of one of the kinds."""
        token = self._token
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def _or(self) -> _Test:
        tests = [self._and()]
        while self._take("or"):
            tests.append(self._and())
        return tests[0] if len(tests) == 1 else _any_of(tests)

    def _and(self) -> _Test:
        tests = [self._not()]
        while self._take("and"):
            tests.append(self._not())
        return tests[0] if len(tests) == 1 else _all_of(tests)

    def _not(self) -> _Test:
        if self._token.kind not in ("not", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"it is more than {DEEPEST} deep; write it flatter")
        if self._take("not"):
            test = _none_of(self._not())
        else:
            self._take("(")
            test = self._or()
            if not self._take(")"):
                self._fail("a closing bracket is expected")
        self._depth -= 1
        return test

    def _comparison(self) -> _Test:
        left, tests = self._value(), []
        if self._take("is"):
            return self._emptiness(left)
        while True:
            negated = self._token.kind == "not" and self._tokens[self._next + 1].kind in ("in", "like")
            self._next += negated
            sign = self._take(*_COMPARE, "in", "like")
            if sign is None:
                break
            right = self._value()
            test = self._compared(left, sign, right)
            tests.append(_none_of(test) if negated else test)
            left = right
        if not tests:
            self._fail("a comparison is expected, such as score < 3")
        return tests[0] if len(tests) == 1 else _all_of(tests)

    def _emptiness(self, value: _Value) -> _Test:
        negated = self._take("not") is not None
        if not self._take("empty"):
            self._fail("empty is expected")
        return lambda row: _is_empty(value.get(row)) is not negated

    def _value(self) -> _Value:
        token = self._take("number", "text", "name")
        if token is None:
            self._fail("a number, a text in quotes or a column is expected")
        if token.kind == "name":
            return self._column(token)
        constant: Any = token.text
        if token.kind == "number":
            constant = float(token.text)
            if not math.isfinite(constant):
                self._fail_at(token.place, "which is beyond all numbers", token.text)
        kind: Kind = "number" if token.kind == "number" else "text"
        return _Value(kind, lambda _: constant, token.text, token.place, None, constant)

    def _column(self, token: _Token) -> _Value:
        name = token.text if token.text in self._columns else token.text.lower()
        if name not in self._columns:
            close = did_you_mean(token.text, self._columns)
            listed = first_names(self._columns, 40)
            why = f"which is no column: {close}there are {listed}"
            self._fail_at(token.place, why if close else f"{why}; a text stands in quotes", token.text)
        self._named.add(name)
        return _Value(kind_of(name), lambda row: row.get(name), name, token.place, name)

    def _compared(self, left: _Value, sign: _Token, right: _Value) -> _Test:
        if sign.kind == "like":
            return self._like(left, sign, right)
        if sign.kind == "in":
            if left.kind != "text" or right.kind == "number":
                self._fail_at(sign.place, "which looks for a text in tags or in a text", "in")
            if right.column == "tags" and left.column is None:
                self._check_tag(left)
            return _known(left, right, lambda one, others: one in others)
        if left.kind != right.kind:
            named = f"{printable(left.shown)} is a {left.kind} and {printable(right.shown)} is a {right.kind}"
            hint = f"; {_ASKS_TAGS}" if "list" in (left.kind, right.kind) else ""
            self._fail_at(sign.place, f"though {named}{hint}", sign.text)
        if left.kind == "list":
            self._fail_at(sign.place, f"where {_ASKS_TAGS}", sign.text)
        return _known(left, right, _COMPARE[sign.kind])

    def _like(self, left: _Value, sign: _Token, right: _Value) -> _Test:
        if left.kind != "text":
            hint = f"; {_ASKS_TAGS}" if left.kind == "list" else ""
            why = f"which compares texts with patterns, though {printable(left.shown)} is a {left.kind}{hint}"
            self._fail_at(sign.place, why, sign.text)
        if right.column is not None or right.kind != "text":
            self._fail_at(right.place, "where like expects a pattern in quotes such as '*.png'", right.shown)
        try:
            pattern = re.compile(fnmatch.translate(right.constant))
        except (re.error, OverflowError, RecursionError) as error:
            self._fail_at(right.place, f"which is no pattern ({error})", right.shown)
        return _known(left, right, lambda text, _: pattern.match(text) is not None)

    def _check_tag(self, value: _Value) -> None:
        """What no image can have is a slip of the pen, and else it would only fit nothing."""
        from zeroiqa.reasons import TAGS

        if value.constant not in TAGS:
            close = did_you_mean(value.constant, TAGS)
            why = f"which is no tag: {close}the tags are {', '.join(TAGS)}"
            self._fail_at(value.place, why, value.shown)

    def _fail(self, expected: str) -> NoReturn:
        self._fail_at(self._token.place, f"where {expected}", self._token.text)

    def _fail_at(self, place: int, why: str, found: str) -> NoReturn:
        shown = printable(found[:40]) or ("the end" if place >= len(self._text) else "nothing")
        whole = printable(self._text if len(self._text) <= 120 else f"{self._text[:117]}...")
        raise UserError(f"Character {place + 1} of the condition {whole!r} is {shown}, {why}.")


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == ()


def _known(left: _Value, right: _Value, compare: Callable[[Any, Any], bool]) -> _Test:
    """A comparison, unknown where one of both is missing; a list without entries is none the less known."""

    def test(row: Row) -> Truth:
        one, other = left.get(row), right.get(row)
        return None if one is None or other is None else compare(one, other)

    return test


def _none_of(test: _Test) -> _Test:
    def negated(row: Row) -> Truth:
        truth = test(row)
        return None if truth is None else not truth

    return negated


def _all_of(tests: list[_Test]) -> _Test:
    def every(row: Row) -> Truth:
        truths = [test(row) for test in tests]
        return False if False in truths else None if None in truths else True

    return every


def _any_of(tests: list[_Test]) -> _Test:
    def some(row: Row) -> Truth:
        truths = [test(row) for test in tests]
        return True if True in truths else None if None in truths else False

    return some
