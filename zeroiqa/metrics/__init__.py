"""Agreement of numbers with numbers: pure functions of numpy and scipy."""
