"""Clusters from a git repository: what stands there, what differs from what runs, and applying it.

A client of the API like ``discovery``: the service itself needs no access to any repository.
"""
