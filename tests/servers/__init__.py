"""Servers of the tests, each a process of its own on the loopback interface."""
