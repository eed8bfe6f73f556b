"""Maps the top-level folders to the import names ``esaas.*``; the rest is in setup.cfg.

A plain top-level package named ``executor`` would clash with one on PyPI
(docs/adr/0001-layout-and-names.md).
"""
from setuptools import find_packages, setup

ROOMS = ("framework", "executor", "ui", "local", "sim")


def packages() -> list[str]:
    """Every package of every room, by its import name."""
    names = []
    for room in ROOMS:
        names.append(f"esaas.{room}")
        names += [f"esaas.{room}.{inner}" for inner in find_packages(room)]
    return names


setup(packages=packages(), package_dir={f"esaas.{room}": room for room in ROOMS})
