"""Set the tags beside the flags of cleanvision: on photographs with opinions, and on degraded copies.

    python scripts/compare_with_cleanvision.py FOLDER PRISTINE PYTHON [--output results/reasons]

FOLDER holds images/ and mos.csv (columns image, mos), PRISTINE pristine photographs. cleanvision is AGPL and
no dependency: PYTHON is the interpreter of an environment that has it. Its checks run as they are by default.
Writes photos.csv (no opinion scores), copies.csv, tags.csv, pairs.csv, kinds.csv, table.md and manifest.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image as PilImage

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.severity import DISTORTIONS  # noqa: E402
from zeroiqa.files.tables.render import TextTable, cells, render  # noqa: E402
from zeroiqa.images.decode import DecodePolicy, decode  # noqa: E402
from zeroiqa.raters.nss import NssRater  # noqa: E402
from zeroiqa.reasons import TAGS, reasons_of, tags_of  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.types import View  # noqa: E402
from zeroiqa.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

Row: TypeAlias = dict[str, Any]
FLAGS = ("is_dark", "is_light", "is_blurry", "is_low_information")
COUNTERPARTS = {
    "dark": "is_dark",
    "overexposed": "is_light",
    "blurred": "is_blurry",
    "uniform": "is_low_information",
}
"""Tag -> the flag of the same fault; the other tags have none."""
OWN = {
    "gaussian blur": "blurred",
    "lens blur": "blurred",
    "motion blur": "blurred",
    "down-upscale": "blurred",
    "white noise": "noisy",
    "correlated noise": "noisy",
    "impulse noise": "noisy",
    "under-exposure": "dark",
    "low light": "dark",
    "over-exposure": "overexposed",
    "low contrast": "low contrast",
    "haze": "low contrast",
    "colour cast": "colour cast",
    "jpeg": "blocky",
    "one colour": "uniform",
}
"""Kind of degradation -> the tag that names it."""
LEVELS = (1, 3, 5)
SEED = 0
DATA = {
    "photos": "BIQ2021, 600 photographs (512 x 512) drawn from its training part; "
    "N. Ahmed, S. Asif, J. Electron. Imaging 31(5), 2022",
    "pristine": "Kodak PhotoCD, 24 photographs (768 x 512)",
}
_CHECK = """
import sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(n_jobs=1, verbose=False)
lab.issues.to_json(sys.argv[2], orient="index")
"""


@cache
def _rater() -> NssRater:
    return NssRater()


def our_row(name: str, pixels: Pixels) -> Row:
    """Reasons and tags of one image."""
    [[rating]] = _rater().rate([View(pixels, None, pixels.shape[:2])], [load_standard("quality-word-7")])
    assert rating is not None
    reasons = reasons_of(rating.measures)
    return {"image": name, **reasons, "tags": "; ".join(tags_of(reasons))}


def their_flags(folder: Path, python: Path) -> dict[str, dict[str, int]]:
    """File name -> flag -> 1 or 0, by cleanvision's default checks."""
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "issues.json"
        subprocess.run([python, "-c", _CHECK, folder, found], check=True, stdout=subprocess.DEVNULL)
        issues = json.loads(found.read_text(encoding="utf-8"))
    return {
        Path(path).name: {flag: int(issue[f"{flag}_issue"]) for flag in FLAGS}
        for path, issue in issues.items()
    }


def rate_photos(folder: Path, names: Sequence[str], python: Path) -> list[Row]:
    flags = their_flags(folder / "images", python)
    return [our_row(name, decode(folder / "images" / name).pixels) | flags[name] for name in names]


def rate_copies(pristine: Path, python: Path) -> list[Row]:
    """Pristine photographs (level 0) and their degraded copies."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        for path in sorted(pristine.glob("*.png")):
            for kind, level, pixels in _copies(decode(path).pixels):
                name = f"{path.stem}-{kind.replace(' ', '_')}-{level}.png"
                PilImage.fromarray(pixels).save(Path(place) / name, compress_level=1)
                rows.append({"kind": kind, "level": level} | our_row(name, pixels))
        flags = their_flags(Path(place), python)
    return [row | flags[row["image"]] for row in rows]


def _copies(pixels: Pixels) -> Iterable[tuple[str, int, Pixels]]:
    yield "pristine", 0, pixels
    for kind in OWN:
        for level in LEVELS if kind != "one colour" else (5,):
            generator = np.random.default_rng(SEED)
            if kind == "one colour":  # with the noise that a sensor leaves in it
                plain = pixels.mean(axis=(0, 1)) + generator.normal(size=pixels.shape) * 2
                yield kind, level, np.clip(np.rint(plain), 0, 255).astype(np.uint8)
            else:
                yield kind, level, DISTORTIONS[kind](pixels, level, generator)


def has(row: Mapping[str, Any], tag: str) -> bool:
    return tag in str(row["tags"]).split("; ")


def count_tags(photos: Sequence[Row], mos: Mapping[str, float]) -> list[Row]:
    """How often each tag falls, on which opinions, and how often in the best and the worst quarter."""
    ranked = sorted(mos.values())
    low, high = ranked[len(ranked) // 4], ranked[-len(ranked) // 4]
    return [
        _tag_row(tag, [mos[row["image"]] for row in photos if has(row, tag)], low, high) for tag in TAGS
    ] + [
        _tag_row("any", [mos[row["image"]] for row in photos if row["tags"]], low, high),
        _tag_row("none", [mos[row["image"]] for row in photos if not row["tags"]], low, high),
        *(
            _tag_row(f"cleanvision {flag}", [mos[row["image"]] for row in photos if row[flag]], low, high)
            for flag in FLAGS
        ),
    ]


def _tag_row(name: str, opinions: Sequence[float], low: float, high: float) -> Row:
    return {
        "tag": name,
        "photos": len(opinions),
        "mean_mos": f"{np.mean(opinions):.4f}" if opinions else "",
        "worst_quarter": sum(opinion < low for opinion in opinions),
        "best_quarter": sum(opinion >= high for opinion in opinions),
    }


def count_pairs(sets: Mapping[str, Sequence[Row]]) -> list[Row]:
    """How often tag and flag of one fault fall on the same image."""
    return [
        {
            "images": name,
            "tag": tag,
            "flag": flag,
            "both": sum(has(row, tag) and row[flag] for row in rows),
            "tag_only": sum(has(row, tag) and not row[flag] for row in rows),
            "flag_only": sum(bool(row[flag]) and not has(row, tag) for row in rows),
            "neither": sum(not row[flag] and not has(row, tag) for row in rows),
        }
        for name, rows in sets.items()
        for tag, flag in COUNTERPARTS.items()
    ]


def count_kinds(copies: Sequence[Row]) -> list[Row]:
    """Of the copies of each kind and level, how many have its own tag, any tag, and the flag of its fault."""
    found = []
    for kind, level in dict.fromkeys((row["kind"], row["level"]) for row in copies):
        rows = [row for row in copies if (row["kind"], row["level"]) == (kind, level)]
        own = OWN.get(kind, "")
        flag = COUNTERPARTS.get(own, "")
        found.append(
            {
                "kind": kind,
                "level": level,
                "copies": len(rows),
                "own_tag": own,
                "with_own_tag": sum(has(row, own) for row in rows) if own else "",
                "with_any_tag": sum(bool(row["tags"]) for row in rows),
                "flag": flag,
                "with_flag": sum(row[flag] for row in rows) if flag else "",
            }
        )
    return found


def precision(copies: Sequence[Row], tag: str) -> tuple[int, int]:
    """How many copies that have a tag are of a kind that the tag names, and how many have it."""
    tagged = [row for row in copies if has(row, tag)]
    return sum(OWN.get(row["kind"]) == tag for row in tagged), len(tagged)


def write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def report(tags: Sequence[Row], pairs: Sequence[Row], kinds: Sequence[Row], copies: Sequence[Row]) -> str:
    """table.md."""

    def markdown(rows: Sequence[Row], names: Mapping[str, str]) -> str:
        body = tuple(cells(*(str(row[key]) for key in names)) for row in rows)
        return render(TextTable(tuple(names.values()), body), "markdown")

    def of(row: Row) -> Row:
        right, given = precision(copies, row["tag"])
        return {"tag": row["tag"], "given": given, "right": right}

    of_tags = {"tag": "tag or flag", "photos": "photos", "mean_mos": "mean MOS"}
    of_tags |= {"worst_quarter": "of the worst 150", "best_quarter": "of the best 150"}
    of_pairs = {key: key.replace("_", " ") for key in pairs[0]}
    of_kinds = {key: key.replace("_", " ") for key in kinds[0]}
    return "\n".join(
        (
            "# Tags beside cleanvision's flags",
            "",
            "On 600 development photographs of BIQ2021: how often each tag falls, and on photographs of",
            "which mean opinion (0 to 1). The thresholds were set by hand on these photographs, so this",
            "says what was chosen, not what to expect elsewhere.",
            "",
            markdown(tags, of_tags),
            "",
            "Tag and flag of the same fault on the same images: the photographs, and the Kodak photographs",
            "with their degraded copies.",
            "",
            markdown(pairs, of_pairs),
            "",
            "The Kodak photographs (level 0) and their degraded copies, from barely visible (1) to severe",
            "(5): how many have the tag that names the degradation, any tag at all, and cleanvision's flag",
            "for that fault, where it has one.",
            "",
            markdown(kinds, of_kinds),
            "",
            "Of these images, those that have a tag (given), and of them those whose degradation the tag",
            "names (right). What a photograph has at level 0 most of its copies have, too: a red door that",
            "fills the frame is a colour cast, a sky that is clipped is overexposed. Some of the others are",
            "right: low light at level 5 is strongly compressed, and so blocky.",
            "",
            markdown([of({"tag": tag}) for tag in TAGS], {"tag": "tag", "given": "given", "right": "right"}),
            "",
            f"Data: {DATA['photos']}. {DATA['pristine']}.",
            "",
        )
    )


def manifest(arguments: argparse.Namespace, output: Path) -> dict[str, Any]:
    """Where the numbers come from."""

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    asked = "import importlib.metadata as m; print(m.version('cleanvision'))"
    theirs = subprocess.run([arguments.python, "-c", asked], check=True, capture_output=True, text=True)
    names = (arguments.folder.name, arguments.pristine.name)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python scripts/compare_with_cleanvision.py {' '.join(names)} PYTHON",
        "zeroiqa": __version__,
        "rater": _rater().id,
        "thresholds_sha256": digest(ROOT / "zeroiqa" / "reasons.toml"),
        "cleanvision": theirs.stdout.strip(),
        "decoding": DecodePolicy().id,
        "python": platform.python_version(),
        "libraries": {
            name: importlib.metadata.version(name) for name in ("numpy", "opencv-python", "pillow")
        },
        "data": {**DATA, "mos_sha256": digest(arguments.folder / "mos.csv")},
        "seed": SEED,
        "files_sha256": {path.name: digest(path) for path in sorted(output.glob("*.csv"))},
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("pristine", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "reasons")
    arguments = parser.parse_args()
    with (arguments.folder / "mos.csv").open(newline="", encoding="utf-8") as file:
        mos = {row["image"]: float(row["mos"]) for row in csv.DictReader(file)}
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    photos = rate_photos(arguments.folder, list(mos), arguments.python)
    copies = rate_copies(arguments.pristine, arguments.python)
    tags, kinds = count_tags(photos, mos), count_kinds(copies)
    pairs = count_pairs({"photos": photos, "copies": copies})
    tables = {"photos": photos, "copies": copies, "tags": tags, "pairs": pairs, "kinds": kinds}
    for name, rows in tables.items():
        write(output / f"{name}.csv", rows)
    (output / "table.md").write_text(report(tags, pairs, kinds, copies), encoding="utf-8")
    (output / "manifest.json").write_text(
        json.dumps(manifest(arguments, output), indent=2) + "\n", encoding="utf-8"
    )
    print((output / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
