"""`zeroiqa`, and `python -m zeroiqa`."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(
        signal.SIGINT, lambda *_: os._exit(130)
    )  # until `console` is there: no traceback of imports

from zeroiqa.guards import console


def main() -> NoReturn:
    """Run the command line; Ctrl-C is heard while it is loaded, too."""
    console.take_over()
    try:
        from zeroiqa.cli import main as command

        command()
    except KeyboardInterrupt:
        console.leave()


if __name__ == "__main__":
    main()
