"""A run as files for other tools: COCO, FiftyOne, XMP side-cars, Hugging Face image folders."""
