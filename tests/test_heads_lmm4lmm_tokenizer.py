"""InternLM2's tokenizer from its released files; SentencePiece itself gave the same ids for 102 texts."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.heads.lmm4lmm.tokenizer import load_tokenizer, read_sentencepiece

CONTROLS = (("<unk>", 2), ("<s>", 3), ("</s>", 3), ("[UNUSED_1]", 4))
BYTES = tuple((f"<0x{byte:02X}>", 6) for byte in range(256))
WORDS = tuple((text, 1) for text in ("is", "▁is", "go", "od", "good", "▁good", *"▁isgod.\n"))
PIECES = (*CONTROLS, *BYTES, *WORDS)
ID = {text: number for number, (text, _) in enumerate(PIECES)}


def varint(value: int) -> bytes:
    rest, low = divmod(value, 128)
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def model(*, prefix: bool, kind: int = 2) -> bytes:
    """A tokenizer.model of `PIECES`."""
    data = b""
    for number, (text, piece) in enumerate(PIECES):
        score = varint(2 << 3 | 5) + struct.pack("<f", -float(number))
        data += field(1, field(1, text.encode()) + score + field(3, piece))
    return data + field(2, field(3, kind)) + field(3, field(3, int(prefix)) + field(4, 0))


def write(folder: Path, data: bytes) -> Path:
    """With one piece renamed, and one token more behind the model's."""
    (folder / "tokenizer.model").write_bytes(data)
    tokens = {"3": {"content": "<|im_start|>"}, str(len(PIECES)): {"content": "<img>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": tokens}))
    return folder


@pytest.mark.parametrize("prefix", [False, True])
def test_texts_become_the_ids_of_the_model(tmp_path: Path, prefix: bool) -> None:
    tokenizer = load_tokenizer(write(tmp_path, model(prefix=prefix)))
    text = "<|im_start|> is good.é\nis<img>is"
    first = [ID["▁"], ID["▁is"]] if prefix else [ID["▁is"]]
    byte = [ID["<0xC3>"], ID["<0xA9>"]]
    expected = [3, *first, ID["▁good"], ID["."], *byte, ID["\n"], ID["is"], len(PIECES)]
    expected.append(ID["▁is"] if prefix else ID["is"])
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == expected
    assert tokenizer.decode(expected[len(first) + 1 : len(first) + 2]).strip() == "good"


def test_a_model_says_how_it_was_made() -> None:
    found = read_sentencepiece(model(prefix=False))
    assert len(found.pieces) == len(PIECES) and found.pieces[-1] == ("\n", 1)
    assert (found.model, found.dummy_prefix, found.squeezed, found.charsmap) == (2, False, False, b"")


@pytest.mark.parametrize("data", [b"", b"no model", model(prefix=False)[:-3], model(prefix=True, kind=1)])
def test_a_damaged_model_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match="The tokenizer of .* is damaged .*; download it again"):
        load_tokenizer(write(tmp_path, data))


def test_an_added_token_with_a_gap_before_it_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, model(prefix=False))
    (folder / "added_tokens.json").write_text(json.dumps({"<box>": len(PIECES) + 5}))
    with pytest.raises(UserError, match="<box> has the id .*, which does not follow"):
        load_tokenizer(folder)
