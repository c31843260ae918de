"""What a standard puts around the image, and otherwise for crops; Dog-IQA's own prompts."""

from __future__ import annotations

import pytest

from tests.test_standards import NUMBER, WORD, write
from zeroiqa.errors import UserError
from zeroiqa.standards import load_standard

BEFORE = """
version = 1
aspect = "quality"
kind = "word"
before_image = " {levels}\\n  "
after_image = "\\n  "
separator = "! "
user = "How good is it?"
[levels]
1 = "bad"
2 = "good"
[crops]
before_image = "{levels}\\n"
after_image = ""
"""


def test_text_before_the_image_is_as_written_and_another_for_crops(tmp_path):
    standard = load_standard(write(tmp_path, BEFORE))
    whole, crop = standard.fill(), standard.fill(crop=True)
    assert whole == ("", "How good is it?", "\n  ", "", " 2: good! 1: bad\n  ", 1)
    assert crop == whole._replace(after_image="", before_image="2: good! 1: bad\n")
    assert standard.crops_differ
    same = load_standard("quality-word-7")
    assert not same.crops_differ and same.fill(crop=True) == same.fill()


def test_text_prompt_may_stand_before_the_image_of_crops(tmp_path):
    text = BEFORE.replace("quality", "correspondence").replace("{levels}", "{levels} of {prompt}")
    standard = load_standard(write(tmp_path, text))
    assert standard.needs_prompt
    assert standard.fill("a {k}", crop=True).before_image == "2: good! 1: bad of a {k}\n"


@pytest.mark.parametrize("text", [WORD, NUMBER])
def test_question_need_not_name_the_scale(tmp_path, text):
    assert (
        load_standard(write(tmp_path, text.replace("{scale}", "quality"))).fill().user == "Score in quality."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" {levels}\\n  ", "{levels}\\n  "),
        ('"\\n  "\nseparator', '"\\n "\nseparator'),
        ('"! "', '"; "'),
        ('"{levels}\\n"', '"{levels}"'),
        ('after_image = ""', 'user = "How?"'),
        (BEFORE[BEFORE.index("[crops]") :], ""),
    ],
)
def test_hash_changes_with_what_stands_around_the_image(tmp_path, old, new):
    before = load_standard(write(tmp_path, BEFORE)).hash
    assert old in BEFORE
    assert load_standard(write(tmp_path, BEFORE.replace(old, new))).hash != before


def test_hash_does_not_count_what_is_said_as_usual(tmp_path):
    usual = WORD.replace("[levels]", 'separator = ", "\nafter_image = "\\n"\n[levels]')
    assert load_standard(write(tmp_path, usual)).hash == load_standard(write(tmp_path, WORD)).hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (" {levels}\\n  ", " ", "key before_image: found ' '; give a text that is not blank"),
        (" {levels}\\n  ", "{levles}", "key before_image: the placeholder {levles} is unknown; did you mean"),
        (" {levels}\\n  ", "Look: ", "key system, before_image, user: the placeholder {levels} is in none"),
        ('"\\n  "\nsep', '"so: "\nsep', "key after_image: found 'so: '; give white space"),
        ('"! "', '""', "key separator: found ''; give a text that is not empty"),
        ('"! "', "1", "key separator: found 1"),
        ('"{levels}\\n"', '"Look: "', "key system, crops.before_image, crops.user: the placeholder {levels}"),
        ('"{levels}\\n"', '"{levels} {k}"', "key crops.before_image: the placeholder {k} is unknown"),
        ('after_image = ""', 'after_image = "x"', "key crops.after_image: found 'x'"),
        ('after_image = ""', 'system = "x"', "key crops.system: this key is unknown; "),
        ('after_image = ""', "user = 1", "key crops.user: found 1"),
        (BEFORE[BEFORE.index("[crops]") :], "[crops]", "key crops: nothing in it differs"),
        (
            BEFORE[BEFORE.index("[levels]") :],
            "crops = 1\n[levels]\n1 = 'a'\n2 = 'b'",
            "crops: found 1; give a table",
        ),
        ('before_image = " {levels}\\n  "\n', "", "key system: it is missing"),
    ],
)
def test_what_is_wrong_around_the_image_is_said(tmp_path, old, new, said):
    assert old in BEFORE
    path = write(tmp_path, BEFORE.replace(old, new, 1))
    with pytest.raises(UserError) as refusal:
        load_standard(path)
    assert str(path) in str(refusal.value)
    assert said in str(refusal.value)


_SYSTEM = (
    " You are a helpful assistant to help me evaluate the quality of the image. You will be given standards "
    "about each quality level. The quality standard is list as follows:\n"
)
_STRICT = "Please strictly follow the USER's format, otherwise the result will be invalid."
_WORD_QUESTION = (
    "Please evaluate the quality of the image and score in quality. Only tell me the number. Do not analysis "
    "the image."
)
DOG_IQA_WORDS = {
    3: "3: Excellent! 2: Fair! 1: Poor!",
    5: "5: Excellent! 4: Good! 3: Fair! 2: Bad! 1: Poor!",
    7: "7: Perfect! 6: Excellent! 5: Good! 4: Fair! 3: Bad! 2: Poor! 1: Very Bad!",
    9: "9: Perfect! 8: Excellent! 7: Very Good! 6: Good! 5: Fair! 4: Bad! 3: Poor! 2: Awful! 1: Very Bad!",
}


def in_turn(filled):
    return f"{filled.before_image}<|image|>{filled.after_image}{filled.user}"


@pytest.mark.parametrize("k", DOG_IQA_WORDS)
def test_dog_iqas_words_are_the_official_ones_byte_for_byte(k):
    standard, long = load_standard(f"dog-iqa-word-{k}"), " " * 20
    for crop, indent in ((False, " " * 20), (True, " " * 24)):
        filled = standard.fill(crop=crop)
        assert (filled.system, filled.answer, standard.k) == ("", "", k)
        assert in_turn(filled) == (
            _SYSTEM
            + DOG_IQA_WORDS[k].replace("! ", "!\n")
            + f"\n\n{long}The higher the image quality, the higher the score should be.\n{long}{_STRICT}"
            + f"\n{indent}<|image|>\n{indent}{_WORD_QUESTION}"
        )


def test_dog_iqas_number_standard_is_the_official_one_byte_for_byte():
    standard = load_standard("dog-iqa-number-7")
    for crop, indent in ((False, " " * 20), (True, " " * 24)):
        assert in_turn(standard.fill(crop=crop)) == (
            " You are a helpful assistant to help me evaluate the quality of the image. \n"
            f"{' ' * 20}{_STRICT}\n{indent}<|image|>\n{indent}please evaluate the quality of the image and "
            "score in [1,2,3,4,5,6,7]. Only tell me the number. Do not analysis the image."
        )


@pytest.mark.parametrize("k", [5, 7])
def test_dog_iqas_sentences_stand_a_line_each_without_the_line_about_the_score(k):
    standard = load_standard(f"dog-iqa-sentence-{k}")
    sentences = "\n".join(f"{level}: {standard.levels[level - 1]}" for level in range(k, 0, -1))
    firsts = ", ".join(sentence.partition("!")[0] for sentence in standard.levels)
    assert (
        firsts
        == {
            5: "Bad, Poor, Fair, Good, Excellent",
            7: "Very Bad, Poor, Bad, Fair, Good, Excellent, Perfect",
        }[k]
    )
    scale = str(list(range(1, k + 1))).replace(" ", "")
    assert in_turn(standard.fill()) == (
        f"{_SYSTEM}{sentences}\n\n{' ' * 20}{_STRICT}\n{' ' * 20}<|image|>\n{' ' * 20}please evaluate the "
        f"quality of the image and score in {scale}. Only tell me the number. Do not analysis the image."
    )
    assert standard.crops_differ
