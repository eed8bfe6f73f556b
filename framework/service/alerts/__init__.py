"""Alerts of all clusters: evaluated, stored, sent, shown."""
