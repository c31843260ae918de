"""The tokenizer of a checkpoint: tokenizer.json, or InternLM2's tokenizer.model without its Python code.

Released are a SentencePiece model (byte-pair encoding with bytes for the rest) and the tokens added to it;
they are put together as `tokenizers` wants them. Format: sentencepiece_model.proto of SentencePiece.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

from zeroiqa.errors import UserError, printable

_UNKNOWN, _CONTROL, _OWN = 2, 3, 4  # types of pieces
_BPE = 2  # type of models
_SPACE = "▁"


class Piece(NamedTuple):
    """One entry of the vocabulary."""

    text: str
    kind: int
    """1 normal, 2 unknown, 3 control, 4 of the user's own, 6 byte."""


@dataclass(frozen=True)
class SentencePieceModel:
    """What a tokenizer.model says."""

    pieces: tuple[Piece, ...]
    """By id; in this order they were learnt, so earlier ones are merged first."""
    model: int
    """1 unigram, 2 byte-pair encoding."""
    charsmap: bytes
    """How characters are normalised; empty for not at all."""
    dummy_prefix: bool
    """Whether a space is put before every text."""
    squeezed: bool
    """Whether spaces at the ends, and all but one of several, are dropped."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint's folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    shown = printable(str(folder))
    read = {"tokenizer.json": _fast, "tokenizer.model": _built}
    name = next((name for name in read if (folder / name).is_file()), None)
    if name is None:
        raise UserError(
            f"{shown} holds no tokenizer (tokenizer.json or tokenizer.model); finish the download."
        )
    try:
        return read[name](folder)
    except Exception as error:  # of several libraries
        reason = str(error).partition("\n")[0]
        raise UserError(f"The tokenizer of {shown} is damaged ({reason}); download it again.") from error


def _fast(folder: Path) -> PreTrainedTokenizerFast:
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
        folder, local_files_only=True
    )
    return tokenizer


def _built(folder: Path) -> PreTrainedTokenizerFast:
    found = read_sentencepiece((folder / "tokenizer.model").read_bytes())
    if found.model != _BPE:
        raise ValueError("it is no byte-pair encoding")
    added = _added(folder)
    texts = [added.get(number, piece.text) for number, piece in enumerate(found.pieces)]
    vocabulary = {text: number for number, text in enumerate(texts)}
    unknown = next(text for text, piece in zip(texts, found.pieces, strict=True) if piece.kind == _UNKNOWN)
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=generate_merges(vocabulary),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([*_normalizers(found)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    own = {n: p.text for n, p in enumerate(found.pieces) if p.kind in (_CONTROL, _OWN)} | added
    special = {n for n, p in enumerate(found.pieces) if p.kind == _CONTROL} | added.keys()
    for number, text in sorted(own.items()):
        tokenizer.add_tokens([AddedToken(text, normalized=False, special=number in special)])
        if tokenizer.token_to_id(text) != number:
            raise ValueError(f"the added token {text} has the id {number}, which does not follow the others")
    made: Any = PreTrainedTokenizerFast
    return cast("PreTrainedTokenizerFast", made(tokenizer_object=tokenizer))


def _added(folder: Path) -> dict[int, str]:
    """Id -> token of those that are not in the model, or there under another name."""
    found: dict[int, str] = {}
    listed, described = folder / "added_tokens.json", folder / "tokenizer_config.json"
    if listed.is_file():
        found |= {number: text for text, number in json.loads(listed.read_text("utf-8")).items()}
    if described.is_file():
        tokens: dict[str, Any] = json.loads(described.read_text("utf-8")).get("added_tokens_decoder", {})
        found |= {int(number): token["content"] for number, token in tokens.items()}
    return found


def _normalizers(found: SentencePieceModel) -> Iterator[Any]:
    if found.charsmap:
        yield normalizers.Precompiled(found.charsmap)
    if found.squeezed:
        yield normalizers.Strip()
        yield normalizers.Replace(Regex(" {2,}"), " ")
    if found.dummy_prefix:
        yield normalizers.Prepend(_SPACE)
    yield normalizers.Replace(" ", _SPACE)


def read_sentencepiece(data: bytes) -> SentencePieceModel:
    """Parse a tokenizer.model.

    Raises:
        ValueError: it is damaged.
    """
    pieces: list[Piece] = []
    trained: dict[int, Any] = {}
    normalised: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            piece = dict(_fields(value))
            pieces.append(Piece(piece[1].decode("utf-8"), piece.get(3, 1)))
        elif number == 2:
            trained = dict(_fields(value))
        elif number == 3:
            normalised = dict(_fields(value))
    if not pieces:
        raise ValueError("it holds no vocabulary")
    return SentencePieceModel(
        pieces=tuple(pieces),
        model=trained.get(3, 1),
        charsmap=normalised.get(2, b""),
        dummy_prefix=bool(normalised.get(3, 1)),
        squeezed=bool(normalised.get(4, 1)),
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of the fields of a message of protocol buffers: int, or bytes as they are."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            if place >= len(data):
                raise ValueError("it ends too early")
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError("it is no SentencePiece model")
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        if place + length > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[place : place + length]
        place += length
