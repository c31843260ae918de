"""Which files of a folder or of a pattern are photos of the user's."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from zeroiqa.errors import UserError
from zeroiqa.images import sieve
from zeroiqa.images.find import find_images
from zeroiqa.images.folders import split_pattern
from zeroiqa.images.selection import Selection


def picture(kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 30), "red").save(file, kind)
    return file.getvalue()


def make(*paths: str, content: bytes = b"12345") -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def paths_of(
    *arguments: str, include: tuple[str, ...] = (), exclude: tuple[str, ...] = (), **options
) -> list[str]:
    selection = Selection.of(include, exclude)
    return [source.path for source in find_images(arguments, selection=selection, **options)]


def said(caplog: pytest.LogCaptureFixture) -> str:
    """The one line that was said."""
    (record,) = caplog.records
    caplog.clear()
    return record.getMessage()


def test_what_was_passed_over_is_counted_in_one_line(here, caplog):
    make("in/a.jpg", "more/b.jpg", *(f"in/{n}.mp4" for n in range(5)), *(f"more/x/{n}.MP4" for n in range(4)))
    make("in/c.cr2", "more/d.CR2", "in/README", "in/.hidden.jpg", "in/._a.jpg", "in/.cache/x.jpg")
    assert paths_of("in", "more") == ["in/a.jpg", "more/b.jpg"]
    assert said(caplog) == (
        "Passed over: 12 files that are no images: 9 .mp4, 2 .cr2, 1 without a suffix (.cr2: pictures in "
        "formats that are not read; convert them first); 1 hidden image."
    )
    assert paths_of("in/a.jpg", "more/*.jpg") == ["in/a.jpg", "more/b.jpg"]
    assert not caplog.records


SYSTEM = ("@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", "__MACOSX", "@tmp",
          "System Volume Information", "zeroiqa-runs")  # fmt: skip


@pytest.mark.parametrize("name", SYSTEM)
def test_folders_of_systems_are_left_out(here, caplog, name):
    make("in/a.jpg", f"in/{name}/b.jpg", f"in/x/{name}/y/b.jpg", f"in/{name}.jpg")
    for argument in ("in", "in/**/*.jpg", "in/**"):
        assert paths_of(argument) == sorted(["in/a.jpg", f"in/{name}.jpg"])
        assert said(caplog) == f"Passed over: folders that hold no photos: 2 {name}."
    for argument in (f"in/{name}", f"in/{name}/*.jpg"):  # if it is named itself
        assert paths_of(argument) == [f"in/{name}/b.jpg"]


def test_pictures_in_the_folder_of_a_run_are_not_scored_again(here, caplog):
    make(
        "in/a.jpg",
        "in/seg/run.json",
        "in/seg/plan.parquet",
        "in/seg/overlays/00000-a.jpg",
        "in/b/run.json",
        "in/b/c.jpg",
    )
    assert paths_of("in") == ["in/a.jpg", "in/b/c.jpg"]
    assert "folders that hold no photos: 1 runs of zeroiqa" in said(caplog)
    assert paths_of("in/seg/overlays") == ["in/seg/overlays/00000-a.jpg"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_without_a_suffix_is_found_by_its_bytes(here, kind):
    make("in/photo", "in/scan.0001", "in/x/DSC 1.5 final", content=picture(kind))
    make(
        "in/BMW",
        content=b"BMW is no bitmap, though it begins like one, as does every text of this kind. " * 2,
    )
    make("in/GIF89a", content=b"GIF89a is a format")
    make("in/empty", content=b"")
    make("in/notes.txt", content=picture(kind))
    expected = ["in/photo", "in/scan.0001", "in/x/DSC 1.5 final"]
    assert paths_of("in") == expected
    assert paths_of("in/**") == expected


def test_files_without_a_suffix_are_looked_into_a_bounded_number_of_times(here, caplog, monkeypatch):
    monkeypatch.setattr(sieve, "HEADS", 3)
    make("in/a.jpg", "in/0", "in/1", "in/2", "in/4", "in/5")
    make("in/3", "in/9", content=picture())
    assert paths_of("in") == ["in/a.jpg"]  # 0, 1 and 2 are no images
    assert "4 without a suffix were not looked into" in said(caplog)
    Path("in/2").unlink()
    assert paths_of("in") == ["in/3", "in/a.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_without_a_suffix_is_not_waited_for(here):
    make("in/a.jpg")
    os.mkfifo("in/pipe")
    assert paths_of("in") == ["in/a.jpg"]


def test_patterns_over_looping_links_end_and_find_each_image_by_its_shortest_path(here):
    make("in/a/x.jpg", "in/b/y.jpg", "in/b/deep/z.jpg")
    for number in range(12):
        Path(f"in/a/up{number}").symlink_to("..")
        Path(f"in/b/across{number}").symlink_to("../a")
    everything = ["in/a/x.jpg", "in/b/deep/z.jpg", "in/b/y.jpg"]
    for pattern in ("in/**/*.jpg", "in/**", "in/**/**/*.jpg", "in/*/", "**/*.jpg", f"{here}/in/**/*.jpg"):
        assert [path.removeprefix(f"{here}/") for path in paths_of(pattern)] == everything
    assert paths_of("in/*/*/*/*.jpg") == ["in/a/up0/a/x.jpg", "in/a/up0/b/y.jpg"]


def test_folders_may_be_as_deep_as_paths_can_be(here):
    for _ in range(1010):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.jpg").write_bytes(b"1")
    os.chdir(here)
    found = paths_of("d")
    subprocess.run(["rm", "-r", "d"], check=True)  # Python's own way is recursive
    assert found == ["d/" * 1010 + "x.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ("", ("*.jpg",))),
        ("in/*", ("in/", ("*",))),
        ("/a/b/**/c/*.jpg", ("/a/b/", ("**", "c", "*.jpg"))),
        ("in/**", ("in/", ("**", "*"))),
        ("in/*/", ("in/", ("*", "**", "*"))),
        ("in/**/**/x", ("in/", ("**", "x"))),
        ("a//[b]/c", ("a//", ("[b]", "c"))),
    ],
)
def test_a_pattern_is_a_folder_and_parts(pattern, expected):
    assert split_pattern(pattern) == expected


def test_include_and_exclude_hold_for_everything_that_is_named(here, caplog):
    make("in/a.jpg", "in/a_small.jpg", "in/old/b.jpg", "in/c.png")
    Path("list.txt").write_text("in/a.jpg\nin/a_small.jpg\nin/old/b.jpg\nin/c.png\n")
    with tarfile.open("x.tar", "w") as archive:
        archive.add("in", "in")
    for argument, prefix in (
        ("in", ""),
        ("in/**/*", ""),
        ("list.txt", ""),
        ("x.tar", "x.tar/"),
        ("*.tar", "x.tar/"),
    ):
        assert paths_of(argument, exclude=("*_small.*", "old/")) == [f"{prefix}in/a.jpg", f"{prefix}in/c.png"]
        assert "left out by --" in said(caplog)
        assert paths_of(argument, include=("*.jpg",), exclude=("old",)) == [
            f"{prefix}in/a.jpg",
            f"{prefix}in/a_small.jpg",
        ]
        caplog.clear()
    assert paths_of("in/a.jpg", "in/c.png", exclude=("*.png",)) == ["in/a.jpg"]  # as a shell spells in/*
    assert paths_of("in", include=("old/*",)) == ["in/old/b.jpg"]
    assert paths_of("*.tar", exclude=("x.tar/in/old",), include=("*.jpg",)) == [
        "x.tar/in/a.jpg",
        "x.tar/in/a_small.jpg",
    ]
    with pytest.raises(
        UserError, match=r"No image is left; passed over: 4 images left out by --include and --exclude"
    ):
        paths_of("in", include=("*.gif",))
    with pytest.raises(UserError, match=r"No image is left; passed over: 1 folder left out by --exclude"):
        paths_of("*.tar", exclude=("x.tar",))


def test_texts_that_are_prompts_are_not_passed_over(here, caplog):
    make("in/a.png", "in/a.txt", "in/other.txt")
    assert paths_of("in", sidecar_prompts=True) == ["in/a.png"]
    assert said(caplog) == "Passed over: 1 file that is no image: 1 .txt."


def test_the_same_holds_for_objects_of_a_store_and_members_of_an_archive(bucket, caplog):
    caplog.set_level(logging.WARNING, "zeroiqa")
    contents = {
        "a.jpg": b"1",
        "photo": picture(),
        "@eaDir/b.jpg": b"1",
        "old/c.jpg": b"1",
        "clip.mp4": b"1",
        "README": b"text",
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in contents.items():
            bucket.put(f"in/{name}", content)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    address = bucket.put("x.tar", file.getvalue())
    folder = f"{address.rpartition('/')[0]}/in"
    for argument, prefix in ((folder, folder), (f"{folder}/**/*", folder), (address, address)):
        assert paths_of(argument, exclude=("old",)) == [f"{prefix}/a.jpg", f"{prefix}/photo"]
        assert said(caplog) == (
            "Passed over: 2 files that are no images: 1 .mp4, 1 without a suffix; 1 folder left out by "
            "--exclude; folders that hold no photos: 1 @eaDir."
        )


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_a_path_that_our_tables_escape_is_found_again(here):
    names = ["a\rb.jpg", "a\nb.jpg", "back\\n.jpg", os.fsdecode(b"\xe9\n.jpg"), "=1.jpg"]
    from zeroiqa.files.tables import csv_writer

    make(*names)
    for style in csv_writer.STYLES:
        with Path("list.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv_writer.CsvWriter(file, ["path"], style)
            for name in names:
                table.write({"path": name.encode(errors="backslashreplace").decode()})
        assert paths_of("list.csv") == names
