"""The operation log: every change and login, who asked, and what came of it."""
