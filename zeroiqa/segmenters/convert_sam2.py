"""Where `python -m zeroiqa.segmenters.convert_sam2` went: `python -m zeroiqa.segmenters.sam2.convert`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from zeroiqa.segmenters.sam2.convert import main

    sys.exit(main(sys.argv[1:]))
