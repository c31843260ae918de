"""One place turns what readers stumble over into a sentence."""

from __future__ import annotations

import csv
import struct
import tarfile
import zipfile
import zlib

import pyarrow as pa
import pytest

from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.damage import parse_json, read_json, read_toml, reading, reason

FOREIGN = [
    OSError(5, "Input/output error"),
    ValueError("it is\nnone."),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError("weight_map"),
    IndexError("list index out of range"),
    TypeError("'int' object is not iterable"),
    AttributeError("'list' object has no attribute 'values'"),
    OverflowError("int too large to convert to float"),
    ZeroDivisionError("division by zero"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    EOFError(),
    NotImplementedError("a codec"),
    struct.error("unpack requires a buffer of 8 bytes"),
    csv.Error("field larger than field limit (131072)"),
    tarfile.ReadError("unexpected end of data"),
    zipfile.BadZipFile("File is not a zip file"),
    zlib.error("Error -3"),
    pa.ArrowNotImplementedError("Unsupported cast"),
    pa.ArrowSerializationError("a thrift"),
    pa.ArrowKeyError("no such column"),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_what_a_reader_stumbles_over_is_one_sentence(error):
    with pytest.raises(UserError) as caught, reading("run/plan.parquet", "copy it again", "The plan"):
        raise error
    text = str(caught.value)
    assert text.startswith("The plan run/plan.parquet cannot be read (")
    assert text.endswith("); copy it again.") and text.isprintable() and "()" not in text
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [ImageError("an image"), KeyboardInterrupt(), AssertionError("a bug"), NameError("a bug")]
)
def test_what_is_no_damage_goes_on_up(error):
    with pytest.raises(type(error)) as caught, reading("file", "copy it again"):
        raise error
    assert caught.value is error


def test_a_reason_is_short_and_printable():
    assert len(reason(ValueError("x" * 10_000))) <= 200
    assert reason(ValueError("\x1b[2J")) == "\\x1b[2J"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"9" * 5000, "digits"),
        (b"\xff", "can't decode byte 0xff"),
        (b" " * 100, "more than 99 bytes"),
        (b"", "Expecting value"),
    ],
)
def test_json_that_is_none_is_said(tmp_path, content, said):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=said), reading("run.json", "copy it"):
        read_json(tmp_path / "run.json", 99 if content.isspace() else 1 << 20)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = 0x" + "f" * 5000, "more than 64 bits"),
        ("a = " + "9" * 400, "more than 64 bits"),
        ("a 1", "Expected '='"),
    ],
)
def test_toml_that_is_none_is_said(tmp_path, content, said):
    (tmp_path / "own.toml").write_text(content)
    with pytest.raises(UserError, match=said), reading("own.toml", "correct it"):
        read_toml(tmp_path / "own.toml")


def test_others_may_write_constants():
    assert parse_json("[Infinity]", constants=True) == [float("inf")]
