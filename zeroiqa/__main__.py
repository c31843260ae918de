"""`zeroiqa`, and `python -m zeroiqa`."""

from __future__ import annotations

from typing import NoReturn

from zeroiqa import console


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
