"""Side-cars beside photos: written, merged, and never at the cost of what somebody else wrote there."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.command import Done, zeroiqa
from tests.side_cars import DARKTABLE, DIGIKAM, LIGHTROOM
from zeroiqa import samples
from zeroiqa.export.packet import Packet
from zeroiqa.export.stars import ByCuts
from zeroiqa.export.xmp import KEYWORDS, RATING, STARS, SUBJECT, SideCarOptions, SideCars, merged
from zeroiqa.results import ImageScore
from zeroiqa.runs import iter_scores, load_run

PHOTOS = ("a.jpg", "b.jpg", "c.png", "sub/d.jpg")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and their run, to be copied."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "photos/sub").mkdir(parents=True)
    shutil.copy(samples.folder() / "rocket.png", folder / "photos/c.png")
    for name in ("a.jpg", "b.jpg", "sub/d.jpg"):
        shutil.copy(samples.folder() / "cat.jpg", folder / "photos" / name)
    (folder / "photos/e.jpg").write_bytes(b"no image")
    with tarfile.open(folder / "photos.tar", "w") as archive:
        archive.add(folder / "photos/a.jpg", "in/t.jpg")
        archive.add(folder / "photos/a.jpg", "../../out.jpg")
    done = zeroiqa(folder, "score", "photos", "photos.tar", "-o", "run", "--rater", "fake", "--format", "csv")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "home"))


def export(home: Path, *options: object) -> Done:
    return zeroiqa(home, "export", "xmp", "run", *options)


def side_cars(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.xmp"))}


def test_each_photo_gets_its_rating_and_a_second_time_changes_nothing(home: Path) -> None:
    done = export(home, "--beside", "--dry-run")
    assert "4 beside the photos: 4 new, 0 merged, 0 unchanged (nothing is written)" in done.stdout
    assert side_cars(home) == {}
    done = export(home, "--beside")
    assert done.returncode == 0
    assert "Left out: 2 in an archive (-o FOLDER takes their side-cars), 1 with an error." in done.stderr
    written = side_cars(home / "photos")
    assert set(written) == {f"{name}.xmp" for name in PHOTOS}
    scores = {score.path: score.score for score in iter_scores(load_run(home / "run"))}
    for name in PHOTOS:
        score = scores[f"photos/{name}"]
        assert score is not None
        expected = min(5, 1 + int((score - 1) / 6 * 5))
        assert Packet(written[f"{name}.xmp"]).value(RATING) == str(expected)
    times = [path.stat().st_mtime_ns for path in (home / "photos").rglob("*.xmp")]
    done = export(home, "--beside")
    assert "0 new, 0 merged, 4 unchanged" in done.stdout
    assert side_cars(home / "photos") == written
    assert [path.stat().st_mtime_ns for path in (home / "photos").rglob("*.xmp")] == times


def test_what_is_there_is_merged_and_what_is_not_understood_is_left(home: Path) -> None:
    photos = home / "photos"
    (photos / "a.jpg.xmp").write_bytes(DARKTABLE)
    (photos / "a.jpg.xmp").chmod(0o640)
    (photos / "b.jpg.xmp").write_bytes(LIGHTROOM)
    (photos / "c.png.xmp").write_bytes(DIGIKAM[:200])
    (photos / "sub/real.xmp").write_bytes(DIGIKAM)
    (photos / "sub/d.jpg.xmp").symlink_to("real.xmp")
    done = export(home, "--beside", "--stars", "0.1,0.2,0.3,0.4")
    assert "3 beside the photos: 0 new, 3 merged, 0 unchanged" in done.stdout
    assert "0 with 4, 1 with 5" in done.stdout
    assert "Ratings of somebody else: 2 kept; --overwrite-ratings replaces them." in done.stderr
    assert "1 whose side-car is not understood and stays as it is" in done.stderr
    assert "Left as it is: photos/c.png.xmp: it is not well-formed" in done.stderr
    found = side_cars(photos)
    assert found["c.png.xmp"] == DIGIKAM[:200]
    assert [Packet(found[f"{name}.xmp"]).value(RATING) for name in ("a.jpg", "b.jpg", "sub/d.jpg")] == [
        *("5", "2", "3")
    ]
    assert Packet(found["b.jpg.xmp"]).value(STARS) is None
    assert found["a.jpg.xmp"].startswith(DARKTABLE[:400].replace(b'Rating="0"', b'Rating="5"'))
    assert (photos / "a.jpg.xmp").stat().st_mode & 0o777 == 0o640
    assert (photos / "sub/d.jpg.xmp").is_symlink()
    done = export(home, "--beside", "--stars", "0.1,0.2,0.3,0.4", "--overwrite-ratings")
    assert "Ratings of somebody else: 2 replaced." in done.stderr
    assert Packet((photos / "b.jpg.xmp").read_bytes()).value(RATING) == "5"


def test_a_rating_of_ours_follows_the_score_until_somebody_gives_another(home: Path) -> None:
    export(home, "--beside", "--stars", "0.1,0.2,0.3,0.4")
    done = export(home, "--beside", "--stars", "0.1,0.2,0.3,9")
    assert "0 new, 4 merged" in done.stdout and "4 with 4" in done.stdout
    path = home / "photos/a.jpg.xmp"
    path.write_bytes(path.read_bytes().replace(b'xmp:Rating="4"', b'xmp:Rating="1"'))
    for _ in range(2):
        done = export(home, "--beside", "--stars", "0.1,0.2,0.3,0.4")
        assert "somebody else: 1 kept" in done.stderr
        assert Packet(path.read_bytes()).value(RATING) == "1"


def test_a_folder_of_side_cars_can_take_the_place_of_those_beside_the_photos(home: Path) -> None:
    beside = home / "photos/a.jpg.xmp"
    beside.write_bytes(DARKTABLE)
    done = export(home, "-o", "side-cars")
    assert done.returncode == 0
    assert "1 whose names lead out of the folder" in done.stderr and not (home / "out.jpg.xmp").exists()
    written = side_cars(home / "side-cars")
    assert set(written) == {*(f"photos/{name}.xmp" for name in PHOTOS), "photos.tar/in/t.jpg.xmp"}
    assert b"darktable:history" in written["photos/a.jpg.xmp"]
    assert beside.read_bytes() == DARKTABLE
    done = export(home, "-o", "side-cars")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: side-cars holds other files, such as ")


def test_photos_that_share_a_stem_share_no_side_car(home: Path) -> None:
    (home / "photos/b.jpg.xmp").write_bytes(DARKTABLE)
    shutil.copy(home / "photos/a.jpg", home / "photos/a.png")
    zeroiqa(home, "score", "photos", "photos.tar", "-o", "run", "--rater", "fake", "--format", "csv")
    done = export(home, "--beside", "--naming", "stem")
    assert "1 whose side-car is that of another photo (--naming full: each has its own)" in done.stderr
    assert "Side-cars by the other naming: 1, left as they are (--naming full)." in done.stderr
    assert set(side_cars(home / "photos")) == {"a.xmp", "b.xmp", "b.jpg.xmp", "c.xmp", "sub/d.xmp"}


def test_photos_that_moved_get_none_and_those_that_changed_are_counted(home: Path) -> None:
    (home / "photos/a.jpg").unlink()
    os.utime(home / "photos/b.jpg", (1, 1))
    done = export(home, "--beside")
    assert "1 not where they were scored" in done.stderr
    assert "Written again since they were scored: 1 of 3 images;" in done.stderr
    shutil.rmtree(home / "photos/sub")
    for name in ("b.jpg", "c.png"):
        (home / "photos" / name).unlink()
    done = export(home, "--beside")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: run has no image to export: 4 not where they were scored, 2 ")


def test_tags_become_keywords_and_go_again_but_those_of_people_stay() -> None:
    options = SideCarOptions(ByCuts((2, 3, 4, 5)), keywords=True)

    def given(there: bytes | None, *tags: str) -> bytes:
        return merged(there, Scored("a.jpg", tags=tags), options, SideCars())

    once = given(LIGHTROOM, "blurred", "dark")
    assert Packet(once).items(SUBJECT) == ["wedding", "blurred", "dark"]
    assert Packet(once).value(KEYWORDS) == "dark"  # "blurred" was there
    assert given(once, "blurred", "dark") == once
    assert Packet(given(once, "noisy")).items(SUBJECT) == ["wedding", "blurred", "noisy"]
    again = Packet(given(given(None, "dark")))
    assert (again.items(SUBJECT), again.value(KEYWORDS)) == ([], None)


class Scored(ImageScore):
    """An image with a score and nothing else."""

    @property
    def score(self) -> float:
        return 3.5


@pytest.mark.parametrize("theirs", ["-1", "3", "3.5", "best"])
def test_whatever_somebody_gave_is_kept(theirs: str) -> None:
    options, counts = SideCarOptions(ByCuts((2, 3, 4, 5))), SideCars()
    there = DARKTABLE.replace(b'Rating="0"', f'Rating="{theirs}"'.encode())
    new = merged(there, Scored("a.jpg"), options, counts)
    assert (Packet(new).value(RATING), Packet(new).value(STARS), counts.kept) == (theirs, None, 1)


@pytest.mark.parametrize("nothing", ["0", "", "0.0"])
def test_what_says_that_there_is_no_rating_is_none(nothing: str) -> None:
    there = DARKTABLE.replace(b'Rating="0"', f'Rating="{nothing}"'.encode())
    new = merged(there, Scored("a.jpg"), SideCarOptions(ByCuts((2, 3, 4, 5))), SideCars())
    assert Packet(new).value(RATING) == "3"


def test_a_side_car_that_cannot_be_written_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "photos/a.jpg.xmp").write_bytes(DARKTABLE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = export(home, "--beside")
    assert done.returncode == 1 and "The disk is full" in done.stderr
    assert side_cars(home / "photos") == {"a.jpg.xmp": DARKTABLE}
    assert not list((home / "photos").glob(".zeroiqa-*"))


def test_what_is_no_file_is_left_and_capital_letters_are_read(home: Path) -> None:
    (home / "photos/a.jpg.xmp").symlink_to("nowhere.xmp")
    os.mkfifo(home / "photos/b.jpg.xmp")
    (home / "photos/c.png.xmp").mkdir()
    (home / "photos/sub/d.jpg.XMP").write_bytes(DARKTABLE)
    done = export(home, "--beside", "--stars", "0.1,0.2,0.3,0.4")
    assert "3 whose side-car is not understood and stays as it is" in done.stderr
    assert "a.jpg.xmp: it is no file, or a link that leads nowhere." in done.stderr
    assert [path.name for path in (home / "photos/sub").iterdir() if path.suffix != ".jpg"] == ["d.jpg.XMP"]
    assert Packet((home / "photos/sub/d.jpg.XMP").read_bytes()).value(RATING) == "5"


def test_what_is_not_understood_counts_for_nothing(home: Path) -> None:
    there = LIGHTROOM.replace(b"rdf:Bag", b"rdf:Sack")  # of the keywords
    assert there != LIGHTROOM
    (home / "photos/a.jpg.xmp").write_bytes(there)
    done = export(home, "--beside", "--keywords", "--overwrite-ratings")
    assert "1 whose side-car is not understood" in done.stderr and "Ratings of somebody" not in done.stderr
    written = re.search(r"^side-cars  (\d+)", done.stdout)
    assert written and int(written[1]) == sum(map(int, re.findall(r"(\d+) with", done.stdout)))


def test_photos_whose_side_cars_would_have_too_long_names_get_none(home: Path) -> None:
    long = home / "photos" / f"{'x' * 251}.jpg"
    shutil.copy(home / "photos/a.jpg", long)
    assert zeroiqa(home, "score", "photos", "-o", "new", "--rater", "fake", "--crop", "whole").returncode == 0
    done = zeroiqa(home, "export", "xmp", "new", "--beside")
    assert done.returncode == 0 and "1 whose side-car would have too long a name" in done.stderr
    assert zeroiqa(home, "export", "xmp", "new", "--beside", "--naming", "stem").returncode == 0
    assert long.with_suffix(".xmp").exists()


def test_where_they_are_written_must_be_said(home: Path) -> None:
    for options in ((), ("--beside", "-o", "x")):
        done = export(home, *options)
        assert done.returncode == 2 and "Give --beside, or a folder for the side-cars with -o." in done.stderr
    done = export(home, "--beside", "--stars", "many")
    assert done.returncode == 1 and "'many' is no map to stars" in done.stderr


def test_where_lower_is_better_the_lowest_score_has_most_stars(home: Path) -> None:
    done = zeroiqa(home, "score", "photos", "-o", "piqe", "--baseline", "piqe", "--format", "csv")
    assert done.returncode == 0, done.stderr
    done = zeroiqa(home, "export", "xmp", "piqe", "-o", "none")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Error: Scores on no scale cannot be cut into five equal parts; give --stars "
    )
    assert zeroiqa(home, "export", "xmp", "piqe", "-o", "out", "--stars", "percentile").returncode == 0
    scores = [score for score in iter_scores(load_run(home / "piqe")) if score.score is not None]
    written = side_cars(home / "out")
    stars = {
        score.path: Packet(written[f"{score.path.removeprefix('photos/')}.xmp"]).value(RATING)
        for score in scores
    }
    lowest = min(scores, key=lambda score: score.score or 0)
    assert stars[lowest.path] == max(filter(None, stars.values())) > min(filter(None, stars.values()))
