"""Score images in memory: one, many, or the rows of a table."""
