"""What is known of a run by its own files, and which of its shards are left to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from zeroiqa.answers import scale_of
from zeroiqa.averaging import unit_of
from zeroiqa.files.storage import Location
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.raters import find_rater
from zeroiqa.runs import parts, plan
from zeroiqa.runs.following import Followed
from zeroiqa.runs.revisions import Revisions
from zeroiqa.settings import Settings
from zeroiqa.standards import Kind

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation, Scale
    from zeroiqa.runs.resolved import Builder


@dataclass(frozen=True)
class PlannedRun:
    """What run.json, the plan and the revisions of a run say, and how the command at hand handles it."""

    folder: Location
    run_id: str
    settings: Settings
    identity: Mapping[str, Any] = field(hash=False)
    """What the run id stands for: ids of policy, segmenter, raters; standards; what was named."""
    labels: Mapping[str, str] = field(hash=False)
    """Standard name -> what its scores are called; kept in run.json, so that reading needs no standard."""
    kinds: Mapping[str, Kind] = field(hash=False)
    """Standard name -> kind; kept there, too."""
    shards: tuple[int, ...]
    """Images in each shard, in plan order."""
    warnings: tuple[str, ...] = ()
    """What the user should know: libraries have changed since the run was started, prompts are missing."""
    added: tuple[str, ...] = ()
    """Raters that the run did not have until it was opened this time."""
    gets_regions: bool = False
    """Whether it had none until then."""
    followed: Followed = field(default_factory=Followed)
    """Images that have come and gone since it was opened the last time."""
    origin: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The folder from which relative paths of its images count: `cwd`, and `from_run` as seen from its own;
    empty in runs that do not say it."""
    ignore_times: bool = False
    """Whether an image of the planned size is taken though its file was written again since."""
    image_seconds: float = IMAGE_SECONDS
    """How long reading and decoding one image may take."""
    root: str = ""
    """The folder that relative paths of its images count from now; empty: the current one."""
    revisions: Revisions = field(default_factory=Revisions, hash=False)
    """What had changed since it was planned when it was opened."""
    builder: Builder | None = field(default=None, compare=False, repr=False)
    """Has built what the settings name, for the command that opened the run; None: nothing is built yet."""

    @property
    def n_images(self) -> int:
        """Images planned, those included that are gone."""
        return sum(self.shards)

    @property
    def n_shards(self) -> int:
        """Shards planned."""
        return len(self.shards)

    @property
    def stages(self) -> tuple[str, ...]:
        """Folders that hold one part per shard, in the order in which they are filled."""
        return (parts.REGIONS, *map(parts.rating_stage, self.settings.raters))

    @property
    def has_regions(self) -> bool:
        """Whether the regions of its images are found and rated."""
        return self.identity["segmenter"] is not None

    @property
    def units(self) -> dict[str, str]:
        """Standard name -> what its ratings are, in a few words."""
        return {
            each["name"]: unit_of(self.kinds[each["name"]], each["k"]) for each in self.identity["standards"]
        }

    @property
    def lower_is_better(self) -> bool:
        """Whether its scores fall as quality rises: those of some baselines, which stand alone in a run."""
        return any(
            find_rater(name).lower_is_better(rater_id) for name, rater_id in self.identity["raters"].items()
        )

    def scales(self, aggregation: Aggregation) -> dict[str, Scale]:
        """Standard name -> between which numbers its scores lie by some arithmetic."""
        raters = self.settings.raters
        ks = {each["name"]: each["k"] for each in self.identity["standards"]}
        return {name: scale_of(raters, self.kinds[name], k, aggregation) for name, k in ks.items()}

    def pending(self, raters: Sequence[str] | None = None) -> list[int]:
        """The shards that have something left to do, in plan order; for some of the raters, or for all."""
        chosen = self.settings.raters if raters is None else raters
        stages = (parts.REGIONS, *map(parts.rating_stage, chosen))
        done = set.intersection(*(self.finished(parts.parts(self.folder, stage)) for stage in stages))
        return [shard for shard in range(self.n_shards) if shard not in done]

    def finished(self, generations: Mapping[int, set[int]]) -> set[int]:
        """The shards of which the part is there that is wanted.

        Args:
            generations: Shard -> the generations of its parts of one stage.
        """
        return {shard for shard, found in generations.items() if self.revisions.generation(shard) in found}

    def images_of(self, shard: int) -> range:
        """The numbers of a shard's images in the plan."""
        return range(self._starts[shard], self._starts[shard + 1])

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(accumulate(self.shards, initial=0))

    def planned(self, shard: int) -> list[plan.Planned]:
        """The images of a shard as they are now."""
        return list(map(self.now, plan.planned(self.folder, shard)))

    def now(self, row: plan.Planned) -> plan.Planned:
        """A row of the plan as it is now, seen from the current folder."""
        row = self.revisions.planned(row)
        return row._replace(ref=row.ref._replace(root=self.root)) if self.root else row

    def gone(self, shards: Iterable[int]) -> dict[int, frozenset[int]]:
        """Of some shards, those with images that are gone -> which these are, pruned ones included."""
        if not self.revisions.gone:
            return {}
        found = {shard: self.revisions.gone.intersection(self.images_of(shard)) for shard in shards}
        return {shard: images for shard, images in found.items() if images}

    def count_images(self, shards: Iterable[int]) -> int:
        """Images in some of the shards."""
        return sum(self.shards[shard] for shard in shards)
