"""The keys of one TOML file, each checked as it is read; every complaint names the file and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeroiqa.errors import UserError
from zeroiqa.suggestions import did_you_mean

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
"""What is to be filled in, in a text."""


def placeholders(text: str) -> list[str]:
    """Names of the placeholders of a text, in its order."""
    return PLACEHOLDER.findall(text)


@dataclass(frozen=True)
class Keys:
    """One table of a file.

    Every method raises `UserError` for what is wrong with a key.
    """

    what: str
    """What the file is, to begin a sentence: "The standard"."""
    path: Path
    content: Mapping[str, object]
    """As TOML has it."""
    table: str = ""
    """The table's name, where it is not the file itself."""

    def wrong(self, key: str, found: str, remedy: str) -> UserError:
        """The complaint about a key."""
        name = f"{self.table}.{key}" if self.table else key
        return UserError(f"{self.what} {self.path}, key {name}: {found}; {remedy}.")

    def get(self, key: str) -> object:
        """Whatever the key holds."""
        if key not in self.content:
            raise self.wrong(key, "it is missing", "add it")
        return self.content[key]

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of some texts."""
        value = self.get(key)
        if value not in choices:
            raise self.wrong(key, f"found {value!r}", f"choose one of {', '.join(choices)}")
        return str(value)

    def integer(self, key: str, low: int, high: int | None = None) -> int:
        """A whole number within limits, both included."""
        value = self.get(key)
        if type(value) is not int or value < low or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"from {low} on"
            raise self.wrong(key, f"found {value!r}", f"give a whole number {limits}")
        return value

    def text(self, key: str, *, blank: bool = False) -> str:
        """A text, as it is; nothing but white space only where `blank` allows it."""
        value = self.get(key)
        if not isinstance(value, str) or not (value if blank else value.strip()):
            wanted = "is not empty" if blank else "is not blank"
            raise self.wrong(key, f"found {value!r}", f"give a text that {wanted}")
        return value

    def white_space(self, key: str) -> str:
        """Nothing but white space, or nothing."""
        value = self.get(key)
        if not isinstance(value, str) or value.strip():
            raise self.wrong(key, f"found {value!r}", "give white space or an empty text")
        return value

    def words(self, key: str) -> str:
        """Words with one space between them."""
        return " ".join(self.text(key).split())

    def inner(self, key: str, example: str) -> Keys:
        """The keys of a table; `example` says what it holds."""
        table = self.get(key)
        if not isinstance(table, dict):
            raise self.wrong(key, f"found {table!r}", f"give a table {example}")
        return Keys(self.what, self.path, table, f"{self.table}.{key}" if self.table else key)

    def refuse_unknown(self, known: Sequence[str], whose: str) -> None:
        """Refuse any other key; `whose` begins the list of those that are known."""
        for key in self.content:
            if key not in known:
                remedy = f"{did_you_mean(key, known)}{whose} has {', '.join(known)}"
                raise self.wrong(key, "this key is unknown", remedy)

    def refuse_unknown_placeholders(self, key: str, text: str, known: Sequence[str], whose: str) -> None:
        """Refuse a text with any other placeholder; `whose` begins the list of those that are known."""
        for name in placeholders(text):
            if name not in known:
                listed = ", ".join(f"{{{each}}}" for each in known)
                remedy = f"{did_you_mean(name, known)}{whose} has {listed}"
                raise self.wrong(key, f"the placeholder {{{name}}} is unknown", remedy)
