"""The exceptions of the data centre in a box."""

from __future__ import annotations

from collections.abc import Sequence


class LocalError(Exception):
    """Something cannot be done; the text is for people and lists every problem found."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.message = message
        self.problems = list(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in problems)]))
