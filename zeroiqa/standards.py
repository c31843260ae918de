"""Standards: the question put to a rater, and what each of its K levels means. They are data, in prompts/."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from zeroiqa.comparison import COMPARISON_KEYS, Comparison, read_comparison
from zeroiqa.errors import ImageError, UnknownNameError, UserError, printable
from zeroiqa.files.damage import read_toml, reading
from zeroiqa.files.keys import PLACEHOLDER, Keys, placeholders
from zeroiqa.suggestions import did_you_mean

Aspect: TypeAlias = Literal["quality", "authenticity", "correspondence", "aesthetics"]
Kind: TypeAlias = Literal["word", "number", "sentence", "float", "next-word", "preference", "comparison"]

_PLACEHOLDERS: dict[Kind, tuple[str, ...]] = {
    "word": ("levels", "scale"),
    "sentence": ("levels", "scale"),
    "number": ("scale",),
    "float": ("k",),
    "next-word": (),
    "preference": (),
    "comparison": (),
}
"""What a kind's texts may hold, beside the image's text prompt."""
_OBLIGATORY = ("levels", "k")
"""Placeholders that must stand somewhere, where a kind has them."""
_SEPARATORS: dict[Kind, str] = {"word": ", ", "sentence": "; "}
"""Between the levels, unless a file says otherwise."""
_CONTINUED: tuple[Kind, ...] = ("next-word", "preference")
"""Kinds whose answer is begun for the model: what counts is how it goes on."""
_SCALE_KEYS: dict[Kind, tuple[str, ...]] = {
    "word": ("levels", "separator"),
    "sentence": ("levels", "separator"),
    "number": ("k",),
    "float": ("k",),
    "next-word": ("levels", "answer"),
    "preference": ("positive", "negative", "candidates", "answer"),
    "comparison": ("levels", *COMPARISON_KEYS),
}
"""Keys of a file besides those that every kind has."""
_TURN_KEYS = ("before_image", "after_image", "user")


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


class UserTurn(NamedTuple):
    """The user turn of a prompt, as templates with placeholders in braces."""

    before_image: str
    """Stands before the image, as it is; empty for nothing."""
    after_image: str
    """White space between the image and the question."""
    user: str
    """The question."""


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
    "preference" how the likeliest next words lean (SeP-IQA). "comparison" compares two words, too, about the
    image beside degraded copies of itself (Q-Debias)."""
    levels: tuple[str, ...]
    """The words or sentences, level 1 first; empty for "number", "float" and "preference"."""
    k: int
    """Number of levels, from 2 to 9: each is a single digit, and so a single token. 0 where the answer
    is a number without levels: any for "preference", from 0 to 1 for "comparison"."""
    system: str
    """Template of the system message, with placeholders in braces; may be empty where an answer is
    begun, where text stands before the image, and of "comparison"."""
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
    before_image: str = ""
    """Template of the user turn's text before the image, as it is, white space included; empty for none."""
    separator: str | None = None
    """Between the levels of {levels}; None for the kind's own (", " for words, "; " for sentences)."""
    crops: UserTurn | None = None
    """The user turn for crops of regions; None where it is that of the whole image."""
    comparison: Comparison | None = None
    """Of "comparison": the degraded copies, and how their answers are weighted."""

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
        content |= self._unusual()
        if self.kind == "preference":
            content |= {
                "positive": self.positive,
                "negative": self.negative,
                "candidates": self.candidates,
            }
        content |= {"comparison": asdict(self.comparison)} if self.comparison else {}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()

    def _unusual(self) -> dict[str, object]:
        """What counts for the hash only where it is not as usual, so that older standards keep theirs."""
        own: dict[str, object] = {}
        if self.before_image:
            own["before_image"] = self.before_image
        if self.after_image != "\n":
            own["after_image"] = self.after_image
        if self.separator not in (None, _SEPARATORS.get(self.kind)):
            own["separator"] = self.separator
        if self.crops is not None and self.crops_differ:
            own["crops"] = self.crops._asdict()
        return own

    @property
    def needs_prompt(self) -> bool:
        """Whether each image must bring the text prompt that it was generated from."""
        texts = [self.system, *self.turn(crop=False), *self.turn(crop=True)]
        texts += [self.comparison.weight_question] if self.comparison else []
        return "prompt" in placeholders("".join(texts))

    @property
    def prompts(self) -> int:
        """How many prompts a view is asked by."""
        return self.comparison.prompts if self.comparison else 1

    @property
    def crops_differ(self) -> bool:
        """Whether the prompt for the crop of a region is another than that for the whole image."""
        return self.turn(crop=True) != self.turn(crop=False)

    def turn(self, *, crop: bool) -> UserTurn:
        """The user turn for the crop of a region, or for the whole image."""
        if crop and self.crops is not None:
            return self.crops
        return UserTurn(self.before_image, self.after_image, self.user)

    def suits(self, prompt: str | None) -> bool:
        """Whether an image with this text prompt, or without one, can be rated under the standard."""
        return not self.needs_prompt or bool(prompt and prompt.strip())

    def fill(self, prompt: str | None = None, *, crop: bool = False, weight: bool = False) -> FilledPrompt:
        """Put the levels, the scale and the image's text prompt into the templates.

        Args:
            prompt: The image's text prompt, taken over unchanged; ignored unless `needs_prompt`.
            crop: Whether the crop of a region is asked about, rather than the whole image.
            weight: Whether to ask what weighs the answer of a comparison.

        Raises:
            ImageError: `needs_prompt`, and the prompt is missing or blank.
        """
        if not self.suits(prompt):
            raise ImageError(
                f"The standard {self.name} compares the image with its text prompt, but this image has none; "
                "give the prompts in a CSV column or a sidecar file, or choose another standard."
            )
        turn, compared = self.turn(crop=crop), self.comparison
        return FilledPrompt(
            system=self._filled(self.system, prompt),
            user=self._filled(compared.weight_question if weight and compared else turn.user, prompt),
            after_image=turn.after_image,
            answer=self.answer,
            before_image=self._filled(turn.before_image, prompt),
            images=2 if compared else 1,
        )

    def _filled(self, template: str, prompt: str | None) -> str:
        """One pass over the template: braces inside a prompt are text, not placeholders."""
        separator = _SEPARATORS.get(self.kind, "") if self.separator is None else self.separator
        numbered = (f"{level}: {text}" for level, text in reversed(list(enumerate(self.levels, start=1))))
        values = {
            "levels": separator.join(numbered),
            "scale": str(list(range(1, self.k + 1))),
            "k": str(self.k),
            "prompt": prompt or "",
        }
        return PLACEHOLDER.sub(lambda found: values[found[1]], template)


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
                f"{len(images)} images has one (the first is {printable(without[0])}); give the prompts by "
                "--prompts FILE, in a list with a column prompt or by --sidecar-prompts, or choose another "
                "standard."
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
    return _standard(Keys("The standard", path, content))


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    name, known = str(name_or_path), standard_names()
    if name not in known:
        raise UnknownNameError(
            f"There is no standard {name!r}; {did_you_mean(name, known)}"
            f"known: {', '.join(known)}, or the path of a .toml file.",
            "standard",
            name,
        )
    return _shipped_folder() / f"{name}.toml"


def _shipped_folder() -> Path:
    """prompts/ lies inside the package once installed, and beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent / "prompts"


def _standard(keys: Keys) -> Standard:
    """Read and check the content of one file."""
    kind = cast(Kind, keys.choice("kind", get_args(Kind)))
    aspect = cast(Aspect, keys.choice("aspect", get_args(Aspect)))
    own, continued = _SCALE_KEYS[kind], kind in _CONTINUED
    known = ("version", "aspect", "kind", *own, "system", *_TURN_KEYS, "crops")
    keys.refuse_unknown(known, f"a standard of kind {kind}")
    levels = _levels(keys) if "levels" in own else ()
    whole = _turn(keys, UserTurn("", "\n", ""))
    needs_no_system = continued or whole.before_image or kind == "comparison"
    standard = Standard(
        name=keys.path.stem,
        version=keys.integer("version", 1),
        aspect=aspect,
        kind=kind,
        levels=levels,
        k=keys.integer("k", 2, 9) if "k" in own else 0 if kind == "comparison" else len(levels),
        system="" if needs_no_system and "system" not in keys.content else keys.text("system"),
        user=whole.user,
        answer=_answer(keys) if continued else "",
        after_image=whole.after_image,
        positive=keys.words("positive") if "positive" in own else "",
        negative=keys.words("negative") if "negative" in own else "",
        candidates=keys.integer("candidates", 1) if "candidates" in own else 0,
        before_image=whole.before_image,
        separator=keys.text("separator", blank=True) if "separator" in keys.content else None,
        crops=_crops(keys, whole) if "crops" in keys.content else None,
        comparison=read_comparison(keys, levels) if kind == "comparison" else None,
    )
    if kind == "preference" and sorted(standard.positive.split()) == sorted(standard.negative.split()):
        raise keys.wrong("positive, negative", "they hold the same words", "give opposites")
    _check_placeholders(keys, standard)
    return standard


def _turn(keys: Keys, usual: UserTurn) -> UserTurn:
    """The user turn of a table; what it leaves out is as usual, and the question must stand somewhere."""
    given = keys.content
    return UserTurn(
        keys.text("before_image") if "before_image" in given else usual.before_image,
        keys.white_space("after_image") if "after_image" in given else usual.after_image,
        keys.text("user") if "user" in given or not usual.user else usual.user,
    )


def _crops(keys: Keys, whole: UserTurn) -> UserTurn:
    inner = keys.inner("crops", "of what differs for crops of regions")
    inner.refuse_unknown(_TURN_KEYS, "this table")
    turn = _turn(inner, whole)
    if turn == whole:
        raise keys.wrong("crops", "nothing in it differs from the whole image's", "leave it out")
    return turn


def _answer(keys: Keys) -> str:
    answer = keys.text("answer")
    if answer != answer.strip():
        remedy = "leave the spaces out: the next word brings its own"
        raise keys.wrong("answer", f"{answer!r} begins or ends with white space", remedy)
    return answer


def _levels(keys: Keys) -> tuple[str, ...]:
    table = keys.inner("levels", "from each level to its text")
    for key in table.content:
        if key not in set("123456789"):
            raise table.wrong(key, "this is no level", "number the levels from 1 to at most 9")
    k = max([2, *map(int, table.content)])
    levels: dict[str, str] = {}
    for level in map(str, range(1, k + 1)):
        if level not in table.content:
            raise table.wrong(level, "this level is missing", f"give all levels from 1 to {k}")
        text = table.text(level)
        folded = " ".join(text.casefold().split())
        if folded in levels:
            found = f"it says {text!r}, as level {levels[folded]} does"
            raise table.wrong(level, found, "give each level its own text")
        levels[folded] = level
    return tuple(table.text(level) for level in levels.values())


def _check_placeholders(keys: Keys, standard: Standard) -> None:
    """Every placeholder is known, and what must be asked stands in the prompt of the whole and of crops."""
    own = _PLACEHOLDERS[standard.kind]
    required = [name for name in own if name in _OBLIGATORY]
    if standard.aspect == "correspondence":
        required.append("prompt")
    for table, crop in (("", False), ("crops.", True)):
        turn = standard.turn(crop=crop)
        if crop and not standard.crops_differ:
            continue
        texts = {f"{table}{key}": text for key, text in turn._asdict().items() if key != "after_image"}
        if standard.comparison is not None and not crop:
            texts["weight.user"] = standard.comparison.weight_question
        texts = {"system": standard.system, **{key: text for key, text in texts.items() if text}}
        for key, text in texts.items():
            keys.refuse_unknown_placeholders(key, text, (*own, "prompt"), "this kind")
        for name in required:
            if name not in placeholders("".join(texts.values())):
                found = f"the placeholder {{{name}}} is in {'neither' if len(texts) == 2 else 'none'} of them"
                raise keys.wrong(", ".join(texts), found, "put it where it belongs")
