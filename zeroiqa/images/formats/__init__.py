"""What decoders are not asked about: metadata, structure and rare pixels of each file format."""
