"""Limit what one image may take: time, memory, a process, the results of the others."""
