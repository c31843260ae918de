"""Choose images of a run: groups, conditions, and what is done with the files that were chosen."""
