"""Training data of LMM4LMM: both layouts, the folds, the levels; what is wrong with them in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.heads.folds import FoldChoice, divide
from zeroiqa.heads.levels import LEVEL_WORDS, level_in, level_of, levels_of
from zeroiqa.heads.ratings import RatedQuestion, TrainingData, read_training_data

QUESTION = "How would you rate the quality of this image?"


def line(image: str, mos: object = 50, question: str = f"<image>\n{QUESTION}", answer: str = "Good.") -> str:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return json.dumps({"image": image, "mos": mos, "conversations": turns})


def published(folder: Path, train: list[str], test: list[str], **more: object) -> Path:
    """The published layout; every image that the lines name is an empty file."""
    for name, lines in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        for entry in filter(None, lines):
            (folder / "images" / json.loads(entry)["image"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / "images" / json.loads(entry)["image"]).touch()
    meta = {"root": "images", "annotation_train": "train.jsonl", "annotation_test": "test.jsonl", **more}
    (folder / "meta.json").write_text(json.dumps({"aigi": meta}), "utf-8")
    return folder / "meta.json"


def table(folder: Path, text: str, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for image in images:
        (folder / image).touch()
    (folder / "ratings.csv").write_text(text, "utf-8")
    return folder / "ratings.csv"


def examples(count: int, test: int = 0) -> TrainingData:
    made = [
        RatedQuestion(f"{n}.png", Path(f"{n}.png"), QUESTION, float(n), None) for n in range(count + test)
    ]
    return TrainingData(tuple(made[:count]), tuple(made[count:]))


def test_the_published_layout_is_read(tmp_path):
    meta = published(tmp_path, [line("sd/001.png", 31.5), "", line("sd/002.png", 62)], [line("sd/003.png")])

    found = read_training_data(meta)

    file = tmp_path / "images" / "sd" / "001.png"
    assert found.train[0] == RatedQuestion("sd/001.png", file, QUESTION, 31.5, "Good.")
    assert [example.image for example in found.train] == ["sd/001.png", "sd/002.png"]
    assert [example.image for example in found.test] == ["sd/003.png"]


def test_conversations_alone_are_training_examples(tmp_path):
    published(tmp_path, [line("a.png"), line("b.png")], [])
    (tmp_path / "train.jsonl").rename(tmp_path / "images" / "train.jsonl")

    assert len(read_training_data(tmp_path / "images" / "train.jsonl").train) == 2


def test_a_plain_table_rates_the_quality(tmp_path):
    found = read_training_data(table(tmp_path, "image,mos,split\na.png,3.5,train\nb.png,4,test\n"))

    assert found.train == (RatedQuestion("a.png", tmp_path / "a.png", QUESTION, 3.5, None),)
    assert [example.image for example in found.test] == ["b.png"]


def test_a_table_with_prompts_rates_the_correspondence(tmp_path):
    found = read_training_data(table(tmp_path, 'image,mos,prompt\na.png,1,"a cat,  red"\nb.png,2,a dog\n'))

    assert found.train[0].question == (
        "How would you rate the correspondence of this image and its prompt? prompt: a cat,  red"
    )


def test_a_table_of_questions_has_answers(tmp_path):
    found = read_training_data(
        table(tmp_path, "image;question;answer\na.png;Is it a cat?;yes\nb.png;Is it?;no\n")
    )

    assert [(example.question, example.answer) for example in found.train] == [
        ("Is it a cat?", "yes"),
        ("Is it?", "no"),
    ]
    assert found.train[0].mos is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,quality\na.png,1\n", "columns image, quality"),
        ("image,mos\na.png,good\n", "the score 'good' in line 2"),
        ("image,mos\na.png,nan\n", "rating 'nan'"),
        ("image,mos\na.png\n", "line 2 has an empty mos"),
        ("image,mos\na.png,\n", "line 2 has an empty mos"),
        ("image,mos,prompt,question\na.png,1,x,y\n", "both a prompt and a question"),
        ("image,mos,split\na.png,1,dev\n", "split 'dev'"),
        ("image,mos\na.png,1\nlost.png,2\n", "1 of the 2 images .* have no file, such as .*lost.png"),
        ("image,mos,split\na.png,1,train\na.png,2,test\n", "1 images in both .* such as a.png"),
        ("image,mos\n", "no training examples"),
        ('image,mos\n"a.png,1\n', "damaged near line"),
        ("", "is empty; a table with a header"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_training_data(table(tmp_path, text))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (line("a.png", "high"), "line 1 has the rating 'high'"),
        (line("a.png", True), "rating 'True'"),
        ('{"image": "a.png", "mos": 1, "conversations": []}', "0 turns of conversation"),
        ('{"image": "a.png", "mos": 1}', "0 turns of conversation"),
        ('{"image": "", "mos": 1}', "names no image"),
    ],
)
def test_what_is_wrong_with_a_line_is_one_sentence(tmp_path, entry, words):
    with pytest.raises(UserError, match=words):
        read_training_data(published(tmp_path, [entry], []))


def test_a_line_that_is_cut_off_is_named(tmp_path):
    meta = published(tmp_path, [line("a.png"), line("b.png")], [])
    lines = (tmp_path / "train.jsonl").read_text("utf-8")
    (tmp_path / "train.jsonl").write_text(lines[: len(lines) // 2 + 20], "utf-8")

    with pytest.raises(UserError, match=r"train\.jsonl line 2 is no JSON"):
        read_training_data(meta)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"repeat_time": 2}, "repeat_time"),
        ({"data_augment": True}, "data_augment"),
        ({"root": None}, "lacks root"),
        ({"annotation_train": "gone.jsonl"}, r"gone\.jsonl does not exist; give the path"),
    ],
)
def test_what_is_wrong_with_a_meta_file_is_one_sentence(tmp_path, more, words):
    with pytest.raises(UserError, match=words):
        read_training_data(published(tmp_path, [line("a.png")], [], **more))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"ratings\.jpg is no training data by its name"):
        read_training_data(tmp_path / "ratings.jpg")


def test_five_folds_share_out_the_training_examples():
    every = examples(500, test=100)

    folds = [divide(every, FoldChoice(f"fold:{number}")) for number in range(1, 6)]

    assert sorted(e.image for fold in folds for e in fold.validation) == sorted(e.image for e in every.train)
    for fold in folds:
        assert {*fold.train} | {*fold.validation} == {*every.train}
        assert not {*fold.train} & {*fold.validation}
        assert 60 < len(fold.validation) < 140


def test_the_test_fold_is_never_validated_on_unless_that_is_asked_for():
    every = examples(100, test=50)

    assert not {*divide(every, FoldChoice("share:.3")).validation} & {*every.test}
    assert divide(every, FoldChoice(select_on="test")) == (every.train, every.test)
    with pytest.raises(UserError, match="no test fold to select on"):
        divide(examples(100), FoldChoice(select_on="test"))


def test_a_share_depends_on_the_seed_and_the_name_alone():
    every = examples(400)
    fold = divide(every, FoldChoice("share:0.1", seed=3))
    fewer = divide(TrainingData(every.train[::2], ()), FoldChoice("share:0.1", seed=3))

    assert 15 < len(fold.validation) < 70
    assert {*fewer.validation} == {*fold.validation} & {*every.train[::2]}
    assert divide(every, FoldChoice("share:0.1", seed=4)) != fold


def test_all_questions_about_an_image_are_on_one_side():
    pair = tuple(
        RatedQuestion(f"{n // 2}.png", Path(f"{n // 2}.png"), f"Question {n}?", None, "yes")
        for n in range(200)
    )
    fold = divide(TrainingData(pair, ()), FoldChoice("fold:2"))

    assert not {e.image for e in fold.train} & {e.image for e in fold.validation}


@pytest.mark.parametrize("rule", ["fold:0", "fold:6", "share:0", "share:1.5", "share:.0", "half", ""])
def test_an_unknown_rule_is_refused(rule):
    with pytest.raises(UserError, match="no rule"):
        divide(examples(10), FoldChoice(rule))


def test_an_empty_fold_is_refused():
    with pytest.raises(UserError, match="leaves 1 examples to learn from and 0 to validate on"):
        divide(examples(1), FoldChoice("share:0.0001"))


@pytest.mark.parametrize(
    ("mos", "word"),
    [(0, "bad"), (20, "bad"), (20.01, "poor"), (40, "poor"), (60, "fair"), (80, "good"), (100, "excellent")],
)
def test_levels_are_five_equal_intervals_with_their_upper_edges(mos, word):
    assert LEVEL_WORDS[level_of(mos, 0, 100) - 1] == word


def test_a_score_outside_of_the_scale_gets_the_level_at_its_end():
    assert [level_of(mos, 20, 30) for mos in (-5, 45)] == [1, 5]


def test_the_scale_of_levels_is_that_of_the_scores():
    assert levels_of([20, 70, 40, 30, 60, 50.5]).tolist() == [1, 5, 2, 1, 4, 4]
    with pytest.raises(UserError, match="ratings that differ, found 3"):
        levels_of([5, 5, 5])


def test_the_level_is_found_in_an_answer():
    assert level_in("The quality of the image is Excellent.") == 5
    assert level_in("The quality of the image is unknown.") == 0
