"""SAM 2 as a segmenter: by the official package or by transformers."""
