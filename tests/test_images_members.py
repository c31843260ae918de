"""Members of tar archives, wherever images are taken: by name, in lists, by Python, in every command."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

import zeroiqa
from tests.imagefiles import noise, save
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.find import find_images
from zeroiqa.pipeline import Method
from zeroiqa.runs.naming import naming_of

FAKE = ("--rater", "fake", "--segmenter", "grid")
PICTURES = {f"{name}.png": save(noise(70, 80, 3, seed=seed), "PNG") for seed, name in enumerate("abcd")}
NAMES = [f"photos.tar/{name}" for name in PICTURES]


def tar(contents: dict[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture(autouse=True)
def photos(here: Path) -> None:
    Path("photos.tar").write_bytes(tar(PICTURES))
    for name, content in PICTURES.items():
        Path(name).write_bytes(content)


@pytest.fixture
def method() -> Method:
    return zeroiqa.load_method(segmenter="grid", raters=["fake"])


@pytest.fixture
def scores(method: Method, photos: None) -> list[float]:
    """Of the same pictures as files."""
    return [result.score for result in zeroiqa.score_images(list(PICTURES), method=method)]


# ------------------------------------------------------------------------------------------- Python


def test_score_images_takes_what_is_in_an_archive(method, scores) -> None:
    for images in ("photos.tar", Path("photos.tar"), NAMES, "*.tar"):
        results = zeroiqa.score_images(images, method=method)
        assert [(each.path, each.score) for each in results] == list(zip(NAMES, scores, strict=True))


def test_score_takes_a_member_and_says_what_is_wrong_with_it(method, scores) -> None:
    result = zeroiqa.score("photos.tar/b.png", prompt="a cat", method=method)
    assert (result.path, result.score) == ("photos.tar/b.png", scores[1])
    Path("packed.tar.gz").write_bytes(tar(PICTURES, "w:gz"))
    Path("cut.tar").write_bytes(tar(PICTURES)[:9000])
    for path, sentence in {
        "photos.tar/e.png": "photos.tar/e.png does not exist",
        "packed.tar.gz/a.png": "packed.tar.gz is compressed",
        "cut.tar/a.png": "cut.tar is damaged or cut off",
    }.items():
        with pytest.raises(ImageError, match=sentence):
            zeroiqa.score(path, method=method)
    (error,) = zeroiqa.score_images(["cut.tar/a.png"], method=method)
    assert error.error.startswith("cut.tar is damaged or cut off")


def test_an_address_keeps_its_slashes_as_the_name_of_a_result(method) -> None:
    path = Path("a.png").absolute().as_uri()
    assert zeroiqa.score(path, method=method).path == path


def test_an_archive_in_a_store_and_its_members_are_scored(bucket, method, scores) -> None:
    address = bucket.put("in/photos.tar", tar(PICTURES))
    members = [f"{address}/{name}" for name in PICTURES]
    bucket.put("in/list.txt", b"photos.tar/d.png\nphotos.tar/e.png")
    for images in (address, members, bucket.address("in/*.tar")):
        results = zeroiqa.score_images(images, method=method)
        assert [(each.path, each.score) for each in results] == list(zip(members, scores, strict=True))
    assert zeroiqa.score(members[2], method=method).score == scores[2]
    assert find_images([members[1]]) == find_images([address])[1:2]
    there, missing = zeroiqa.score_images(bucket.address("in/list.txt"), method=method)
    assert (there.path, there.score) == (members[3], scores[3])
    assert missing.error == f"{address}/e.png does not exist."


# ---------------------------------------------------------------------------------- arguments, lists


def test_a_member_is_named_as_results_name_it() -> None:
    Path("dots.tar").write_bytes(tar({f"./{name}": content for name, content in PICTURES.items()}))
    every = find_images(["photos.tar"])
    assert find_images(["photos.tar/c.png"]) == every[2:3]
    assert find_images(["photos.tar/c.png", "photos.tar"]) == [every[2], *every[:2], every[3]]
    assert [ref.path for ref in find_images(["dots.tar/a.png", "dots.tar/./b.png"])] == [
        "dots.tar/./a.png",
        "dots.tar/./b.png",
    ]
    with pytest.raises(UserError, match=r"photos.tar/e.png does not exist; photos.tar has no such member"):
        find_images(["photos.tar/e.png"])
    assert naming_of(["photos.tar/c.png"]) is None  # one image, and not what may be more tomorrow
    assert naming_of(["photos.tar"]) is not None


def test_the_text_beside_a_member_is_its_prompt_however_it_is_named() -> None:
    Path("set.tar").write_bytes(tar({"1.png": b"1", "1.txt": b"a cat", "2.png": b"2", "2.txt": b"a dog"}))
    Path("list.csv").write_text("path,prompt\nset.tar/1.png,\nset.tar/2.png,mine\n")
    for arguments in (["set.tar"], ["set.tar/1.png", "set.tar/2.png"]):
        found = find_images(arguments, sidecar_prompts=True)
        assert [ref.prompt for ref in found] == ["a cat", "a dog"]
    assert [ref.prompt for ref in find_images(["list.csv"], sidecar_prompts=True)] == ["a cat", "mine"]
    assert [ref.prompt for ref in find_images(["set.tar/1.png", "list.csv"])] == [None, "mine"]


def test_lists_name_members_beside_them_or_from_here(method, scores) -> None:
    Path("in").mkdir()
    shutil.move("photos.tar", "in/photos.tar")
    Path("in/list.csv").write_text(
        "path,prompt\nphotos.tar/a.png,a cat\nin/photos.tar/b.png,\nphotos.tar/e.png,\n"
    )
    found = find_images(["in/list.csv"])
    assert [(ref.path, ref.prompt, ref.archive) for ref in found] == [
        ("in/photos.tar/a.png", "a cat", "in/photos.tar"),
        ("in/photos.tar/b.png", None, "in/photos.tar"),
        ("in/photos.tar/e.png", None, None),
    ]
    one, two, missing = zeroiqa.score_images("in/list.csv", method=method)
    assert [one.score, two.score] == scores[:2]
    assert missing.error == "in/photos.tar/e.png does not exist."


# ------------------------------------------------------------------------------------------ commands


def test_verify_checks_what_is_in_an_archive_and_what_has_a_name_outside_of_utf_8(give) -> None:
    shutil.copy("a.png", b"caf\xe9.png")
    done = give(".", "verify", "photos.tar", "caf\udce9.png", *FAKE)
    assert (done.stderr, done.returncode) == ("", 0)
    assert " ".join(done.stdout.split()).count("identical (5 ratings)") == 3


def test_segment_cuts_and_draws_what_is_in_an_archive(give) -> None:
    done = give(".", "segment", "photos.tar", "-o", "cut", "--segmenter", "grid")
    assert done.returncode == 0, done.stderr
    assert [each["file_name"] for each in json.loads(Path("cut/coco.json").read_text())["images"]] == NAMES
    assert len(list(Path("cut/overlays").iterdir())) == len(PICTURES)


def test_a_run_of_an_archive_is_evaluated_by_the_names_of_its_results(give) -> None:
    assert give(".", "score", "photos.tar", "-o", "run", *FAKE).returncode == 0
    with Path("run/scores.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == NAMES
    Path("mos.csv").write_text("image,mos\n" + "".join(f"{name},{n}\n" for n, name in enumerate(NAMES)))
    done = give(".", "evaluate", "run", "--mos", "mos.csv")
    assert done.stdout.split("SRCC")[1].split()[0] == "4", done.stderr
    done = give(".", "compare", "run", "--mos", "mos.csv", "--baseline", "log-laplacian")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("log-laplacian")[1].split()[0] != "-"
    Path("moved").mkdir()
    for name in ("photos.tar", "run", "mos.csv"):
        shutil.move(name, "moved")
    moved = give(".", "evaluate", "moved/run", "--mos", "moved/mos.csv")
    assert moved.stdout.split("SRCC")[1].split()[0] == "4", moved.stderr
    assert moved.stderr == ""
