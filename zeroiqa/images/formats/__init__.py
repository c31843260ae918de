"""Walk the structure of each file format, drop its metadata, and decode the rare kinds that Pillow lacks."""
