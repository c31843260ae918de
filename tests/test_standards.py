"""The shipped standards say what they should, and a wrong file is refused by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import ImageError, UserError
from zeroiqa.standards import load_standard, standard_names

# Editing a standard moves scores: raise its version, then pin its new hash here.
PINNED = {
    "authenticity-word-7": (
        1,
        "ec0a7ec6e0d4b6083d53822845e6e3693718a93b66691bea1bb780e354b91d65",
    ),
    "correspondence-word-7": (
        1,
        "b7a84bdd7700905fb1a5179083775d1972718fa2bb8bc987050d358a385d4707",
    ),
    "quality-float": (
        1,
        "763973aa79dabbccb724bbaa23cd4606d109f5985fae6619452e2e6a0a2c7507",
    ),
    "quality-number-7": (
        1,
        "057dfafe3ec055446d5c269f10a7eb8e148103a30668d98c5037f374109550cb",
    ),
    "quality-sentence-7": (
        1,
        "305f28a93985f24d36c4cc4fc43ece698814c0a695d25a1f44238e94265ec8ac",
    ),
    "quality-word-3": (
        1,
        "c5874947614838b23d5fc93e852c5b0e8f040a802b85f3fae9974d06c90330fb",
    ),
    "quality-word-5": (
        1,
        "77b9ed86ee107a95cac667d2d07e8b970eb8a4c37ed72e193b221c8defdaa621",
    ),
    "quality-word-7": (
        1,
        "a3d1a062e2bd80e24aed835473da2d7917288e49bf9dc4d1e96e86a25f7ec76d",
    ),
    "quality-word-9": (
        1,
        "d73e78623a110f8a7f48cc731eca6f4c5165b766a1163352d0117beda7b87382",
    ),
    "dog-iqa-number-7": (
        1,
        "f242bfa3f009c0d4dcad45302f6714aad7c4403d2e9b9f2ea7ec3929b9654b20",
    ),
    "dog-iqa-sentence-5": (
        1,
        "56e724d6211df0538a52880c7cdcc32be467114859986a417e9ca8fd11364a44",
    ),
    "dog-iqa-sentence-7": (
        1,
        "ca07afeff278e2c4f652dc5941e52cb1c632167be8dc00bb8412e2331b161f15",
    ),
    "dog-iqa-word-3": (
        1,
        "d2495f636ea520f565511877f95e5fb48d06e8cf5f5a456a81050b837c5c7290",
    ),
    "dog-iqa-word-5": (
        1,
        "0492f2a3fa7e980e56b4d80257b1a0f1b5de12e40ef5075121c76b39bca4a418",
    ),
    "dog-iqa-word-7": (
        1,
        "7708236c33b7fc805981531494a7b33920c7ddcabe8aa84700d00863ccd47857",
    ),
    "dog-iqa-word-9": (
        1,
        "08cfac2ccf5b7225b45c1b8b9708d015f2e8c18e1e5fb348da61a9f0a9cddbd4",
    ),
    "probe-artefacts-ab": (1, "bcf5d7ef0b5dc3c15424c7503913f71c5a515fdeb4ae922aa3d4ca53735b6893"),
    "probe-artefacts-ba": (1, "7ec88029d46734db6283eb2643b5bcf4d8ce3d959e7314e4462c1e8ba12b58db"),
    "probe-colour-ab": (1, "7037ee6a4eb3d28d39be15a2a5c7a367c9ce9dc0dc2b7493b040d382a2e03d4c"),
    "probe-colour-ba": (1, "30fceac2d44c3e28ed78378f4fd7f79edd9e8f14ad614037cf04f175911e27bc"),
    "probe-exposure-ab": (1, "ef4890762738bd9a0ef9e5369582f28b63afc9c7a34ef1f58476433f2ba33f7e"),
    "probe-exposure-ba": (1, "216d7a3199ef4631a10e6a2ba84f7c5b7f766acfa3c59cd8dd50be490607fdb5"),
    "probe-noise-ab": (1, "b62627528a645fee1ffdb6e871970db7c8911fd19ba997c06a4287df5a2e2e69"),
    "probe-noise-ba": (1, "c1b4065140d09a1cbd725722be91c33eaa8004e5e3a34f3dbe6dd4ed3d346c2f"),
    "probe-sharpness-ab": (1, "76add4406507c4e090625e0bde3536906506f1d8fa1ec30f8d6e9b041db4c89c"),
    "probe-sharpness-ba": (1, "121685f7b11dfde8cc101d81454a8220760efbc9f008a5cab684569b006d38e0"),
    "q-align": (
        1,
        "741791e8777a054af9a2656db77035dcda31ec381c42b18db3e87d4d51afce76",
    ),
    "q-bench": (
        1,
        "845d9279676dbc9c87c3155525eb6d5d50289669f1c978491e54a045ea6018e1",
    ),
    "q-debias": (
        1,
        "7a70aa5ca04d7fd0d8fe7fb39d6429714a34412f753ae98e9ecb4de25d538b21",
    ),
    "q-debias-as-run": (
        1,
        "7a8ef04c5dd3ee997f2964a207b9a2f5a0e763fe4a2b964afa35eef6ec4afccd",
    ),
    "q-debias-mean": (
        1,
        "a34bcd8960b0e42f049210c77dc875ba149f2c0fc439a9b504dad97a738119ff",
    ),
    "q-realign": (
        1,
        "bbf83951e7db7b8721b38da18208f1a31c2ec6c3d91ca82e4ebed739159857a5",
    ),
    "q-realign-aesthetics": (
        1,
        "8a8580d6e77d1b2f9f641d6ed8a8f87279a5408c0f584fc2b5b7032d6aebb646",
    ),
    "sep-iaa": (
        1,
        "2d7104cf0f115932f66414f807b152babbd0197967336860b6946ace562d348d",
    ),
    "sep-iqa": (
        1,
        "48ab0e8d5f9fc8792944f13d225b90308fe7ef8e6fec5ff954408310a830a662",
    ),
}

WORD = """
version = 1
aspect = "quality"
kind = "word"
system = "Levels: {levels}."
user = "Score in {scale}."
[levels]
1 = "Bad"
2 = "Fair"
3 = "Good"
"""
NUMBER = """
version = 1
aspect = "quality"
kind = "number"
k = 5
system = "Higher is better."
user = "Score in {scale}."
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_word_standard_7_is_the_papers_byte_for_byte():
    filled = load_standard("quality-word-7").fill()
    assert filled.system == (
        "You are a helpful assistant to evaluate image quality. You will be given standards for each quality "
        "level. The quality standard is listed as follows: 7: Perfect, 6: Excellent, 5: Good, 4: Fair, "
        "3: Bad, 2: Poor, 1: Very Bad. The higher the image quality is, the higher the score should be."
    )
    assert filled.user == "Please evaluate the quality of the image and score in [1, 2, 3, 4, 5, 6, 7]."


def test_bad_is_level_3_and_poor_level_2_of_7():
    levels = load_standard("quality-word-7").levels
    assert (levels[2], levels[1]) == ("Bad", "Poor")


@pytest.mark.parametrize("k", [3, 5, 7, 9])
def test_quality_words_have_k_levels_with_fair_in_the_middle(k):
    standard = load_standard(f"quality-word-{k}")
    assert (standard.k, len(standard.levels)) == (k, k)
    assert standard.levels[(k + 1) // 2 - 1] == "Fair"
    if k > 3:
        assert standard.levels.index("Bad") > standard.levels.index("Poor")


def test_words_for_3_5_and_9_levels():
    assert load_standard("quality-word-3").levels == ("Bad", "Fair", "Good")
    assert load_standard("quality-word-5").levels == ("Poor", "Bad", "Fair", "Good", "Excellent")
    nine = "Very Bad, Very Poor, Poor, Bad, Fair, Good, Very Good, Excellent, Perfect"
    assert load_standard("quality-word-9").levels == tuple(nine.split(", "))


def test_number_standard_shows_the_scale_without_words():
    filled = load_standard("quality-number-7").fill()
    assert filled.system == (
        "You are a helpful assistant to evaluate image quality. "
        "The higher the image quality is, the higher the score should be."
    )
    assert filled.user == "Please evaluate the quality of the image and score in [1, 2, 3, 4, 5, 6, 7]."


def test_sentence_standard_lists_seven_sentences_highest_first():
    standard = load_standard("quality-sentence-7")
    system = standard.fill().system
    assert len(standard.levels) == 7
    assert f"follows: 7: {standard.levels[6]}; 6: " in system
    assert f"; 1: {standard.levels[0]}. The higher" in system


def test_float_standard_asks_for_a_decimal_number():
    user = load_standard("quality-float").fill().user
    assert user == (
        "Please evaluate the quality of the image and output a score between 1 and 7 as a decimal number."
    )


def test_shipped_aspects_and_names():
    aspects = {name: load_standard(name).aspect for name in standard_names()}
    methods = ("dog-iqa-", "probe-", "q-", "sep-")
    of_methods = {name: aspects.pop(name) for name in list(aspects) if name.startswith(methods)}
    assert set(of_methods.values()) == {"quality", "aesthetics"}
    assert set(aspects.values()) == {"quality", "authenticity", "correspondence"}
    assert all(name.startswith(f"{aspect}-") for name, aspect in aspects.items())


def test_editing_a_shipped_standard_needs_a_new_version():
    found = {name: (load_standard(name).version, load_standard(name).hash) for name in standard_names()}
    assert found == PINNED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 2"),
        ("Good", "Great"),
        ("Levels:", "Scale:"),
        ('"quality"', '"authenticity"'),
    ],
)
def test_hash_changes_with_everything_that_reaches_a_model(tmp_path, old, new):
    before = load_standard(write(tmp_path, WORD)).hash
    assert load_standard(write(tmp_path, WORD.replace(old, new))).hash != before


def test_hash_ignores_comments_and_the_files_name(tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("# a comment\n" + WORD, encoding="utf-8")
    assert load_standard(other).hash == load_standard(write(tmp_path, WORD)).hash


@given(st.text().filter(str.strip))
def test_text_prompt_passes_unchanged(prompt):
    user = load_standard("correspondence-word-7").fill(prompt).user
    before, after = load_standard("correspondence-word-7").user.split("{prompt}")
    assert user == before + prompt + after.replace("{scale}", "[1, 2, 3, 4, 5, 6, 7]")


def test_braces_in_a_text_prompt_are_no_placeholders():
    prompt = r"a {levels} cat, {scale}, {prompt}, {} and \1 {0}"
    assert prompt in load_standard("correspondence-word-7").fill(prompt).user


@pytest.mark.parametrize("prompt", [None, "", " \n"])
def test_correspondence_without_a_text_prompt_is_an_error_of_the_image(prompt):
    with pytest.raises(ImageError, match=r"correspondence-word-7 .* has none"):
        load_standard("correspondence-word-7").fill(prompt)


def test_only_correspondence_needs_the_text_prompt():
    needing = [name for name in standard_names() if load_standard(name).needs_prompt]
    assert needing == ["correspondence-word-7"]
    assert load_standard("quality-word-7").fill("ignored") == load_standard("quality-word-7").fill()


def test_file_of_ones_own_is_loaded_by_path(tmp_path):
    standard = load_standard(str(write(tmp_path, WORD)))
    assert (standard.name, standard.k, standard.levels) == ("mine", 3, ("Bad", "Fair", "Good"))
    assert standard.fill()[:2] == ("Levels: 3: Good, 2: Fair, 1: Bad.", "Score in [1, 2, 3].")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match=r"no standard 'quality-wrod-7'; did you mean quality-word-7\?"):
        load_standard("quality-wrod-7")


WRONG = {
    "missing level": (WORD.replace('2 = "Fair"\n', ""), "levels.2: this level is missing"),
    "missing first level": (WORD.replace('1 = "Bad"\n', ""), "levels.1: this level is missing"),
    "one level only": (WORD.replace('2 = "Fair"\n3 = "Good"\n', ""), "levels.2: this level is missing"),
    "two equal words": (WORD.replace('"Good"', '" fair"'), "levels.3: it says ' fair', as level 2 does"),
    "blank word": (WORD.replace('"Good"', '" "'), "levels.3: found ' '"),
    "word of another type": (WORD.replace('"Good"', "3"), "levels.3: found 3"),
    "ten levels": (WORD + '10 = "Perfect"', "levels.10: this is no level"),
    "level 0": (WORD + '0 = "Awful"', "levels.0: this is no level"),
    "no levels": (WORD.split("[levels]")[0], "levels: it is missing"),
    "levels as a list": (
        NUMBER.replace("number", "word").replace("k = 5", 'levels = ["a"]'),
        "levels: found",
    ),
    "no {levels}": (WORD.replace("{levels}", "none"), "system, user: the placeholder {levels} is in neither"),
    "no {k}": (NUMBER.replace("number", "float").replace("{scale}", ""), "the placeholder {k} is in neither"),
    "no {prompt}": (WORD.replace("quality", "correspondence"), "the placeholder {prompt} is in neither"),
    "unknown placeholder": (
        WORD.replace("{scale}", "{scale} {scael}"),
        "user: the placeholder {scael} is unknown",
    ),
    "placeholder of another kind": (
        NUMBER.replace("better", "{levels}"),
        "system: the placeholder {levels} is",
    ),
    "unknown key": (
        WORD.replace("version", "verison"),
        "verison: this key is unknown; did you mean version?",
    ),
    "k beside levels": (WORD.replace("version", "k = 3\nversion"), "k: this key is unknown"),
    "missing key": (WORD.replace('user = "Score in {scale}."', ""), "user: it is missing"),
    "missing k": (NUMBER.replace("k = 5", ""), "k: it is missing"),
    "two-digit k": (NUMBER.replace("k = 5", "k = 10"), "k: found 10; give a whole number from 2 to 9"),
    "k of 1": (NUMBER.replace("k = 5", "k = 1"), "k: found 1;"),
    "version as text": (WORD.replace("version = 1", 'version = "1"'), "version: found '1'"),
    "version as boolean": (WORD.replace("version = 1", "version = true"), "version: found True"),
    "version 0": (
        WORD.replace("version = 1", "version = 0"),
        "version: found 0; give a whole number from 1 on",
    ),
    "unknown aspect": (
        WORD.replace('"quality"', '"beauty"'),
        "aspect: found 'beauty'; choose one of quality,",
    ),
    "unknown kind": (WORD.replace('"word"', '["word"]'), "kind: found ['word']; choose one of word,"),
    "text of another type": (NUMBER.replace('"Higher is better."', "7"), "system: found 7"),
    "no TOML": (
        WORD.replace("version = 1", "version 1"),
        "cannot be read (Expected '=' after a key in a key/value pair (at line 2",
    ),
    "level given twice": (WORD + '3 = "Great"', "cannot be read (Cannot overwrite a value"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_file_is_refused_naming_file_and_key(tmp_path, case):
    text, complaint = WRONG[case]
    path = write(tmp_path, text)
    with pytest.raises(UserError) as refusal:
        load_standard(path)
    assert str(path) in str(refusal.value)
    assert complaint in str(refusal.value)


def test_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.toml cannot be read"):
        load_standard(path)


@pytest.mark.parametrize("name", ["absent.toml", "folder.toml"])
def test_file_that_cannot_be_read_is_refused(tmp_path, name):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UserError, match=rf"{name} cannot be read \("):
        load_standard(tmp_path / name)
