"""Configurations of SAM 2 that are short in a file and endless in memory."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from zeroiqa.errors import UserError

pytest.importorskip("sam2")

from zeroiqa.segmenters.sam2.official_weights import (
    build_model,
    cards,
    find_checkpoint,
    load_model,
    package_file,
)
from zeroiqa.segmenters.sam2.official_yaml import check_text

NINE = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]"
    for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LAUGHS = f"a: &a [x, x]\n{NINE}\nmodel: *i\n"
DOUBLING = (
    "\n".join(f"a{number}: '${{a{number + 1}}}${{a{number + 1}}}'" for number in range(40)) + "\na40: x\n"
)


CASES = {
    LAUGHS: r"has an alias \(\*a\); write out",
    "a: &a {b: *a}\n": r"has an alias \(\*a\)",
    "a: &a {b: 1}\nc: {<<: *a}\n": r"has an alias \(\*a\)",
    DOUBLING: r"has a reference \(\$\{a1\}",
    "model: '${oc.env:HOME}'\n": r"has a reference \(\$\{oc\.env:HOME\}\)",
    "model: {stages: [1, 1000000000]}\n": r"asks for stages = 1,000,000,000",
    "model: {stages: [300, 300, 300, 300]}\n": r"asks for stages = 300",
    "model: {embed_dim: 10000000}\n": r"asks for embed_dim = 10,000,000",
    "[" * 50_000: "is nested deeper than 50 levels",
    "{a: " * 5000: "is nested deeper than 50 levels",
    "model: !!python/object/apply:os.getcwd []\n": "cannot be read",
    "#" * 200_000: r"has 0\.191 MiB, and a file of its kind is read up to 0\.125 MiB",
}
"""What is written, and what is said of it."""


@pytest.mark.parametrize("text", CASES)
def test_a_configuration_without_bounds_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=CASES[text]) as caught:
        build_model(tmp_path / "config.yaml")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_the_configurations_of_the_package_are_within_bounds() -> None:
    for card in cards().values():
        check_text(package_file(card.config))


def test_weights_that_are_packed_are_refused(tiny_sam2: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sam2, tmp_path / "model"))
    with zipfile.ZipFile(folder / "model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(10_000_000))
    import torch

    with pytest.raises(UserError, match="are packed"):
        load_model(find_checkpoint("sam2", str(folder)), torch.device("cpu"))
