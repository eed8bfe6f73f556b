"""A real Mesos 1.11.0 master and agent inside a Python process (docs/embedded-mesos.md).

``python -m esaas.local.embedded master|agent|agents`` are the daemons. This package imports
only the standard library: its helpers run once for every container of an agent.
"""
