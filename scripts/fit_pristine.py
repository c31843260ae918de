"""Fit the statistics of pristine photographs that the embedded rater and niqe-kodak compare with.

    python scripts/fit_pristine.py FOLDER [--output FOLDER]

FOLDER holds the 24 photographs of the Kodak PhotoCD sampler as 01.png ... 24.png (or kodim01.png ...), 768 x
512 or 512 x 768, as published at https://r0k.us/graphics/kodak/. Their SHA-256 sums are checked. No human
score is used: each of the two files holds the mean and the covariance of 36 features over the sharp blocks of
these photographs, and where they came from. The features of niqe-kodak are NIQE's as published, those of the
embedded rater depart from them (zeroiqa/nss/naturalness.py). The same pictures give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.baselines.niqe.features import block_features, gray_levels
from zeroiqa.baselines.niqe.measure import KODAK
from zeroiqa.baselines.niqe.model import gaussian_of
from zeroiqa.errors import UserError
from zeroiqa.images.decode import decode
from zeroiqa.nss import naturalness
from zeroiqa.nss.gaussian import scatter
from zeroiqa.nss.planes import gray_plane
from zeroiqa.nss.shapes import build_shape_grid

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

PACKAGE = Path(__file__).parents[1] / "zeroiqa" / "baselines" / "niqe"
SHARP = 0.75
"""A block is kept if its mean local standard deviation reaches this share of the photograph's greatest."""
SHA256 = {
    "01.png": "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
    "02.png": "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
    "03.png": "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
    "04.png": "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
    "05.png": "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
    "06.png": "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
    "07.png": "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
    "08.png": "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
    "09.png": "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
    "10.png": "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
    "11.png": "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
    "12.png": "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
    "13.png": "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
    "14.png": "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
    "15.png": "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
    "16.png": "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
    "17.png": "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
    "18.png": "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
    "19.png": "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
    "20.png": "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
    "21.png": "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
    "22.png": "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
    "23.png": "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
    "24.png": "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
}


def find_photograph(folder: Path, name: str) -> bytes:
    """The bytes of one photograph, checked against its SHA-256 sum."""
    for candidate in (folder / name, folder / f"kodim{name}"):
        if candidate.is_file():
            content = candidate.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if found != SHA256[name]:
                raise UserError(f"{candidate} is not the published photograph: its SHA-256 is {found}.")
            return content
    raise UserError(f"{folder} has no {name}; give the folder of the 24 Kodak photographs.")


Blocks = list[np.ndarray]
"""Of each photograph: the features of its sharp blocks, shape (blocks, 36)."""


def fit_naturalness(photographs: list[Pixels]) -> dict[str, np.ndarray]:
    """The arrays of the embedded rater's file; blocks without structure are left out."""
    grid, kept = build_shape_grid(), []
    for pixels in photographs:
        rows = sharp(*naturalness.block_features(gray_plane(pixels), grid))
        kept.append(rows[np.isfinite(rows).all(axis=1)])
    blocks = np.concatenate(kept)
    return facts(blocks.mean(axis=0), scatter(blocks) / (len(blocks) - 1), kept)


def fit_niqe(photographs: list[Pixels]) -> dict[str, np.ndarray]:
    """The arrays of niqe-kodak's file."""
    grid = build_shape_grid()
    kept = [sharp(*block_features(gray_levels(pixels), grid)) for pixels in photographs]
    pristine = gaussian_of(np.concatenate(kept))
    assert pristine is not None
    return facts(pristine.mean, pristine.covariance, kept)


def sharp(features: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """The features of the sharp blocks of a photograph."""
    return features[activity >= SHARP * activity.max()]


def facts(mean: np.ndarray, covariance: np.ndarray, kept: Blocks) -> dict[str, np.ndarray]:
    """The arrays of a file."""
    return {
        "mean": mean,
        "covariance": covariance,
        "photographs": np.array([f"{name} {digest}" for name, digest in SHA256.items()]),
        "blocks": np.array([len(rows) for rows in kept]),
        "source": np.array("Kodak PhotoCD photo sampler, 24 photographs released for unrestricted use"),
    }


def write(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write an npz whose bytes depend on the arrays alone (numpy's own writer stores the time of day)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, help="a folder; else each file is written into its package")
    arguments = parser.parse_args()
    try:
        photographs = [decode(find_photograph(arguments.folder, name), name=name).pixels for name in SHA256]
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for place, fit in ((naturalness.MODEL_FILE, fit_naturalness), (PACKAGE / KODAK, fit_niqe)):
        path, arrays = (arguments.output or place.parent) / place.name, fit(photographs)
        write(arrays, path)
        print(f"{path}: {arrays['blocks'].sum()} blocks of {len(SHA256)} photographs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
