"""The schedulers of ESAAS and the service around them."""
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("esaas")
except PackageNotFoundError:            # run from a tree that was never installed
    __version__ = "0+unknown"
