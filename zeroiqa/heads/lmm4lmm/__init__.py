"""LMM4LMM: InternVL2.5 with a regression head, for the perception, correspondence and answers of images."""
