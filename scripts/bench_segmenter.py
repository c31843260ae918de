"""Time and memory of our mask generation beside the sam2 package's: same points, same masks.

    python scripts/bench_segmenter.py [--output results/bench/segmenter.json] [--points 4 16 64]
    python scripts/bench_segmenter.py --profiles [--output results/bench/segmenter_profiles.json]

The network is SAM 2.1 tiny with random weights; its decoder is replaced by one that costs almost nothing and
gives the masks of a made-up scene, since those of random weights are none that a photo has. Every measurement
is a process of its own on one core: processor time, of which the time in the network (encoder and decoder) is
taken off, and the peak of the memory from the moment on when the image is encoded, above what is in use then:
what the encoder needs, both need alike. The memory of the package's generator grows with the points that go
through the decoder together, so both are measured for several numbers of them; 64 is the package's default,
for which it needs 17 GiB.

With --profiles: what a photo costs by the profiles dog-iqa and default-16, side by side. The networks have
their real sizes and random weights; encoder and decoder are computed and counted, and then the decoder's
answer is replaced by the scene. How many masks and regions there are is the scene's doing, not a photo's.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"1 MP": (866, 1155), "3 MP": (1500, 2000), "12 MP": (3000, 4000)}
OURS, PACKAGE = "ours", "package"
PROFILES = ("dog-iqa", "default-16")
TARGETS = {"time outside the network": 5, "memory above the encoded image": 10}
"""Package / ours on the photo of 12 megapixels; reported, not enforced."""
LEAST_MIB = 16.0
"""Less cannot be told from memory that the allocator had kept; it counts as this much."""


def scene_masks(points_per_side: int) -> Any:
    """In place of a decoder's forward: three masks of a scene for each point, in the order of the grid."""
    import torch

    side = (torch.arange(256) + 0.5) / 256
    v, u = torch.meshgrid(side, side, indexing="ij")
    random = torch.Generator().manual_seed(0)
    objects = torch.rand((40, 5), generator=random)  # x, y, radii, turn
    count = points_per_side**2
    bank = torch.empty(count, 3, 256, 256)
    estimates = 0.55 + 0.45 * torch.rand((count, 3), generator=random)
    for point in range(count):
        row, column = divmod(point, points_per_side)
        x, y = (column + 0.5) / points_per_side, (row + 0.5) / points_per_side
        nearest = ((objects[:, 0] - x) ** 2 + (objects[:, 1] - y) ** 2).argsort()[:3]
        for place, (cx, cy, a, b, turn) in enumerate(objects[nearest].tolist()):
            wide, high = 0.03 + 0.3 * a**3, 0.03 + 0.3 * b**3
            cos, sin = np.cos(3 * turn), np.sin(3 * turn)
            along, across = (u - cx) * cos + (v - cy) * sin, (v - cy) * cos - (u - cx) * sin
            distance = (1 - torch.hypot(along / wide, across / high)) * min(wide, high)
            wave = 0.004 * torch.sin(40 * u + point) * torch.cos(35 * v)
            bank[point, place] = (60 + 500 * a) * (distance + wave)

    asked = 0

    def forward(*, sparse_prompt_embeddings: torch.Tensor, **_: Any) -> tuple[Any, ...]:
        nonlocal asked
        chosen = slice(asked % count, asked % count + len(sparse_prompt_embeddings))
        asked += len(sparse_prompt_embeddings)
        return bank[chosen], estimates[chosen], None, None

    return forward


class Watch:
    """Processor time within calls of some methods, and the memory in use after the last of one of them."""

    def __init__(self) -> None:
        self.seconds = self.in_use = 0.0

    def wrap(self, owner: Any, name: str, *, forget: bool = False) -> None:
        """Count the calls of a method; after each, the peak of the memory begins anew."""
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - start
                if forget:
                    forget_peak()
                    self.in_use = mib("VmRSS")

        setattr(owner, name, timed)


def forget_peak() -> None:
    """Give free memory back to the system, and let the peak begin at what is in use (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def mib(what: str) -> float:
    """VmRSS, the memory in use, or VmHWM, its peak."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if what in line)
    return int(line.split()[1]) / 1024


def run(who: str, size: str, points_per_batch: int) -> dict[str, Any]:
    """One measurement, in this process."""
    import torch
    import torchvision.ops  # noqa: F401 -- both need it: its import is nobody's time

    from zeroiqa.segmenters.granularity import load_granularity
    from zeroiqa.segmenters.regions import regions_from_masks
    from zeroiqa.segmenters.sam2.generation import generate_masks
    from zeroiqa.segmenters.sam2.official_network import Sam2Network
    from zeroiqa.segmenters.sam2.official_weights import build_model, cards, import_sam2, package_file

    torch.set_num_threads(1)
    torch.manual_seed(0)
    profile = load_granularity("tiny")
    model = build_model(package_file(cards()[profile.segmenter].config)).eval()
    model.sam_mask_decoder.forward = scene_masks(profile.masks.points_per_side)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZES[size], 3), dtype=np.uint8)
    network = Sam2Network(model)
    network.encode([pixels[:64, :64]])  # what a first call does belongs to nobody
    watch = Watch()
    watch.wrap(model, "forward_image", forget=True)
    watch.wrap(model.sam_prompt_encoder, "forward")
    watch.wrap(model.sam_mask_decoder, "forward")
    start = time.process_time()
    if who == OURS:
        (found,) = generate_masks(network, [pixels], profile.masks, points_per_batch)
        masks = (found.full_size(number, profile.masks.mask_threshold) for number in range(len(found)))
        count = len(found)
    else:
        package = import_sam2("automatic_mask_generator").SAM2AutomaticMaskGenerator
        generator = package(model, points_per_batch=points_per_batch, **asdict(profile.masks))
        records = generator.generate(pixels)
        masks, count = (record["segmentation"] for record in records), len(records)
    generated = time.process_time() - start
    regions = regions_from_masks(
        masks, SIZES[size], min_area=profile.min_area, complement=True, keep_masks=False
    )
    total = time.process_time() - start
    return {
        "who": who,
        "size": size,
        "points per batch": points_per_batch,
        "masks": count,
        "regions": [[*region.box, round(region.area, 9), region.kind] for region in regions],
        "seconds": round(total, 3),
        "seconds in the network": round(watch.seconds, 3),
        "seconds outside the network": round(total - watch.seconds, 3),
        "of these for regions at full size": round(total - generated, 3),
        "MiB above the encoded image": round(mib("VmHWM") - watch.in_use, 1),
    }


def run_profile(name: str, size: str) -> dict[str, Any]:
    """What a photo costs by a profile, in this process."""
    import torch
    import torchvision.ops  # noqa: F401 -- its import is nobody's time

    from zeroiqa.segmenters.granularity import load_granularity
    from zeroiqa.segmenters.sam2.official import Sam2Segmenter
    from zeroiqa.segmenters.sam2.official_network import Sam2Network
    from zeroiqa.segmenters.sam2.official_weights import build_model, cards, package_file
    from zeroiqa.types import Image
    from zeroiqa.weights.options import ModelOptions

    torch.set_num_threads(1)
    torch.manual_seed(0)
    profile = load_granularity(name)
    model = build_model(package_file(cards()[profile.segmenter].config)).eval()
    decode, scene = model.sam_mask_decoder.forward, scene_masks(profile.masks.points_per_side)

    def forward(**inputs: Any) -> tuple[Any, ...]:
        decode(**inputs)
        found: tuple[Any, ...] = scene(**inputs)
        return found

    model.sam_mask_decoder.forward = forward
    rule = {key: getattr(profile, key) for key in ("min_area", "complement", "min_pixels", "complement_rule")}
    options = ModelOptions(device="cpu")
    segmenter = Sam2Segmenter(None, name=profile.segmenter, parameters=profile.masks, options=options, **rule)
    segmenter._loaded = Sam2Network(model)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZES[size], 3), dtype=np.uint8)
    encoder, decoder = Watch(), Watch()
    encoder.wrap(model, "forward_image")
    decoder.wrap(model.sam_prompt_encoder, "forward")
    decoder.wrap(model.sam_mask_decoder, "forward")
    start = time.process_time()
    regions = segmenter.segment(Image(pixels, "noise"))
    total = time.process_time() - start
    return {
        "profile": name,
        "network": profile.segmenter,
        "size": size,
        "points": profile.masks.points_per_side**2,
        "regions of the scene": len(regions),
        "seconds": round(total, 2),
        "seconds in the encoder": round(encoder.seconds, 2),
        "seconds in the decoder": round(decoder.seconds, 2),
        "seconds outside the network": round(total - encoder.seconds - decoder.seconds, 2),
    }


def compare(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Package / ours for every size and number of points, and whether the regions are the same."""
    ours = {(row["size"], row["points per batch"]): row for row in rows if row["who"] == OURS}
    ratios = {}
    for row in rows:
        if row["who"] == PACKAGE:
            mine = ours[row["size"], row["points per batch"]]
            ratios[f"{row['size']}, {row['points per batch']} points per batch"] = {
                "time outside the network": round(
                    row["seconds outside the network"] / mine["seconds outside the network"], 1
                ),
                "memory above the encoded image": round(
                    row["MiB above the encoded image"] / max(mine["MiB above the encoded image"], LEAST_MIB),
                    1,
                ),
                "same regions": row["regions"] == mine["regions"],
            }
    return ratios


def compare_profiles(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """default-16 / dog-iqa for every size."""
    first, second = PROFILES
    seconds = {(row["profile"], row["size"]): row["seconds"] for row in rows}
    return {size: round(seconds[second, size] / seconds[first, size], 1) for size in SIZES}


def measured(*arguments: str) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    print(", ".join(arguments), file=sys.stderr)
    command = [sys.executable, __file__, *arguments]
    row: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return row


def manifest(option: str) -> dict[str, Any]:
    """How the numbers came about."""
    return {
        "command": f"python scripts/bench_segmenter.py{option}",
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": version("zeroiqa"),
        "machine": f"{platform.machine()}, one core of {os.cpu_count()}, shared; processor time",
        "libraries": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "torchvision", "sam2", "numpy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--points", nargs="+", type=int, default=[4, 16, 64], help="Through the decoder together."
    )
    parser.add_argument("--profiles", action="store_true", help=f"Compare {' and '.join(PROFILES)}.")
    parser.add_argument("--run", nargs=3, metavar=("WHO", "SIZE", "POINTS"), help="One measurement as JSON.")
    parser.add_argument("--run-profile", nargs=2, metavar=("PROFILE", "SIZE"), help="Likewise.")
    arguments = parser.parse_args()
    if arguments.run:
        who, size, points = arguments.run
        print(json.dumps(run(who, size, int(points))))
        return
    if arguments.run_profile:
        print(json.dumps(run_profile(*arguments.run_profile)))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if arguments.profiles:
        rows = [measured("--run-profile", *each) for each in itertools.product(PROFILES, SIZES)]
        record: dict[str, Any] = {"default-16 / dog-iqa": compare_profiles(rows)}
    else:
        choices = itertools.product((OURS, PACKAGE), SIZES, map(str, arguments.points))
        rows = [measured("--run", *each) for each in choices]
        record = {"package / ours": compare(rows), "targets on 12 MP": TARGETS}
        for row in rows:
            row["regions"] = len(row["regions"])
    record |= {
        "measurements": rows,
        "manifest": manifest(" --profiles" if arguments.profiles else ""),
    }
    name = "segmenter_profiles" if arguments.profiles else "segmenter"
    output = arguments.output or Path(f"results/bench/{name}.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
