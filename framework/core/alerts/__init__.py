"""Alerts: what is wrong, since when, whom that concerns, and who is told; pure."""
