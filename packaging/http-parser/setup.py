"""A local distribution that satisfies pymesos' dependency (docs/adr/0002-http-parser.md)."""
from setuptools import setup

setup()
