"""Files whoever wrote them: on the disk and in object stores, damaged or whole."""
