"""Whose opinion is it: which image a row means, and that every command says what is left out."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image

from zeroiqa.cli import main

IMAGES = 6
OPINIONS = (1, 3, 2, 5, 4, 6)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Folders A and B of equal names, a broken image in C; runs of one standard and of two."""
    folder = tmp_path_factory.mktemp("opinions")
    random = np.random.default_rng(0)
    for name in ("A", "B"):
        (folder / name).mkdir()
        for number in range(IMAGES):
            pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "C").mkdir()
    for number in range(3):
        shutil.copy(folder / "A" / f"{number}.png", folder / "C")
    (folder / "C" / "3.png").write_bytes(b"no image")
    fake = ("--rater", "fake", "--segmenter", "grid:2x2")
    with contextlib.chdir(folder):
        for arguments in (
            ("A", "-o", "run", *fake),
            ("A", "B", "-o", "both", *fake),
            ("C", "-o", "broken", *fake),
            ("A", "-o", "words", *fake, "--standard", "quality-word-7", "--standard", "quality-word-5"),
            ("A", "-o", "aspects", *fake, "--aspect", "quality", "--aspect", "authenticity"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(["score", *arguments])
            assert not ended.value.code
    return folder


def opinions(folder: Path, *rows: str, name: str = "opinions.csv", header: str = "image,mos") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def rows_of(folder: str, values=OPINIONS) -> list[str]:
    return [f"{folder}{number}.png,{value}" for number, value in enumerate(values)]


def evaluated(give, folder, run="run", mos="opinions.csv", *more):
    return give(folder, "evaluate", run, "--mos", mos, "--resamples", 0, "--outliers", 0, *more)


def images_of(done) -> int:
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("SRCC"))
    return int(line.split()[1])


def test_opinions_of_other_images_with_equal_names_are_not_correlated(made, give):
    opinions(made, *rows_of("B/"))
    done = evaluated(give, made)
    assert done.returncode == 1 and "SRCC" not in done.stdout
    assert done.stderr.startswith(
        f"Error: None of the 6 images of the run (such as {made}/A/0.png) is one of the 6 of opinions "
        f"(such as {made}/B/0.png); whole paths were compared"
    )
    opinions(made / "B", *rows_of(""))
    assert evaluated(give, made, "run", "B/opinions.csv").returncode == 1
    elsewhere = made / "C"  # relative paths of the run count from the folder in which it was made
    assert evaluated(give, elsewhere, "../run", "../B/opinions.csv").returncode == 1


@pytest.mark.parametrize(
    "prefix", ["A/", "./A/", "B/../A/", "{here}/A/", "A\\", " A/", "link/", "/elsewhere/A/"]
)
def test_a_path_is_that_path_however_it_is_spelled(prefix, made, give):
    if not (made / "link").exists():
        (made / "link").symlink_to("A")
    opinions(made, *rows_of("B/"), *rows_of(prefix.format(here=made)))
    done = evaluated(give, made)
    assert images_of(done) == 6
    assert "6 opinions whose images are not in the run (B/0.png, B/1.png, B/2.png and 3 more)" in done.stdout
    assert ("6 absolute paths of opinions.csv" in done.stdout) == (prefix == "/elsewhere/A/")


@pytest.mark.parametrize("prefix", ["A/", "./A/", "{here}/A/", "file://{here}/A/"])
@pytest.mark.parametrize("suffix", [".png", ""])
def test_a_table_may_lie_anywhere_if_its_paths_are_those_of_the_run(prefix, suffix, made, give, tmp_path):
    rows = [f"{prefix.format(here=made)}{n}{suffix},{value}" for n, value in enumerate(OPINIONS)]
    path = opinions(tmp_path, *rows, "D/0.png,3", name="people.csv", header="# 2020\n#image,gt score")
    for folder, run in ((made, "run"), (tmp_path, made / "run")):
        done = evaluated(give, folder, run, path)
        assert images_of(done) == 6
        assert "1 opinion whose image is not below" in done.stdout
        assert ("Names of people.csv without suffix: 6" in done.stdout) == (not suffix)
    done = give(
        tmp_path, "compare", made / "run", "--mos", path, "--external", path, "--resamples", 0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("image of people.csv without an opinion (D/0.png)") == 1


def test_a_bare_name_is_the_one_image_that_is_called_so(made, give):
    opinions(made, *rows_of(""))
    done = evaluated(give, made)
    assert done.returncode == 1
    assert f"names 0.png, which 3 images are called, such as {made}/A/0.png and {made}/B/0.png" in done.stderr
    assert images_of(evaluated(give, made, "run", "opinions.csv", "--root", "A")) == 6
    opinions(made / "A", *rows_of(""))
    assert images_of(evaluated(give, made / "A", "../both", "opinions.csv")) == 6
    assert evaluated(give, made, "run", "opinions.csv", "--root", "B").returncode == 1


def test_upper_and_lower_case_differ(made, give):
    opinions(made, *(row.replace("png", "PNG") for row in rows_of("A/")))
    done = evaluated(give, made)
    assert done.returncode == 1 and "it names A/0.PNG" in done.stderr


def test_a_run_whose_images_are_gone_is_told_by_the_ends_of_their_paths(made, give, tmp_path):
    for name in ("A", "B"):
        shutil.copytree(made / name, tmp_path / "old" / name)
    fake = ("--rater", "fake", "--segmenter", "grid:2x2")
    assert give(tmp_path, "score", "old/A", "-o", "run", *fake).returncode == 0
    (tmp_path / "old").rename(tmp_path / "new")
    opinions(tmp_path / "new" / "A", *rows_of(""))
    done = evaluated(give, tmp_path, "run", "new/A/opinions.csv")
    assert images_of(done) == 6
    assert "6 of the images of the run are not at their paths here" in done.stdout
    opinions(tmp_path / "new" / "B", *rows_of(""))
    assert evaluated(give, tmp_path, "run", "new/B/opinions.csv").returncode == 1


def test_a_run_that_is_copied_with_its_images_means_the_copies(made, give, tmp_path):
    for name in ("A", "B", "run"):
        shutil.copytree(made / name, tmp_path / name)
    opinions(tmp_path, *rows_of("A/"))
    assert images_of(evaluated(give, tmp_path)) == 6
    assert images_of(evaluated(give, tmp_path / "A", "../run", "../opinions.csv")) == 6
    opinions(tmp_path, *rows_of("B/"))
    assert evaluated(give, tmp_path).returncode == 1
    shutil.rmtree(tmp_path / "A")  # then they are those that it was made of
    opinions(tmp_path, *(f"{made}/{row}" for row in rows_of("A/")))
    assert images_of(evaluated(give, tmp_path)) == 6


def test_copies_are_told_by_name_where_one_asks_for_it(made, give):
    opinions(made / "B", *rows_of(""))
    done = evaluated(give, made, "run", "B/opinions.csv", "--by-name")
    assert images_of(done) == 6
    assert "was told by file names alone." in done.stdout


@pytest.mark.parametrize("style", ["table", "json", "markdown", "latex", "csv"])
def test_blanks_strangers_and_errors_are_counted_in_every_command_and_format(style, made, give):
    rows = ["C/0.png,1", "C/1.png,2", "C/2.png,3", "C/3.png,4", "A/0.png,N/A", "A/1.png,", "gone.png,2"]
    opinions(made, *rows, "A/2.png,NaN", "B/0.png,2", header="image,mos,note")
    texts = {
        "evaluate": ("broken", "--mos", "opinions.csv", "--outliers", 0, "--resamples", 0),
        "compare": ("broken", "--mos", "opinions.csv", "--resamples", 0),
        "upper-bound": ("--mos", "opinions.csv"),
    }
    for command, arguments in texts.items():
        done = give(made, command, *arguments, "--format", style)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert "1 opinion whose image is not below . (gone.png); 3 blank opinions (A/0.png, A/1.png" in said
        assert "Columns of opinions.csv that were not used: note." in said
        if command != "upper-bound":
            assert "Left out: 1 image with an error or no score (C/3.png); 1 opinion whose image" in said
        if style == "json":
            assert any("3 blank" in note for note in json.loads(done.stdout)["notes"])


def test_ablations_count_what_they_leave_out(made, give, tmp_path):
    opinions(made, *rows_of("A/"), "B/0.png,", "gone.png,3")
    done = give(
        made, "ablate", "--mos", "opinions.csv", "--table", "4", "--rater", "fake", "--segmenter", "grid:2x2",
        "-o", tmp_path / "ablation", "--format", "csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "Left out: 1 opinion whose image is not below . (gone.png); 1 blank opinion (B/0.png)" in said
    assert "6 images of opinions" in said


def test_doubled_rows_count_once_or_are_refused(made, give):
    opinions(made, *rows_of("A/"), "./A/0.png,1")
    done = evaluated(give, made)
    assert images_of(done) == 6
    assert (
        "opinions.csv names 1 image more than once, with equal opinions, counted once: A/0.png."
        in done.stdout
    )
    opinions(made, *rows_of("A/"), "./A/0.png,2", "A/1.png,9")
    done = evaluated(give, made)
    assert done.returncode == 1
    assert "(A/0.png in line 2, ./A/0.png in line 8; 2 images have such lines)" in done.stderr


def test_an_excel_formula_without_a_value_is_a_blank_that_is_named(made, give):
    book = Workbook()
    assert book.active is not None
    for row in (("image", "mos"), *(row.split(",") for row in rows_of("A/"))):
        book.active.append([row[0], float(row[1]) if row[1] != "mos" else "mos"])
    book.active["B4"] = "=2+0"
    book.save(made / "opinions.xlsx")
    done = evaluated(give, made, "run", "opinions.xlsx")
    assert images_of(done) == 5
    assert "B4 of opinions.xlsx is a formula without a stored value, left out as blank" in done.stdout
    assert "1 blank opinion (A/2.png)" in done.stdout


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_scores_of_another_aspect_are_not_taken(command, made, give):
    opinions(made, *rows_of("A/"), header="image,mos_align")
    arguments = ("--mos", "opinions.csv", "--aspect", "correspondence")
    done = give(made, command, "aspects", *arguments)
    assert done.returncode == 1
    assert "aspects has no scores for correspondence; its standards: quality-word-7 (quality)" in done.stderr
    assert "authenticity-word-7 (authenticity); give --aspect quality or --aspect auth" in done.stderr


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_of_two_standards_of_one_aspect_one_is_chosen(command, made, give):
    opinions(made, *rows_of("A/"))
    more = ("--mos", "opinions.csv", "--resamples", 0, "--format", "csv")
    done = give(made, command, "words", *more)
    assert done.returncode == 1
    assert "2 standards for quality, quality-word-7 and quality-word-5; choose one with --st" in done.stderr
    found = {
        name: give(made, command, "words", *more, "--standard", name)
        for name in ("quality-word-7", "quality-word-5")
    }
    assert all(done.returncode == 0 for done in found.values())
    assert found["quality-word-7"].stdout != found["quality-word-5"].stdout
    unknown = give(made, command, "words", *more, "--standard", "quality-word-9")
    assert unknown.returncode == 1 and "No standard quality-word-9 for quality is there" in unknown.stderr


def test_the_second_standard_s_scores_are_read(made, give):
    opinions(made, *rows_of("A/"), header="image,mos_authenticity")
    done = evaluated(give, made, "aspects", "opinions.csv", "--aspect", "authenticity")
    assert images_of(done) == 6


def test_runs_over_different_images_say_what_they_have_in_common(made, give):
    opinions(made, *rows_of("A/"), *rows_of("B/"))
    opinions(made, *(f"{row}" for row in rows_of("A/")[:4]), name="other.csv", header="file_name,tool")
    done = give(
        made, "compare", "run", "both", "--external", "other.csv", "--mos", "opinions.csv", "--resamples", 0
    )
    assert done.returncode == 0, done.stderr
    assert (
        "The methods scored different images of opinions: of 12 images 4 have a score by all; run lacks 6, "
        "tool lacks 8." in done.stdout
    )


def test_a_method_without_an_image_of_any_table_is_refused(made, give):
    opinions(made, *rows_of("B/"))
    done = give(made, "compare", "both", "run", "--mos", "opinions.csv")
    assert done.returncode == 1
    assert f"None of the 6 images of run (such as {made}/A/0.png) is one of the 6 of opinions" in done.stderr
    opinions(made, *rows_of("A/"), name="a.csv")
    done = give(made, "compare", "both", "run", "--mos", "opinions.csv", "--mos", "a.csv", "--resamples", 0)
    assert done.returncode == 0 and "run has no image of opinions." in done.stdout


def test_compare_takes_the_folder_of_a_table_s_images(made, give):
    opinions(made, *rows_of(""))
    done = give(made, "compare", "run", "--mos", "opinions.csv=A", "--resamples", 0)
    assert done.returncode == 0, done.stderr
    assert "opinions SRCC" in done.stdout


def test_external_scores_are_read_as_tolerantly(made, give):
    opinions(made, *rows_of("A/"))
    (made / "other.csv").write_text(
        "Image Name;kind;tool\nA\\0.png;x;1,5\nA\\1.png;y;2,5\nA\\2.png;z;4,5\nA\\3.png;z;\n",
        encoding="utf-8",
    )
    done = give(made, "compare", "--external", "other.csv", "--mos", "opinions.csv", "--resamples", 0)
    assert done.returncode == 0, done.stderr
    assert "tool    0.500*" in done.stdout
    assert "Columns of other.csv that are not used: kind." in done.stdout
    assert "tool: Left out: 1 image with an error or no score (A/3.png); 2 opinions whose" in done.stdout
