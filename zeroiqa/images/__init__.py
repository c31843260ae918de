"""From what a user names to pixels: find, read, decode."""
