"""Any table of images and scores says by its columns what it holds."""

from __future__ import annotations

import csv
import os
import time

import pytest

from tests import database_layouts as layouts
from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.read import Scale, read_mos_file


def table(folder, *rows, name="scores.csv"):
    path = folder / name
    layouts.put_csv(path, *rows)
    return path


@pytest.mark.parametrize("image", ["image", "path", "Name", " FILENAME "])
@pytest.mark.parametrize(
    "score", ["mos", " MOS ", "score", "quality_mos", "mos_quality", "gt_score", "GT-MOS"]
)
def test_columns_go_by_several_names(image, score, tmp_path):
    layouts.put(tmp_path, ("a.jpg", "b.jpg"))
    dataset = read_mos_file(table(tmp_path, (image, score), ("a.jpg", 1.5), ("b.jpg", 4)))
    assert [(s.name, s.scores) for s in dataset.samples] == [
        ("a.jpg", {"quality": 1.5}),
        ("b.jpg", {"quality": 4}),
    ]
    assert dataset.scales == {"quality": Scale(1.5, 4, 1, "MOS")}
    assert dataset.name == "scores" and dataset.notes == ()


def test_a_dmos_is_lower_better(tmp_path):
    layouts.put(tmp_path, ("a.jpg", "b.jpg"))
    dataset = read_mos_file(table(tmp_path, ("image", "dmos"), ("a.jpg", 10), ("b.jpg", 70)))
    assert dataset.scales["quality"] == Scale(10, 70, -1, "DMOS")


def test_aspects_prompts_groups_and_what_was_not_used(tmp_path):
    layouts.put(tmp_path / "pictures", ("a.png",))
    head = ("name", "prompt", "model", "mos_quality", "std_quality", "mos_align", "mos_std", "year")
    path = table(tmp_path, head, ("a.png", "a cat, asleep", "sd", 3, 0.1, 2, 0.2, 2023))
    dataset = read_mos_file(path, tmp_path / "pictures")
    (sample,) = dataset.samples
    assert sample.scores == {"quality": 3, "correspondence": 2}
    assert sample.prompt == "a cat, asleep" and sample.groups == {"model": "sd"}
    assert dataset.notes == ("Columns of scores.csv that were not used: std_quality, mos_std, year.",)


def test_other_separators_encodings_and_workbooks(tmp_path):
    layouts.put(tmp_path, ("ä.jpg",))
    (tmp_path / "semi.csv").write_text("image;mos\nä.jpg;2.5\n", encoding="utf-16")
    (tmp_path / "tab.tsv").write_text("\ufeffimage\tmos\nä.jpg\t2.5\n", encoding="utf-8")
    layouts.put_xlsx(tmp_path / "book.xlsx", ("image", "mos"), ("ä.jpg", 2.5))
    for name in ("semi.csv", "tab.tsv", "book.xlsx"):
        assert read_mos_file(tmp_path / name).samples[0].scores == {"quality": 2.5}


def test_the_development_layout_and_paths_from_elsewhere_are_found(tmp_path):
    layouts.put(tmp_path / "images", ("ss01 (1057).jpg", "sub/b.jpg"))
    rows = (("ss01 (1057).jpg", 0.2), ("/elsewhere/images/sub/b.jpg", 0.4))
    dataset = read_mos_file(table(tmp_path, ("image", "mos"), *rows))
    assert [s.path.relative_to(tmp_path).as_posix() for s in dataset.samples] == [
        "images/ss01 (1057).jpg",
        "images/sub/b.jpg",
    ]


def test_names_may_lack_their_suffix_and_strangers_are_counted(tmp_path):
    layouts.put(tmp_path, ("a.jpg", "in/b.v1.PNG", "in/b.txt", "c.jpg", "d.png"))
    url = f"file://{tmp_path}/d.png"
    rows = (("a", 1), ("in/b.v1", 2), ("gone", 3), ("c.jpg", 4), (url, 5))
    dataset = read_mos_file(table(tmp_path, ("image_key", "gt_score"), *rows))
    found = [sample.path.relative_to(tmp_path).as_posix() for sample in dataset.samples]
    assert found == ["a.jpg", "in/b.v1.PNG", "c.jpg", "d.png"]
    assert dataset.notes == (
        "Names of scores.csv without suffix: 2 (a, in/b.v1); each means the one image that is called so.",
        f"Left out: 1 opinion whose image is not below {tmp_path} (gone).",
    )
    layouts.put(tmp_path, ("a.png", "in/b.v1.gif"))
    for name, said in (
        ("a", "names a, which 2 images"),
        ("in/b.v1", "in/b.v1 may be .* with their suffixes"),
    ):
        with pytest.raises(UserError, match=said):
            read_mos_file(table(tmp_path, ("image", "mos"), (name, 1), ("c.jpg", 4)))


def test_folders_in_a_name_must_agree(tmp_path):
    layouts.put(tmp_path, ("DALLE3/001.png", "ELLA/001.png"))
    tree = FileTree.scan(tmp_path)
    assert tree.find("dalle3/001.PNG") == "DALLE3/001.png"
    assert tree.find("EMU3/001.png") is None
    assert tree.find("all/ELLA/001.png") == "ELLA/001.png"
    assert tree.find("001.png", "ella") == "ELLA/001.png"
    with pytest.raises(
        UserError, match=r"several files that may be 001\.png: DALLE3/001\.png and ELLA/001\.png"
    ):
        tree.find("001.png")


def test_case_decides_between_files_that_differ_in_nothing_else(tmp_path):
    layouts.put(tmp_path, ("a.bmp", "A.BMP"))
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system knows no case")
    assert FileTree.scan(tmp_path).find("A.BMP") == "A.BMP"
    assert FileTree.scan(tmp_path).find("a.bmp") == "a.bmp"


def test_hidden_files_and_circles_of_links_are_passed_by(tmp_path):
    layouts.put(tmp_path, ("a/x.jpg", "a/._x.jpg", ".cache/y.jpg"))
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert [file.path for file in FileTree.scan(tmp_path).images()] == ["a/x.jpg"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_beside_the_table_that_cannot_be_listed_is_a_note(tmp_path):
    layouts.put(tmp_path, ("a.jpg", "locked/b.jpg"))
    path = table(tmp_path, ("image", "mos"), ("a.jpg", 1))
    (tmp_path / "locked").chmod(0)
    try:
        assert read_mos_file(path).notes == (
            f"Folders that cannot be listed, passed over: {tmp_path / 'locked'}.",
        )
        with pytest.raises(UserError, match="locked cannot be listed"):
            read_mos_file(path, tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o755)


def test_a_link_onto_itself_is_no_folder(tmp_path):
    layouts.put(tmp_path, ("a.jpg",))
    (tmp_path / "loop").symlink_to("loop")
    assert len(read_mos_file(table(tmp_path, ("image", "mos"), ("a.jpg", 1))).samples) == 1


def test_missing_and_unscored_images_are_counted(tmp_path):
    layouts.put(tmp_path, ("a.jpg", "b.jpg", "c.jpg"))
    rows = (("a.jpg", 1), ("b.jpg", ""), ("gone.jpg", 3))
    dataset = read_mos_file(table(tmp_path, ("image", "mos"), *rows))
    assert dataset.notes == (
        f"Left out: 1 opinion whose image is not below {tmp_path} (gone.jpg); 1 blank opinion (b.jpg); "
        "1 image beside them without a line (c.jpg).",
    )


def test_a_blank_of_one_aspect_does_not_cost_the_other(tmp_path):
    layouts.put(tmp_path, ("a.jpg", "b.jpg"))
    rows = (("a.jpg", 1, ""), ("b.jpg", 2, 4))
    dataset = read_mos_file(table(tmp_path, ("image", "mos_quality", "mos_align"), *rows))
    assert [sample.scores for sample in dataset.samples] == [
        {"quality": 1},
        {"quality": 2, "correspondence": 4},
    ]
    assert dataset.notes == ("Left out: 1 blank opinion of correspondence (a.jpg).",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("img_id", "rating"), ("a.jpg", 1)], r"has no column of images; its columns are img_id, rating"),
        ([("image", "rating"), ("a.jpg", 1)], r"has no column of scores; its columns are image, rating"),
        (
            [("image", "qualty_mos"), ("a.jpg", 1)],
            r"unknown aspect in its column qualty_mos; did you mean quality\?",
        ),
        ([("image", "mos", "score"), ("a.jpg", 1, 2)], r"two columns of scores for quality, mos and score"),
        ([("image", "mos", "MOS"), ("a.jpg", 1, 5)], r"two columns of scores for quality, mos and MOS"),
        ([("image", "mos", "dmos"), ("a.jpg", 1, 5)], r"two columns of scores for quality, mos and dmos"),
        ([("path", "image_name", "mos"), ("a.jpg", "a.jpg", 1)], r"columns of images, path and image_name"),
        ([("image", "mos"), ("a.jpg", "1e999")], r"gives a\.jpg the score '1e999' in line 2"),
        ([("image", "mos"), ("a.jpg", 1), ("a.jpg", 2)], r"names a\.jpg more than once"),
        ([("image", "mos"), ("a.jpg", 1), ("", 2)], r"has 1 line without the name of an image"),
        ([("image", "mos"), ("a.jpg", "high")], r"gives a\.jpg the score 'high'"),
        (
            [("image", "mos"), ("gone.jpg", 2)],
            r"None of the 1 images that scores\.csv gives a score is below",
        ),
        ([("image", "mos")], r"gives no image a score: it has a header alone; add the scores"),
        ([("image", "mos"), ("a.jpg", "")], r"gives no image a score: each of its lines has a blank one"),
        ([], r"scores\.csv is empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(rows, said, tmp_path):
    layouts.put(tmp_path, ("a.jpg",))
    with pytest.raises(UserError, match=said):
        read_mos_file(table(tmp_path, *rows))


def test_a_table_that_is_no_file_or_no_text(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv does not exist; give a CSV"):
        read_mos_file(tmp_path / "none.csv")
    with pytest.raises(UserError, match="is no file"):
        read_mos_file(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"image,mos\n\xe4.jpg,1\n")
    with pytest.raises(UserError, match=r"latin\.csv is not UTF-8 text"):
        read_mos_file(tmp_path / "latin.csv")


def test_many_rows_in_one_folder_are_read_in_seconds(tmp_path):
    names = [f"model{n % 24}/{n:05d}.png" for n in range(20_000)]
    layouts.put(tmp_path, names)
    with (tmp_path / "mos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "mos"), *((name, 1) for name in names)])
    start = time.process_time()
    assert len(read_mos_file(tmp_path / "mos.csv").samples) == len(names)
    assert (
        time.process_time() - start < 4
    )  # it takes half a second; a stat for each name would, too, on a disk


def test_the_development_photos_are_read_as_they_lie(dev_data):
    dataset = read_mos_file(dev_data / "biq2021_dev" / "mos.csv")
    assert len(dataset.samples) == 600 and dataset.notes == ()
