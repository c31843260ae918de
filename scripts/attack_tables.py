"""The tables of the attack_*.py scripts, each with its manifest beside it."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zeroiqa
from zeroiqa.runs.identity import environment
from zeroiqa.settings import load_settings


def write(target: Path, table: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """Write TARGET.csv, and TARGET.manifest.json: the facts, the day, the machine and the versions."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    manifest = {
        **facts,
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "environment": environment(load_settings("embedded")),
    }
    target.with_suffix(".manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
