"""Read and write files on the disk and in object stores, also damaged ones."""
