"""The images of a run with their scores as files for other tools: one file for each format."""
