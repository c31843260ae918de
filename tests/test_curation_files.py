from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import PIL.Image
import pytest

from zeroiqa.curation import single_files
from zeroiqa.curation.files import Transfer
from zeroiqa.curation.places import place_below, shared_folder
from zeroiqa.curation.undo import undo
from zeroiqa.errors import UserError
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.ref import ImageRef

ROOT = Path(__file__).parents[1]
NAMES = ("one.png", "x/one.png", "x/-two.png", "x/new\nline.png", "x/ö.png")
OPERATIONS = ("copy", "link", "hard-link", "move")


@pytest.fixture
def photos(here: Path) -> Path:
    for number, name in enumerate(NAMES):
        place = here / "photos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(f"{number}".encode() * 5000)
        os.utime(place, (1e9, 1e9 + number))
    return here / "photos"


def tree(folder: Path) -> dict[str, object]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def taken(operation: str, folder: Path, refs: list[ImageRef] | None = None, dry: bool = False) -> Transfer:
    refs = [ImageRef(f"photos/{name}", 5000) for name in NAMES] if refs is None else refs
    shared = shared_folder([ref.path for ref in refs], "")
    with Transfer(operation, folder, shared, 10**6, dry) as transfer:
        for ref in refs:
            transfer.take(ref)
    return transfer


def said(transfer: Transfer) -> str:
    return " ".join(transfer.sentences())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_done_twice_is_done_once_and_taken_back_to_the_byte(here, photos, operation) -> None:
    before = tree(here)
    dry = taken(operation, here / "out", dry=True)
    assert "5 images would be" in said(dry) and tree(here) == before and not (here / "out").exists()
    assert "5 images " in said(taken(operation, here / "out"))
    there = {name: value for name, value in tree(here / "out").items() if name in NAMES}
    assert there == {name: before[f"photos/{name}"] for name in NAMES}
    assert (operation == "move") is not (photos / "one.png").exists()
    again = taken(operation, here / "out")
    assert said(again).startswith("0 images") and "5 there already" in said(again) and again.log is None
    undone = undo(here / "out")
    assert undone is not None and " ".join(undone.sentences()) == "5 images taken back."
    assert tree(here) == before and not (here / "out").exists()
    assert undo(here / "out") is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_overwritten(here, photos, operation) -> None:
    (here / "out" / "x").mkdir(parents=True)
    (here / "out" / "one.png").write_bytes(b"mine")
    (here / "out" / "x" / "ö.png").symlink_to(here / "nowhere")
    before = tree(here)
    transfer = taken(operation, here / "out")
    assert "2 left, where something else is in the way (such as photos/one.png)" in said(transfer)
    assert undo(here / "out") is not None
    assert tree(here) == before and (here / "out" / "x").is_dir()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_link_in_the_folder_leads_nowhere_else(here, photos, operation) -> None:
    (here / "out").mkdir()
    (here / "elsewhere").mkdir()
    (here / "out" / "x").symlink_to(here / "elsewhere")
    assert "4 left, where something else is in the way" in said(taken(operation, here / "out"))
    assert list((here / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_folder_itself_and_one_in_it_may_be_the_destination(here, photos, operation) -> None:
    before = tree(here)
    assert "5 there already" in said(taken(operation, photos))
    assert tree(here) == before
    assert "5 images" in said(taken(operation, photos / "x" / "best"))
    undo(photos / "x" / "best")
    assert tree(here) == before


def test_only_what_is_unchanged_is_taken_back(here, photos) -> None:
    taken("copy", here / "out")
    (here / "out" / "one.png").write_bytes(b"edited")
    (here / "out" / "x" / "-two.png").unlink()
    for _ in range(2):
        undone = undo(here / "out")
        assert undone is not None and undone.kept == [here / "out" / "zeroiqa-select-1.jsonl"]
        assert "1 left, which have changed since (such as one.png)" in " ".join(undone.sentences())
    (here / "out" / "one.png").unlink()
    undone = undo(here / "out")
    assert undone is not None and not undone.kept and not (here / "out").exists()


def test_copies_that_are_the_last_of_an_image_stay(here, photos) -> None:
    taken("copy", here / "out")
    (photos / "one.png").rename(here / "one.png")
    undone = undo(here / "out")
    assert undone is not None
    assert "4 images taken back. 1 left, which are the last that there is" in " ".join(undone.sentences())
    assert (here / "out" / "one.png").exists()
    (here / "one.png").rename(photos / "one.png")
    assert undo(here / "out") is not None and not (here / "out").exists()


def test_moved_images_go_back_where_nothing_is(here, photos) -> None:
    taken("move", here / "out")
    (photos / "one.png").write_bytes(b"a new one")
    (here / "out" / "x" / "-two.png").write_bytes(b"edited")
    undone = undo(here / "out")
    assert undone is not None
    assert "1 left, where something else is at the old place" in " ".join(undone.sentences())
    assert (here / "out" / "one.png").read_bytes() == b"0" * 5000
    assert (photos / "x" / "-two.png").read_bytes() == b"edited"


def test_hard_links_that_are_the_last_of_an_image_stay(here, photos) -> None:
    taken("hard-link", here / "out")
    (photos / "one.png").unlink()
    undone = undo(here / "out")
    assert undone is not None and "1 left, which are the last" in " ".join(undone.sentences())
    assert (here / "out" / "one.png").exists()


def test_several_logs_of_a_folder_are_taken_back_the_newest_first(here, photos) -> None:
    before = tree(here)
    taken("copy", here / "out", [ImageRef("photos/one.png"), ImageRef("photos/x/-two.png")])
    taken("copy", here / "out")
    assert len(list((here / "out").glob("zeroiqa-select-*.jsonl"))) == 2
    undone = undo(here / "out")
    assert undone is not None and undone.logs == 2 and tree(here) == before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_logs_of_a_folder_are_taken_back_in_any_order(here, photos, operation) -> None:
    before = tree(here)
    taken(operation, here / "new/out", [ImageRef("photos/one.png"), ImageRef("photos/x/-two.png")])
    taken(operation, here / "new/out")
    undo(here / "new/out/zeroiqa-select-1.jsonl")
    assert len([*(here / "new/out/x").iterdir()]) == 3
    undone = undo(here / "new/out")
    assert undone is not None and undone.logs == 1
    assert tree(here) == before and not (here / "new").exists()


def test_originals_that_are_gone_or_others_are_counted(here, photos) -> None:
    refs = [
        ImageRef(f"photos/{name}", bytes=5000, modified=10**18 + n * 10**9) for n, name in enumerate(NAMES)
    ]
    os.utime(photos / NAMES[4])
    (photos / NAMES[3]).write_bytes(b"shorter")
    (photos / NAMES[2]).unlink()
    (photos / NAMES[1]).unlink()
    (photos / NAMES[1]).symlink_to(NAMES[1])  # to itself
    sentences = said(taken("copy", here / "out", refs))
    assert "2 images copied" in sentences
    assert "1 of these written again since they were scored, at the same size" in sentences
    assert "2 left, which are not at their places any more" in sentences
    assert "1 left, which have another size than when they were scored" in sentences


def test_symbolic_links_are_copied_and_not_moved(here, photos) -> None:
    (photos / "link.png").symlink_to("one.png")
    refs = [ImageRef("photos/link.png"), ImageRef("photos/one.png")]
    assert "1 left, which are symbolic links" in said(taken("move", here / "moved", refs))
    undo(here / "moved")
    taken("copy", here / "out", refs)
    assert not (here / "out" / "link.png").is_symlink()
    assert (here / "out" / "link.png").read_bytes() == (photos / "one.png").read_bytes()


def test_members_of_archives_are_copied_out_and_nothing_else(here, photos) -> None:
    PIL.Image.new("RGB", (8, 8)).save(photos / "one.png")
    with tarfile.open(here / "all.tar", "w") as archive:
        archive.add(photos / "one.png", "in/one.png")
        archive.add(photos / "one.png", "../out.png")
    one = NamedMembers().find("all.tar/in/one.png")
    assert one is not None
    assert "1 left, which are in archives or object stores" in said(taken("move", here / "out", [one]))
    before = tree(here)
    taken("copy", here / "out", [one])
    assert (here / "out" / "one.png").read_bytes() == (photos / "one.png").read_bytes()
    undo(here / "out")
    assert tree(here) == before
    outside = one._replace(path="all.tar/../out.png")
    assert "1 left, whose names lead out" in said(taken("copy", here / "out", [outside]))


def test_images_keep_the_subfolders_below_what_they_share() -> None:
    paths = ["/p/a/one.png", "/p/b/c/one.png"]
    shared = shared_folder(paths, "")
    assert [place_below(ImageRef(path), shared) for path in paths] == ["a/one.png", "b/c/one.png"]
    assert place_below(ImageRef("s3://bucket/a.png"), shared) == "s3:/bucket/a.png"
    assert place_below(ImageRef("one.png", root="/p/a"), shared) == "a/one.png"
    assert place_below(ImageRef("x.png"), shared_folder(["x.png"], "")) == "x.png"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_no_more_ends_the_work_in_a_sentence_and_keeps_it(here, photos, number) -> None:
    link, left = os.link, 2

    def fails(source, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(number, os.strerror(number), str(target))
        link(source, target)

    before = tree(here)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError) as error:
        patch.setattr(single_files.os, "link", fails)
        patch.setattr(single_files, "_NO_LINKS", set())
        taken("copy", here / "out")
    assert "2 images copied; `zeroiqa select --undo" in str(error.value)
    assert ("the disk is full" in str(error.value)) is (number == errno.ENOSPC)
    assert not list((here / "out").rglob(".*"))
    undo(here / "out")
    assert tree(here) == before


def test_a_destination_that_is_no_folder_is_refused(here, photos) -> None:
    (here / "file").write_bytes(b"")
    (here / "loop").symlink_to("loop")
    for place in ("file", "loop"):
        with pytest.raises(UserError, match=f"{place} is no folder"):
            taken("copy", here / place)
    with pytest.raises(UserError, match="could not be written"):
        taken("copy", here / "file" / "below")


@pytest.mark.parametrize(
    "lines",
    [
        ["no json"],
        [{"step": "file"}],
        [{"step": "begin", "operation": "burn", "made": []}],
        [{"step": "begin", "operation": "copy", "made": []}, {"step": "done", "path": "a", "sha256": ""}],
        [{"step": "begin", "operation": "copy", "made": []}, {"step": "swap", "path": "a"}],
        *(
            [
                {"step": "begin", "operation": "copy", "made": []},
                {"step": "file", "path": path, "source": "/a", "temporary": "t"},
            ]
            for path in ("../photos/one.png", "/etc/passwd", "a/../../b", "", "a\0")
        ),
    ],
)
def test_a_log_that_leads_elsewhere_is_refused(here, photos, lines) -> None:
    before = tree(photos)
    (here / "out").mkdir()
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    (here / "out" / "zeroiqa-select-1.jsonl").write_text(text)
    with pytest.raises(UserError, match="is no log of `zeroiqa select`, or damaged"):
        undo(here / "out")
    assert tree(photos) == before


def test_a_last_line_that_was_not_finished_is_left_out(here, photos) -> None:
    before = tree(here)
    log = taken("copy", here / "out").log
    assert log is not None
    with log.path.open("ab") as file:
        file.write(b'{"step": "do')
    assert undo(log.path) is not None and tree(here) == before


def test_a_log_in_which_nothing_stands_yet_tells_of_nothing(here, photos) -> None:
    before = tree(here)
    taken("copy", here / "out")
    for number, begun in enumerate((b"", b'{"st', b'{"step": "begin", "opera'), 2):
        (here / "out" / f"zeroiqa-select-{number}.jsonl").write_bytes(begun)
    undone = undo(here / "out")
    assert undone is not None and undone.logs == 4 and tree(here) == before
    (here / "mine.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match="it has no line"):
        undo(here / "mine.jsonl")


def test_a_log_that_finds_no_room_leaves_nothing(here, photos, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full; 0 images copied"):
        taken("copy", here / "out")
    assert list((here / "out").iterdir()) == []


def test_what_is_there_and_at_its_place_too_is_told_from_what_was_moved(here, photos) -> None:
    taken("copy", here / "out")
    assert "5 there already, and also where they were: these stay" in said(taken("move", here / "out"))
    assert (photos / "one.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_step_loses_nothing_and_is_taken_back(tmp_path) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "select_killer.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    tried = [int(line) for line in ended.stdout.splitlines()]
    assert len(tried) == 5 and min(tried) > 8  # so many steps of each operation
