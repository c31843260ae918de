"""An image that is replaced after planning is an error; `verify RUN --deep` finds those that were later."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.servers.buckets import Bucket
from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.errors import ImageError
from zeroiqa.images.find import find_images
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import parts, plan
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.merge import merge_runs
from zeroiqa.runs.originals import check_images
from zeroiqa.settings import load_settings

CHANGED = "another modification time than when the run was planned"


def write(path: Path, seed: int) -> Path:
    """An uncompressed picture: all have one size in bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(4):
        write(Path(f"photos/{number}.bmp"), number)


def begun(folder: str, *raters: str, images: str = "photos") -> runs.Run:
    settings = load_settings("embedded", {"segmenter": "grid", "raters": raters or ("fake",)})
    return runs.open_run(Path(folder), settings, find_images([images]), preset="embedded")


def finish(run: runs.Run) -> list[str | None]:
    """The error of each image."""
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return [score.error for score in runs.iter_scores(run)]


def give(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, f"{done.output}{done.exception or ''}"


def replaced(path: Path, *, with_its_time: bool) -> None:
    status = path.stat()
    write(path, 99)
    assert path.stat().st_size == status.st_size
    if with_its_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000))


def test_an_image_of_equal_size_and_another_time_is_an_error_row() -> None:
    run = begun("run")
    replaced(Path("photos/2.bmp"), with_its_time=False)
    errors = finish(run)
    assert [error is None for error in errors] == [True, True, False, True]
    assert errors[2] is not None and errors[2].startswith(
        "photos/2.bmp may have changed: the file has another"
    )


def test_a_copied_folder_goes_on_where_times_are_ignored() -> None:
    begun("run")
    shutil.move("photos", "old")
    shutil.copytree("old", "photos", copy_function=shutil.copyfile)
    for number, path in enumerate(sorted(Path("photos").iterdir()), start=1):
        os.utime(path, (number, number))
    shutil.copytree("run", "run2")
    code, output = give("score", "-o", "run", "--format", "csv")
    assert code == 1 and "All of the 4 images looked at have another" in output
    assert not list(Path("run").rglob("part-*"))
    code, output = give("score", "-o", "run2", "--ignore-times", "--format", "csv")
    assert code == 0 and CHANGED not in output and "0 with an error" in output


@pytest.mark.parametrize("more", [[], ["--add"]])
def test_images_that_have_changed_since_they_were_scored_are_named(more: list[str]) -> None:
    how = ["--segmenter", "grid", "--rater", "fake", "--format", "csv"]
    before = give("score", "photos", "-o", "run", *how)
    assert before[0] == 0 and "have changed" not in before[1]
    replaced(Path("photos/1.bmp"), with_its_time=False)
    os.utime("photos/3.bmp", (7, 7))
    code, output = give("score", "photos", "-o", "run", *how, *more)
    assert code == 0
    assert "Warning: 2 images have changed since the last score, by size or time (first: photos/1" in output
    assert "have changed" not in give("score", "photos", "-o", "run", "--ignore-times", *how)[1]


def test_a_member_of_an_archive_that_was_packed_again_is_an_error_row() -> None:
    def pack(*seeds: int) -> None:
        with tarfile.open("x.tar", "w") as archive:
            for number, seed in enumerate(seeds):
                info = tarfile.TarInfo(f"{number}.bmp")  # its own time is 0, as WebDataset writes it
                content = write(Path("member.bmp"), seed)
                info.size = content.stat().st_size
                with content.open("rb") as file:
                    archive.addfile(info, file)

    pack(1, 2)
    run = begun("run", images="x.tar")
    planned = Path("x.tar").stat()
    pack(1, 3)
    os.utime("x.tar", ns=(planned.st_atime_ns, planned.st_mtime_ns + 1))
    errors = finish(run)
    assert all(error and "its archive has another modification time" in error for error in errors)


def test_an_object_has_one_time_in_listings_and_alone(bucket: Bucket) -> None:
    address = bucket.put("photos/0.bmp", Path("photos/0.bmp").read_bytes())
    (listed,), (alone,) = find_images([bucket.address("photos")]), find_images([address])
    assert listed == alone and listed.modified
    stored = ImageRef(address, listed.bytes, modified=listed.modified)
    assert read(stored, 10_000) == Path("photos/0.bmp").read_bytes()
    with pytest.raises(ImageError, match=CHANGED):
        read(stored._replace(modified=listed.modified - 10**9), 10_000)


def test_a_further_rater_is_shown_the_file_whose_regions_were_found() -> None:
    assert finish(begun("run")) == [None] * 4
    replaced(Path("photos/1.bmp"), with_its_time=True)
    os.utime("photos/3.bmp", (7, 7))  # touched: the content says that it is the same
    run = begun("run", "fake", "fake:2")
    errors = finish(run)
    assert [error is None for error in errors] == [True, False, True, True]
    assert errors[1] is not None and "photos/1.bmp has changed: it is not the file whose regions" in errors[1]


def test_deep_verification_reads_every_image_again() -> None:
    Path("photos/4.bmp").write_bytes(b"no image")
    finish(begun("run"))
    os.utime("photos/0.bmp", (7, 7))
    assert give("verify", "run", "--deep")[0] == 0
    check = check_images(runs.load_run(Path("run")))
    assert check.found == "4 of 5 read again and compared; 1 that have an error"

    replaced(Path("photos/1.bmp"), with_its_time=True)
    Path("photos/2.bmp").unlink()
    assert give("verify", "run")[0] == 0
    code, output = give("verify", "run", "--deep")
    assert code == 1 and "2 DAMAGED, 4 of 5 read again" in output
    assert "Error: photos/1.bmp is not the file that was scored, by its SHA-256; put the old file" in output
    assert "Error: photos/2.bmp does not exist." in output
    assert give("verify", "photos", "--deep")[0] == 2


def without_columns(folder: Path) -> None:
    """A run as older versions wrote it."""
    for pattern, column in (("plan*.parquet", "modified"), ("regions/part-*", "content_hash")):
        for path in folder.glob(pattern):
            with pq.ParquetFile(path) as file:
                groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
            schema = groups[0].schema
            schema = schema.remove(schema.get_field_index(column))
            with pq.ParquetWriter(path, schema) as writer:
                for group in groups:
                    writer.write_table(group.select(schema.names))
    shutil.rmtree(folder / "events")


def test_a_run_of_an_older_version_opens_goes_on_and_merges() -> None:
    run = begun("run")
    list(LocalExecutor(1).execute(run, runs.pending(run)[:2], on_images=lambda _: None))
    without_columns(Path("run"))
    assert {row.ref.modified for row in plan.all_planned(Path("run"))} == {None}
    assert [row.content_hash for row in parts.read_regions(Path("run"), 0)] == [None]
    os.utime("photos/3.bmp", (7, 7))  # not known then, so not compared
    assert finish(begun("run")) == [None] * 4
    assert give("verify", "run", "--deep")[0] == 0
    found = check_images(runs.load_run(Path("run"))).found
    assert found == "1 of 4 read again and compared; 3 scored by a version without hashes"
    write(Path("other.bmp"), 7)
    other = begun("run2", images="other.bmp")
    finish(other)
    merged, _ = merge_runs([runs.load_run(Path("run")), other], Path("both"))
    times = [row.ref.modified for row in plan.all_planned(merged.folder)]
    assert times[:4] == [None] * 4 and times[4] == Path("other.bmp").stat().st_mtime_ns
