"""Which images of a run are exported, and the loop that hands them to a format."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from zeroiqa.errors import UserError, printable
from zeroiqa.export.originals import MOVED, state_of
from zeroiqa.images.listed_paths import spellings
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import Run, ScoredImage, iter_scored
from zeroiqa.runs.naming import spelled_from
from zeroiqa.runs.presentation import Presentation

GONE = "gone from the run"
ERROR = "with an error"
UNSCORED = "with scores of other standards only"


class Add(Protocol):
    """Takes one image after another."""

    def __call__(self, image: ScoredImage) -> str | None:
        """Take an image that has a score; a few words on why it is left out, None where it is in.

        Raises:
            UserError: nothing more can be written.
        """
        ...


Format = Callable[[], AbstractContextManager[Add]]
"""Opens what a format writes; it is whole when the block ends well."""


class Chosen:
    """The images that a list names: as a run calls them, or by other paths that lead to them from here.

    Args:
        paths: As they are listed.
        run: With the folder that its images' relative paths count from.
    """

    def __init__(self, paths: Collection[str], run: Run) -> None:
        here = str(Path.cwd())
        root = run.root or here
        ours, self._theirs = spelled_from(here, root), spelled_from(root, root)
        self._meant: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            for spelling in filter(None, spellings(path)):
                for name in (spelling, ours(spelling), self._theirs(spelling)):
                    self._meant[name].add(path)
        self._left = set(paths)

    def __contains__(self, ref: ImageRef) -> bool:
        """Whether an image is named; then its name is no more among the unknown ones."""
        names = (ref.path, ref.name, self._theirs(ref.path))
        named = set[str]().union(*(self._meant[name] for name in names if name in self._meant))
        self._left -= named
        return bool(named)

    @property
    def unknown(self) -> list[str]:
        """The paths of which no image was asked for so far."""
        return sorted(self._left)


@dataclass
class Exported:
    """Counts of images."""

    images: int = 0
    """That are exported."""
    left_out: Counter[str] = field(default_factory=Counter)
    """A few words on why images are left out -> how many."""
    moved: int = 0
    """Exported images that are not where they were scored."""
    changed: int = 0
    """Exported images whose files were written again since."""

    def sentences(self, run: Run) -> Iterator[str]:
        """What is to be said of images that are left out, or are not what they were."""
        if self.left_out:
            yield f"Left out: {self.why()}."
        if self.moved:
            yield f"Not where they were scored: {self.moved} of {self.images} images."
        if self.changed:
            yield (
                f"Written again since they were scored: {self.changed} of {self.images} images; "
                f"`zeroiqa verify {run.folder} --deep` says which have other content."
            )

    def why(self) -> str:
        """The reasons with their counts, the most frequent first."""
        return ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())


def export_images(
    run: Run,
    to: Format,
    shown: Presentation,
    chosen: Chosen | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Hand every image that has a score to a format, in plan order, streaming.

    Args:
        run: The run, as `zeroiqa.curation.select.load_where_it_lies` gives it; what is finished of it counts.
        to: Where to.
        shown: What is said beside the scores.
        chosen: The images to take; None: all.
        advance: Is told how many more images of the run have been seen.

    Raises:
        UserError: there is nothing to export, or it cannot be written.
    """
    found = Exported()
    images = _with_scores(run, shown, chosen, found, advance)
    first = next(images, None)
    if first is not None:
        with to() as add:
            for image in itertools.chain([first], images):
                _count(found, image, add(image), run)
            if not found.images:
                raise _nothing(run, found, chosen)  # inside: what was begun is removed
    if not found.images:
        raise _nothing(run, found, chosen)
    return found


def _with_scores(
    run: Run, shown: Presentation, chosen: Chosen | None, found: Exported, advance: Callable[[int], None]
) -> Iterator[ScoredImage]:
    for image in iter_scored(run):
        advance(1)
        if chosen is not None and image.planned.ref not in chosen:
            continue
        why = _why_not(image)
        if why is None:
            (score,) = shown.of([image.score])
            yield image._replace(planned=run.now(image.planned), score=score)
        else:
            found.left_out[why] += 1


def _why_not(image: ScoredImage) -> str | None:
    if image.score.gone:
        return GONE
    if image.score.error is not None:
        return ERROR
    return UNSCORED if image.score.score is None else None


def _count(found: Exported, image: ScoredImage, why: str | None, run: Run) -> None:
    if why is not None:
        found.left_out[why] += 1
        return
    state = state_of(image.planned.ref, ignore_times=run.ignore_times)
    found.images += 1
    found.moved += state == "moved"
    found.changed += state == "changed"


def _nothing(run: Run, found: Exported, chosen: Chosen | None) -> UserError:
    if chosen is not None and not found.left_out:
        example = f" (first: {printable(chosen.unknown[0])})" if chosen.unknown else ""
        return UserError(
            f"None of the images of the list{example} is in {run.folder} with a score; give paths as its "
            "scores.csv has them."
        )
    why = f": {found.why()}" if found.left_out else ""
    todo = ""
    if MOVED in found.left_out:
        todo = "; put the images back, or score them where they are"
    elif found.left_out.keys() <= {GONE, ERROR, UNSCORED}:
        todo = f"; `zeroiqa status {run.folder}` says more"
    return UserError(f"{run.folder} has no image to export{why}{todo}.")
