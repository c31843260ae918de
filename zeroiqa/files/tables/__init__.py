"""Read tables of every format that people bring, and write CSV."""
