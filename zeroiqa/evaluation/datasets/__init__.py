"""Databases of images with human scores, in the layouts in which they are published."""
