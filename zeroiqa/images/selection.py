"""Choose among the images that are found, by the patterns of --include and --exclude."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from zeroiqa.errors import UserError, printable


@dataclass(frozen=True)
class Selection:
    """Patterns of paths, by rules that are a part of .gitignore's.

    * A pattern without "/" is compared with the name of the image and with that of each folder that it is in,
      as far as these are below what was named: `*_small.jpg`, `drafts`.
    * A pattern with "/" before its end is compared with the whole path below what was named, from its
      beginning: `2019/*/raw`. So is that of an image named by itself or in a list, as it is written.
    * A pattern with "/" at its end is compared with folders only: `drafts/`.
    * `*` is any text and `?` any character but "/", `[a-z]` and `[!a-z]` are sets; `**/` is any folders or
      none, and `/**` all that is below. Letters are compared with their case, as in names.
    * What is in a matching folder matches.

    An image is wanted if no `exclude` and, where there are some, an `include` matches.
    """

    include: tuple[str, ...] = ()
    """Sorted, each once: equal selections are equal values."""
    exclude: tuple[str, ...] = ()
    """The same."""

    @classmethod
    def of(cls, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Selection:
        """The selection by patterns as they are given.

        Raises:
            UserError: a pattern is empty, or has a set that is none.
        """
        for pattern in (*include, *exclude):
            try:
                _rule(pattern)
            except (re.error, ValueError) as error:
                raise UserError(
                    f"'{printable(pattern)}' is no pattern of names ({error}); write one such as '*.png'."
                ) from error
        return cls(tuple(sorted(set(include))), tuple(sorted(set(exclude))))

    def wants(self, path: str) -> bool:
        """Whether an image is wanted, by its path below what was named, with "/"."""
        path = path.lstrip("/")
        if any(rule.match(path) for rule in self._excluded):
            return False
        return not self.include or any(rule.match(path) for rule in self._included)

    def enters(self, folder: str) -> bool:
        """Whether images in a folder may be wanted; its path like that of an image."""
        return not any(rule.match(f"{folder.lstrip('/')}/") for rule in self._excluded)

    @cached_property
    def _included(self) -> list[re.Pattern[str]]:
        return [_rule(pattern) for pattern in self.include]

    @cached_property
    def _excluded(self) -> list[re.Pattern[str]]:
        return [_rule(pattern) for pattern in self.exclude]


def _rule(pattern: str) -> re.Pattern[str]:
    """What the path of an image in a matching folder, or called so, begins with; folders end with "/"."""
    body = pattern.rstrip("/")
    if not body:
        raise ValueError("it is empty")
    anywhere = "" if "/" in body else "(?:.*/)?"
    end = "/" if pattern.endswith("/") else "(?:/|$)"
    return re.compile(f"{anywhere}{_SIGN.sub(_translated, body.lstrip('/'))}{end}", re.DOTALL)


_SIGN = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<all>(?<=/)\*\*$)|(?P<some>\*+)|(?P<one>\?)"
    r"|\[(?P<no>[!^]?)(?P<set>\]?[^]/]*)\]|(?P<itself>.)",
    re.DOTALL,
)


def _translated(sign: re.Match[str]) -> str:
    """A sign of a pattern as a regular expression."""
    if sign["set"] is not None:
        members = re.sub(r"[^\w-]", r"\\\g<0>", sign["set"]).replace("--", r"-\-")
        return f"(?!/)[{'^' if sign['no'] else ''}{members}]"
    fixed = {"folders": "(?:.*/)?", "all": ".+", "some": "[^/]*", "one": "[^/]"}
    return fixed.get(sign.lastgroup or "") or re.escape(sign[0])
