"""Servers that tests start as processes of their own and talk to over real HTTP."""
