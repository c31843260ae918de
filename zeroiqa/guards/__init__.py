"""Bounds on what one file may take: time, memory, a process."""
