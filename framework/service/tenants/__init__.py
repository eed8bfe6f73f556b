"""Tenants: their records, their quota here and on the master, and what counts against it."""
