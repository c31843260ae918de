"""The results of several images: a sequence that prints as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError
from zeroiqa.files.tables.render import aligned
from zeroiqa.names import harmless
from zeroiqa.results import ImageScore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ImageScores(Sequence[ImageScore]):
    """Results in the order of the images; prints as a table, becomes a list of dicts or a DataFrame."""

    items: tuple[ImageScore, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ImageScore]:
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        """One result, or a slice of them as `ImageScores`."""
        return ImageScores(self.items[index]) if isinstance(index, slice) else self.items[index]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat row per image."""
        return [item.to_dict() for item in self.items]

    def to_pandas(self) -> pd.DataFrame:
        """One row per image, the columns of scores.csv.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_pandas needs pandas, which is not installed: pip install pandas.") from error
        return pd.DataFrame(self.to_dicts())

    def __str__(self) -> str:
        rows = [
            (
                harmless(item.path),
                f"error: {item.error}"
                if item.error is not None
                else "gone"
                if item.gone
                else "no score of the first standard"
                if item.score is None
                else f"{item.score:.2f}",
                ", ".join(item.tags),
            )
            for item in self.items
        ]
        table = [line.rstrip() for line in aligned(rows)]
        return "\n".join([*table, *(["(lower is better)"] if self._lower_is_better else [])])

    @property
    def _lower_is_better(self) -> bool:
        return any(item.lower_is_better for item in self.items)
