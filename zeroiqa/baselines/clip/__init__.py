"""CLIP as a baseline."""
