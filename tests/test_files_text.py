"""Text as people write it: whatever encoding a list is read in, everything else is read in, too."""

from __future__ import annotations

import io
import tarfile
from importlib import resources
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.files.text import decoded
from zeroiqa.images.find import find_images
from zeroiqa.settings import load_settings
from zeroiqa.standards import load_standard

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lists_prompts_standards_and_presets_are_read_in_every_encoding(here: Path, encoding: str) -> None:
    Path("a.jpg").write_bytes(b"1")
    Path("a.txt").write_bytes("a cat, né".encode(encoding))
    Path("list.csv").write_bytes("path,prompt\na.jpg,né\n".encode(encoding))
    with tarfile.open("x.tar", "w") as archive:
        for name in ("a.jpg", "a.txt"):
            archive.addfile(archive.gettarinfo(name), io.BytesIO(Path(name).read_bytes()))
    for argument, prompt in {"a.jpg": "a cat, né", "x.tar": "a cat, né", "list.csv": "né"}.items():
        (found,) = find_images([argument], sidecar_prompts=True)
        assert found.prompt == prompt
    shipped = (resources.files("zeroiqa.prompts") / "quality-word-7.toml").read_text(encoding="utf-8")
    Path("mine.toml").write_bytes(shipped.encode(encoding))
    assert load_standard("mine.toml").hash == load_standard("quality-word-7").hash
    preset = (resources.files("zeroiqa.presets") / "embedded.toml").read_text(encoding="utf-8")
    Path("preset.toml").write_bytes(preset.encode(encoding))
    assert load_settings("preset.toml") == load_settings("embedded")


def test_a_text_beside_an_image_that_is_no_unicode_is_refused_wherever_it_is(here: Path) -> None:
    Path("a.jpg").write_bytes(b"1")
    Path("a.txt").write_bytes("né".encode("latin-1"))
    with tarfile.open("x.tar", "w") as archive:
        for name in ("a.jpg", "a.txt"):
            archive.add(name)
    for argument, name in {"a.jpg": "a.txt", "x.tar": "x.tar/a.txt"}.items():
        with pytest.raises(UserError, match=f"^{name} holds a prompt that is not UTF-8 text"):
            find_images([argument], sidecar_prompts=True)
    with pytest.raises(UserError, match=r"^a.txt is not UTF-8 text; save it as UTF-8"):
        decoded(Path("a.txt").read_bytes(), "a.txt", strict=True)
