"""Hosts of a data centre: machines, or network namespaces of one, made ready by one script."""
