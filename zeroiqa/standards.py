"""Standards: the question put to a rater, and what each of its K levels means. They are data, in prompts/."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.files.damage import read_toml, reading
from zeroiqa.suggestions import did_you_mean

Aspect: TypeAlias = Literal["quality", "authenticity", "correspondence", "aesthetics"]
Kind: TypeAlias = Literal["word", "number", "sentence", "float", "next-word", "preference"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_REQUIRED_PLACEHOLDERS: dict[Kind, tuple[str, ...]] = {
    "word": ("levels", "scale"),
    "sentence": ("levels", "scale"),
    "number": ("scale",),
    "float": ("k",),
    "next-word": (),
    "preference": (),
}
_SEPARATORS: dict[Kind, str] = {"word": ", ", "sentence": "; "}
_CONTINUED: tuple[Kind, ...] = ("next-word", "preference")
"""Kinds whose answer is begun for the model: what counts is how it goes on."""
_SCALE_KEYS: dict[Kind, tuple[str, ...]] = {
    "word": ("levels",),
    "sentence": ("levels",),
    "number": ("k",),
    "float": ("k",),
    "next-word": ("levels", "answer"),
    "preference": ("positive", "negative", "candidates", "answer"),
}
"""Keys of a file besides version, aspect, kind, system and user."""


class FilledPrompt(NamedTuple):
    """What a model reads besides the pixels."""

    system: str
    """Empty for none."""
    user: str
    after_image: str = "\n"
    """Between the image and the user's text."""
    answer: str = ""
    """The beginning of the model's own answer, without a space at its end."""
    before_image: str = ""
    """In the user turn, before the first image; as it is, white space included."""
    images: int = 1
    """How many images stand one behind the other between the two texts."""


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
    """What stands for a level: a word, a bare number or a sentence, each with its digit; "float" asks for a
    decimal number. Of an answer that is begun, "next-word" compares the words of the levels as the next one,
    "preference" how the likeliest next words lean (SeP-IQA)."""
    levels: tuple[str, ...]
    """The words or sentences, level 1 first; empty for "number", "float" and "preference"."""
    k: int
    """Number of levels, from 2 to 9: each is a single digit, and so a single token. 0 for "preference"."""
    system: str
    """Template of the system message, with placeholders in braces; may be empty where an answer is begun."""
    user: str
    """Template of the user message, with placeholders in braces."""
    answer: str = ""
    """The beginning of the answer; empty but for "next-word" and "preference"."""
    after_image: str = "\n"
    """What stands between the image and the user's text."""
    positive: str = ""
    """Of "preference": words for high quality, one space between them."""
    negative: str = ""
    """Of "preference": words for low quality."""
    candidates: int = 0
    """Of "preference": how many of the likeliest next tokens count."""

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that reaches a model, and of the version; the name does not count."""
        content: dict[str, object] = {
            "version": self.version,
            "aspect": self.aspect,
            "kind": self.kind,
            "levels": self.levels,
            "k": self.k,
            "system": self.system,
            "user": self.user,
        }
        if self.kind in _CONTINUED:
            content |= {"answer": self.answer, "after_image": self.after_image}
        if self.kind == "preference":
            content |= {
                "positive": self.positive,
                "negative": self.negative,
                "candidates": self.candidates,
            }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()

    @property
    def needs_prompt(self) -> bool:
        """Whether each image must bring the text prompt that it was generated from."""
        return "prompt" in _placeholders(self.system + self.user)

    def suits(self, prompt: str | None) -> bool:
        """Whether an image with this text prompt, or without one, can be rated under the standard."""
        return not self.needs_prompt or bool(prompt and prompt.strip())

    def fill(self, prompt: str | None = None) -> FilledPrompt:
        """Put the levels, the scale and the image's text prompt into the templates.

        Args:
            prompt: The image's text prompt, taken over unchanged; ignored unless `needs_prompt`.

        Raises:
            ImageError: `needs_prompt`, and the prompt is missing or blank.
        """
        if not self.suits(prompt):
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
        return FilledPrompt(system, user, self.after_image, self.answer)


def check_prompts(standards: Iterable[Standard], images: Sequence[tuple[str, str | None]]) -> str | None:
    """What is to be said of images that lack the text prompt which a standard needs; None if nothing is.

    Args:
        standards: All of a run.
        images: Name and prompt of each.

    Raises:
        UserError: none of the images has a prompt.
    """
    for standard in standards:
        without = [name for name, prompt in images if not standard.suits(prompt)]
        if not without:
            continue
        if len(without) == len(images):
            raise UserError(
                f"The standard {standard.name} compares images with their text prompts, and none of the "
                f"{len(images)} images has one (the first is {printable(without[0])}); give the prompts in a "
                "list with a column prompt or by --sidecar-prompts, or choose another standard."
            )
        return (
            f"{len(without)} of {len(images)} images have no text prompt (the first is "
            f"{printable(without[0])}), so that they get no score under {standard.name}."
        )
    return None


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
    with reading(path, "correct it, or name another one", "The standard"):
        content = read_toml(path)
    return _Reader(path, content).standard()


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    name, known = str(name_or_path), standard_names()
    if name not in known:
        raise UserError(
            f"There is no standard {name!r}; {did_you_mean(name, known)}"
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


@dataclass(frozen=True)
class _Reader:
    """Checks the content of one file; every complaint names the file and the key."""

    path: Path
    content: Mapping[str, object]

    def standard(self) -> Standard:
        kind = cast(Kind, self._choice("kind", get_args(Kind)))
        aspect = cast(Aspect, self._choice("aspect", get_args(Aspect)))
        own, continued = _SCALE_KEYS[kind], kind in _CONTINUED
        optional = ("after_image",) if continued else ()
        self._refuse_unknown_keys(("version", "aspect", "kind", *own, "system", "user", *optional))
        levels = self._levels() if "levels" in own else ()
        standard = Standard(
            name=self.path.stem,
            version=self._integer("version", 1, None),
            aspect=aspect,
            kind=kind,
            levels=levels,
            k=self._integer("k", 2, 9) if "k" in own else len(levels),
            system="" if continued and "system" not in self.content else self._text("system"),
            user=self._text("user"),
            answer=self._answer() if continued else "",
            after_image=self._break() if "after_image" in self.content else "\n",
            positive=self._words("positive") if "positive" in own else "",
            negative=self._words("negative") if "negative" in own else "",
            candidates=self._integer("candidates", 1, None) if "candidates" in own else 0,
        )
        if kind == "preference" and sorted(standard.positive.split()) == sorted(standard.negative.split()):
            raise self._wrong("positive, negative", "they hold the same words", "give opposites")
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

    def _text(self, key: str) -> str:
        return self._checked_text(key, self._get(key))

    def _checked_text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, f"found {value!r}", "give a text that is not blank")
        return value

    def _answer(self) -> str:
        answer = self._text("answer")
        if answer != answer.strip():
            remedy = "leave the spaces out: the next word brings its own"
            raise self._wrong("answer", f"{answer!r} begins or ends with white space", remedy)
        return answer

    def _break(self) -> str:
        value = self._get("after_image")
        if not isinstance(value, str) or value.strip():
            raise self._wrong("after_image", f"found {value!r}", "give white space or an empty text")
        return value

    def _words(self, key: str) -> str:
        return " ".join(self._text(key).split())

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
            text = self._checked_text(f"levels.{level}", table[level])
            folded = " ".join(text.casefold().split())
            if folded in levels:
                found = f"it says {text!r}, as level {levels[folded]} does"
                raise self._wrong(f"levels.{level}", found, "give each level its own text")
            levels[folded] = level
        return tuple(table[level] for level in levels.values())

    def _refuse_unknown_keys(self, known: tuple[str, ...]) -> None:
        for key in self.content:
            if key not in known:
                kind = self.content["kind"]
                remedy = f"{did_you_mean(key, known)}a standard of kind {kind} has {', '.join(known)}"
                raise self._wrong(key, "this key is unknown", remedy)

    def _check_placeholders(self, standard: Standard) -> None:
        required = _REQUIRED_PLACEHOLDERS[standard.kind]
        if standard.aspect == "correspondence":
            required += ("prompt",)
        known = (*_REQUIRED_PLACEHOLDERS[standard.kind], "prompt")
        for key, text in (("system", standard.system), ("user", standard.user)):
            for name in _placeholders(text):
                if name not in known:
                    listed = ", ".join(f"{{{each}}}" for each in known)
                    remedy = f"{did_you_mean(name, known)}this kind has {listed}"
                    raise self._wrong(key, f"the placeholder {{{name}}} is unknown", remedy)
        for name in required:
            if name not in _placeholders(standard.system + standard.user):
                found = f"the placeholder {{{name}}} is in neither of them"
                raise self._wrong("system, user", found, "put it where it belongs")
