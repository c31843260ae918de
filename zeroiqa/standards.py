"""Standards: the question put to a rater, and what each of its K levels means. They are data, in prompts/."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from zeroiqa.errors import ImageError, UserError

Aspect: TypeAlias = Literal["quality", "authenticity", "correspondence"]
Kind: TypeAlias = Literal["word", "number", "sentence", "float"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_REQUIRED_PLACEHOLDERS: dict[Kind, tuple[str, ...]] = {
    "word": ("levels", "scale"),
    "sentence": ("levels", "scale"),
    "number": ("scale",),
    "float": ("k",),
}
_SEPARATORS: dict[Kind, str] = {"word": ", ", "sentence": "; "}


class FilledPrompt(NamedTuple):
    """What a model reads besides the pixels."""

    system: str
    user: str


@dataclass(frozen=True)
class Standard:
    """One question with K levels; level 1 is the worst, level K the best."""

    name: str
    """The file's name without its suffix; the key of the ratings made under this standard."""
    version: int
    """Raised with every change of the content, from 1 on."""
    aspect: Aspect
    """What is judged."""
    kind: Kind
    """What stands for a level: a word, a bare number or a sentence; "float" asks for a decimal number."""
    levels: tuple[str, ...]
    """The words or sentences, level 1 first; empty for "number" and "float"."""
    k: int
    """Number of levels, from 2 to 9: each is a single digit, and so a single token."""
    system: str
    """Template of the system message, with placeholders in braces."""
    user: str
    """Template of the user message, with placeholders in braces."""

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that reaches a model, and of the version; the name does not count."""
        content = {
            "version": self.version,
            "aspect": self.aspect,
            "kind": self.kind,
            "levels": self.levels,
            "k": self.k,
            "system": self.system,
            "user": self.user,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()

    @property
    def needs_prompt(self) -> bool:
        """Whether each image must bring the text prompt that it was generated from."""
        return "prompt" in _placeholders(self.system + self.user)

    def fill(self, prompt: str | None = None) -> FilledPrompt:
        """Put the levels, the scale and the image's text prompt into the templates.

        Args:
            prompt: The image's text prompt, taken over unchanged; ignored unless `needs_prompt`.

        Raises:
            ImageError: `needs_prompt`, and the prompt is missing or blank.
        """
        if self.needs_prompt and not (prompt and prompt.strip()):
            raise ImageError(
                f"The standard {self.name} compares the image with its text prompt, but this image has none; "
                "give the prompts in a CSV column or a sidecar file, or choose another standard."
            )
        numbered = (f"{level}: {text}" for level, text in reversed(list(enumerate(self.levels, start=1))))
        values = {
            "levels": _SEPARATORS.get(self.kind, "").join(numbered),
            "scale": str(list(range(1, self.k + 1))),
            "k": str(self.k),
            "prompt": prompt or "",
        }
        # One pass over the template: braces inside a prompt are text, not placeholders.
        system, user = (
            _PLACEHOLDER.sub(lambda found: values[found[1]], text) for text in (self.system, self.user)
        )
        return FilledPrompt(system, user)


def standard_names() -> list[str]:
    """Names of the shipped standards."""
    return sorted(path.stem for path in _shipped_folder().glob("*.toml"))


def load_standard(name_or_path: str | os.PathLike[str]) -> Standard:
    """Read and check a standard.

    Args:
        name_or_path: A name from `standard_names`, or the path of a TOML file (recognised by its suffix).

    Raises:
        UserError: The name is unknown, or the file is wrong; the message names the file and the key.
    """
    path = _find(name_or_path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The standard {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The standard {path} is not valid TOML: {error}.") from error
    return _Reader(path, content).standard()


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    name, known = str(name_or_path), standard_names()
    if name not in known:
        raise UserError(
            f"There is no standard {name!r}; {_guess(name, known)}"
            f"known: {', '.join(known)}, or the path of a .toml file."
        )
    return _shipped_folder() / f"{name}.toml"


def _shipped_folder() -> Path:
    """prompts/ lies inside the package once installed, and beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent / "prompts"


def _placeholders(text: str) -> list[str]:
    return _PLACEHOLDER.findall(text)


def _guess(word: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(word, known, n=1)
    return f"did you mean {nearest[0]}? " if nearest else ""


@dataclass(frozen=True)
class _Reader:
    """Checks the content of one file; every complaint names the file and the key."""

    path: Path
    content: Mapping[str, object]

    def standard(self) -> Standard:
        kind = cast(Kind, self._choice("kind", get_args(Kind)))
        aspect = cast(Aspect, self._choice("aspect", get_args(Aspect)))
        scale_key = "levels" if kind in _SEPARATORS else "k"
        self._refuse_unknown_keys(("version", "aspect", "kind", scale_key, "system", "user"))
        levels = self._levels() if scale_key == "levels" else ()
        standard = Standard(
            name=self.path.stem,
            version=self._integer("version", 1, None),
            aspect=aspect,
            kind=kind,
            levels=levels,
            k=len(levels) or self._integer("k", 2, 9),
            system=self._text("system", self._get("system")),
            user=self._text("user", self._get("user")),
        )
        self._check_placeholders(standard)
        return standard

    def _wrong(self, key: str, found: str, remedy: str) -> UserError:
        return UserError(f"The standard {self.path}, key {key}: {found}; {remedy}.")

    def _get(self, key: str) -> object:
        if key not in self.content:
            raise self._wrong(key, "it is missing", "add it")
        return self.content[key]

    def _choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self._get(key)
        if value not in choices:
            raise self._wrong(key, f"found {value!r}", f"choose one of {', '.join(choices)}")
        return str(value)

    def _integer(self, key: str, low: int, high: int | None) -> int:
        value = self._get(key)
        if type(value) is not int or value < low or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"from {low} on"
            raise self._wrong(key, f"found {value!r}", f"give a whole number {limits}")
        return value

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, f"found {value!r}", "give a text that is not blank")
        return value

    def _levels(self) -> tuple[str, ...]:
        table = self._get("levels")
        if not isinstance(table, dict):
            raise self._wrong("levels", f"found {table!r}", "give a table from each level to its text")
        for key in table:
            if key not in set("123456789"):
                raise self._wrong(
                    f"levels.{key}", "this is no level", "number the levels from 1 to at most 9"
                )
        k = max([2, *map(int, table)])
        levels: dict[str, str] = {}
        for level in map(str, range(1, k + 1)):
            if level not in table:
                raise self._wrong(
                    f"levels.{level}", "this level is missing", f"give all levels from 1 to {k}"
                )
            text = self._text(f"levels.{level}", table[level])
            folded = " ".join(text.casefold().split())
            if folded in levels:
                found = f"it says {text!r}, as level {levels[folded]} does"
                raise self._wrong(f"levels.{level}", found, "give each level its own text")
            levels[folded] = level
        return tuple(table[level] for level in levels.values())

    def _refuse_unknown_keys(self, known: tuple[str, ...]) -> None:
        for key in self.content:
            if key not in known:
                remedy = (
                    f"{_guess(key, known)}a standard of kind {self.content['kind']} has {', '.join(known)}"
                )
                raise self._wrong(key, "this key is unknown", remedy)

    def _check_placeholders(self, standard: Standard) -> None:
        required = _REQUIRED_PLACEHOLDERS[standard.kind]
        if standard.aspect == "correspondence":
            required += ("prompt",)
        known = (*_REQUIRED_PLACEHOLDERS[standard.kind], "prompt")
        for key, text in (("system", standard.system), ("user", standard.user)):
            for name in _placeholders(text):
                if name not in known:
                    remedy = (
                        f"{_guess(name, known)}this kind has {', '.join(f'{{{name}}}' for name in known)}"
                    )
                    raise self._wrong(key, f"the placeholder {{{name}}} is unknown", remedy)
        for name in required:
            if name not in _placeholders(standard.system + standard.user):
                found = f"the placeholder {{{name}}} is in neither of them"
                raise self._wrong("system, user", found, "put it where it belongs")
