"""Several processes that share a training, as on a machine with several GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def in_two_processes(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Start a script, or `-m` and a module, with its arguments, twice."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launch, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
