"""NIQE as published: niqe:FILE with the parameters of its authors, niqe-kodak with ours."""
