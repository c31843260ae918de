# /// script
# requires-python = ">=3.11"
# dependencies = ["zeroiqa", "datasets>=5,<6", "pandas>=2.2"]
#
# [tool.uv.sources]
# zeroiqa = { path = "..", editable = true }
# ///
"""Score a data set of images, and write it with the scores behind its columns.

    uv run scripts/score_dataset.py IN OUT [--split train] [--preset embedded] [--image-column image]

IN is a name of the Hugging Face hub, a folder of Parquet files or of images, a .parquet, .csv or .jsonl
file, or a folder that `save_to_disk` wrote. OUT is a folder for `save_to_disk`, a .parquet file, or with
--push a name of the hub. The images stay as they are stored: none is decoded and encoded again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import datasets

import zeroiqa

FILES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json"}


def read(source: str, split: str) -> Any:
    """The data set that a source means."""
    path = Path(source)
    if not path.exists():
        return datasets.load_dataset(source, split=split)
    if path.is_file():
        return datasets.load_dataset(FILES[path.suffix], data_files=source, split="train")
    if (path / "dataset_info.json").exists():
        return datasets.load_from_disk(source)
    if any(path.rglob("*.parquet")):
        return datasets.load_dataset("parquet", data_files=f"{source}/**/*.parquet", split="train")
    return datasets.load_dataset("imagefolder", data_dir=source, split=split)


def write(found: Any, target: str, *, push: bool) -> None:
    """Write a data set where it shall go."""
    if push:
        found.push_to_hub(target)
    elif target.endswith(".parquet"):
        found.to_parquet(target)
    else:
        found.save_to_disk(target)


def progress(rows: int) -> Any:
    """Says on standard error how many rows are done, at most a hundred times."""

    def said(done: int) -> None:
        if done == rows or done % max(1, rows // 100) == 0:
            print(f"\r{done}/{rows} rows", end="\n" if done == rows else "", file=sys.stderr)

    return said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="IN")
    parser.add_argument("target", metavar="OUT")
    parser.add_argument("--split", default="train")
    parser.add_argument("--preset", default="embedded", help="a preset, or a rater such as qwen2.5-vl-7b")
    parser.add_argument("--image-column")
    parser.add_argument("--column-prefix", default="")
    parser.add_argument("--workers", default="1", help="processes, or auto")
    parser.add_argument("--push", action="store_true", help="OUT is a name of the hub")
    chosen = parser.parse_args()
    try:
        given = read(chosen.source, chosen.split)
        found = zeroiqa.score_table(
            given,
            method=zeroiqa.load_method(chosen.preset),
            image_column=chosen.image_column,
            column_prefix=chosen.column_prefix,
            workers=chosen.workers if chosen.workers == "auto" else int(chosen.workers),
            on_progress=progress(given.num_rows),
        )
        write(found, chosen.target, push=chosen.push)
    except (zeroiqa.UserError, datasets.exceptions.DatasetsError, ValueError, KeyError) as error:
        sys.exit(f"Error: {error}")
    broken = sum(status != "ok" for status in found[f"{chosen.column_prefix}status"])
    print(f"{found.num_rows} rows, {broken} with an error: {chosen.target}")


if __name__ == "__main__":
    main()
