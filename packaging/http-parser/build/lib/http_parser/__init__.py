"""Stands in for the PyPI distribution http-parser, which does not build on Python 3.11."""
