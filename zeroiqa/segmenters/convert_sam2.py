"""Where `python -m zeroiqa.segmenters.convert_sam2` went: `python -m zeroiqa.segmenters.sam2.convert`."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("zeroiqa.segmenters.sam2.convert", run_name="__main__", alter_sys=True)
