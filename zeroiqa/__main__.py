"""`python -m zeroiqa`."""

from zeroiqa.cli import main

if __name__ == "__main__":
    main()
