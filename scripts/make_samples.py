"""Make the sample images of zeroiqa/samples from photos that the scikit-image wheel holds.

    python scripts/make_samples.py

The four photos and three visibly worse versions. The same library versions write the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import skimage

from zeroiqa.images.opencv import cv2
from zeroiqa.samples import folder

Pixels = npt.NDArray[np.uint8]


def photo(name: str) -> Pixels:
    pixels = cv2.imread(str(Path(skimage.__file__).parent / "data" / name), cv2.IMREAD_COLOR)
    assert pixels is not None, f"this scikit-image ships no {name}"
    return np.asarray(pixels, dtype=np.uint8)


def shrunk(pixels: Pixels, longest: int) -> Pixels:
    scale = longest / max(pixels.shape)
    return np.asarray(
        cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8
    )


def blurred(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigmaX=4), dtype=np.uint8)


def dark_and_noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(seed=0).normal(scale=15, size=pixels.shape)
    return np.clip(pixels * 0.4 + noise, 0, 255).astype(np.uint8)


def write(name: str, pixels: Pixels, quality: int = 92) -> None:
    parameters = [] if name.endswith(".png") else [cv2.IMWRITE_JPEG_QUALITY, quality]
    assert cv2.imwrite(str(folder() / name), pixels, parameters)


def main() -> None:
    astronaut, cat, coffee = photo("astronaut.png"), photo("chelsea.png"), photo("coffee.png")
    write("astronaut.jpg", astronaut)
    write("astronaut_dark_noisy.jpg", dark_and_noisy(shrunk(astronaut, 384)), quality=85)
    write("cat.jpg", cat)
    write("cat_blurred.jpg", blurred(cat))
    write("coffee.jpg", coffee)
    write("coffee_compressed.jpg", coffee, quality=6)
    write("rocket.png", shrunk(photo("rocket.jpg"), 384))


if __name__ == "__main__":
    main()
