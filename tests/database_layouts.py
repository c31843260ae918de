"""The published layouts of databases, made of tiny images: each function fills a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from scipy.io import savemat

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""One pixel. Readers go by names, decoders by content."""

EVALMI_MODELS = ("DALLE3", "ELLA")
AIGCIQA_MODELS = ("Controlnet", "DALLE", "Glide", "Lafite", "stable-diffusion", "Unidiffuser")


def put(root: Path, names: Iterable[str]) -> None:
    """Write an image under each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GIF)


def put_csv(path: Path, *rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def put_xlsx(path: Path, *rows: Sequence[object], sheet: str = "Sheet1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    assert book.active is not None
    book.active.title = sheet
    for row in rows:
        book.active.append(list(row))
    book.save(path)


def koniq10k(root: Path, *, sets: bool = True, scores: bool = True, zscore: bool = False) -> None:
    names = ("100.jpg", "200.jpg", "300.jpg", "400.jpg")
    put(root / "1024x768", names)
    put(root / "512x384", names)
    if sets:
        splits = ("training", "validation", "test", "test")
        head = ("image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "set")
        rows = [
            (name, 0, 0, 0.2, 0.7, 0.1, 105, 20.5 * (n + 1), 0.5, splits[n]) for n, name in enumerate(names)
        ]
        put_csv(root / "koniq10k_distributions_sets.csv", head, *rows)
    if scores:
        head = ("image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD")
        head += ("MOS_zscore",) if zscore else ()
        more = (77.0,) if zscore else ()
        rows = [(name, 0, 0, 20, 70, 10, 100, 1.25 + n, 0.5, *more) for n, name in enumerate(names)]
        put_csv(root / "koniq10k_scores_and_distributions.csv", head, *rows)


def spaq(root: Path) -> None:
    put(root / "Dataset" / "TestImage", ("00001.jpg", "00002.jpg", "00003.jpg"))
    rows = [(f"{n:05d}.jpg", 30.25 * n, 50, 60) for n in (1, 2, 3)]
    put_xlsx(
        root / "Annotations" / "MOS and Image attribute scores.xlsx",
        ("Image name", "MOS", "Brightness", "Noisiness"),
        *rows,
    )


def livec(root: Path) -> None:
    training, rated = [f"t{n}.bmp" for n in range(1, 8)], ["10.bmp", "11.JPG", "12.bmp"]
    put(root / "Images" / "trainingImages", training)
    put(root / "Images", ("10.bmp", "11.jpg", "12.BMP"))
    names = np.array([*training, *rated], dtype=object).reshape(-1, 1)
    scores = np.arange(10.0, 110.0, 10.0).reshape(1, -1)
    (root / "Data").mkdir()
    savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": names})
    savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": scores})


def kadid10k(root: Path) -> None:
    references, kinds = ("I01", "I02", "I03"), ("01", "25")
    put(root / "images", (f"{reference}.png" for reference in references))
    names = [
        f"{reference}_{kind}_{level:02d}.png"
        for reference in references
        for kind in kinds
        for level in (1, 5)
    ]
    put(root / "images", names)
    rows = [(name, f"{name[:3]}.png", 4.57 if "_01.png" in name else 1.2, 0.3) for name in names]
    put_csv(root / "dmos.csv", ("dist_img", "ref_img", "dmos", "var"), *rows)


def tid2013(root: Path) -> None:
    put(root / "distorted_images", ("i01_01_1.bmp", "I01_24_5.BMP", "i25_08_3.bmp"))
    lines = ("5.51429 I01_01_1.bmp", "0.24194 i01_24_5.bmp", "3.55556 I25_08_3.bmp")
    (root / "mos_with_names.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


def csiq(root: Path, *, text: bool = False) -> None:
    names = ("1600.AWGN.1.png", "1600.jpeg2000.5.png", "snow_leaves.contrast.2.png")
    for name in names:
        put(root / "dst_imgs" / name.split(".")[1].lower(), (name,))
    if text:
        lines = (f"{name}\t0.{n}25" for n, name in enumerate(names))
        (root / "csiq_label.txt").write_text("\n".join(lines), encoding="ascii")
        return
    put_xlsx(
        root / "csiq.DMOS.xlsx",
        ("CSIQ DMOS",),
        (),
        (),
        (None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"),
        (None, None, None, 1600, 1, "noise", 1, 0.05, 0.025),
        (None, None, None, 1600, 4, "jpeg 2000", 5, 0.05, 0.125),
        (None, None, None, "snow_leaves", 6, "contrast", 2, 0.05, 0.225),
        sheet="all_by_image",
    )


def agiqa3k(root: Path) -> None:
    names = ("AttnGAN_normal_000.jpg", "sd1.5_lowcorr_000.jpg", "sd1.5_lowcorr_001.jpg")
    put(root / "images", names)
    head = ("name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align", "std_align")
    rows = [
        (
            name,
            "a cat, asleep" if "000" in name else "a dog",
            "",
            "",
            ("", "anime style")[n > 0],
            1.5 + n,
            0.2,
            0.5 + n,
            0.6,
        )
        for n, name in enumerate(names)
    ]
    put_csv(root / "data.csv", head, *rows)


def aigiqa20k(root: Path) -> None:
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        names = [f"DALLE2_{len(split)}{n:03d}.png" for n in range(count)]
        put(root / split, names)
        rows = [(name, f"a {split} picture", 2.5) for name in names]
        put_csv(root / f"info_{split}.csv", ("name", "prompt", "mos"), *rows)


def aigciqa2023(root: Path, *, allimg: bool = False, prompts: bool = True) -> None:
    """Two prompts, so 8 images of each model and 48 in all; score n of quality is n."""
    each = 8
    if allimg:
        put(root / "Image" / "allimg", (f"{n}.png" for n in range(6 * each)))
    else:
        for model in AIGCIQA_MODELS:
            put(root / "Image" / model, (f"{n}.png" for n in range(each)))
    (root / "DATA" / "MOS").mkdir(parents=True)
    for number, first in ((1, 0.0), (2, 10.0), (3, 20.0)):
        values = (np.arange(6.0 * each) + first).reshape(-1, 1)
        savemat(root / "DATA" / "MOS" / f"mosz{number}.mat", {"MOSz": values})
    if prompts:
        rows = (("Animals", "Basic", "a cat"), ("Food", "Complex", "a pear"))
        put_xlsx(root / "AIGCIQA2023_Prompts.xlsx", *rows)


def evalmi50k(root: Path, *, questions: bool = True, numbers: Sequence[int] = (0, 1, 2)) -> None:
    names = [f"{model}/{n:03d}.png" for model in EVALMI_MODELS for n in numbers]
    put(root / "images", names)
    head = ("ImageName", "MOS1", "MOS2", "Y/N", "YN_1", "YN_2", "YN_3", "YN_4")
    rows = [
        (
            name,
            20.5 + n,
            60.5 - n,
            n % 2,
            *((1, 0) if name.endswith(f"{numbers[-1]:03d}.png") else (None, None)),
        )
        for n, name in enumerate(names)
    ]
    put_xlsx(root / "MOS&QA" / "AIGI2025_MOS_yn.xlsx", head, *rows)
    if questions:
        asked = [
            (f"prompt {n}", f"Is it {n}?", f"Is it red {n}?", f"Is it big {n}?") for n in range(len(numbers))
        ]
        put_xlsx(
            root / "MOS&QA" / "question.xlsx", ("prompt", "question_1", "question_2", "question_3"), *asked
        )
        tasks = "\n".join(f'{{"tag": "task {n}", "prompt": "prompt {n}"}}' for n in range(len(numbers)))
        (root / "prompt_tasks.jsonl").write_text(tasks, encoding="utf-8")


def biq2021(root: Path) -> None:
    train, test = ("ss01 (1).jpg", "ss02 (17).jpg", "ss03 (1).jpg"), ("ss01 (2).JPG", "ss03 (5).jpg")
    put(root / "Images", (*train, *test))
    head = ("Image Name", "MOS")
    put_csv(root / "Train (Images and MOS).csv", head, *((name, 0.25) for name in train))
    put_csv(root / "Test (Images and MOS).csv", head, *((name, 0.75) for name in ("ss01 (2).jpg", test[1])))
