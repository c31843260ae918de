"""One training loop for all heads."""
