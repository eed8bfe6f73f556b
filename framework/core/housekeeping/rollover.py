"""Rollover: when the index that an alias writes into is to be followed by a new one.

For versions without a life cycle of their own, or where a simple rule is enough. Source:
Elasticsearch reference of 6.8, "Rollover index".
"""
from __future__ import annotations

import re

from ..housekeeping_spec import Rollover
from ..indices import Index, IndexLook
from .findings import Act, Finding, amount, finding, span

POLICY = "rollover"
NUMBERED = re.compile(r".*-\d+")    # Elasticsearch then knows the name of the next one


def find(rule: Rollover, look: IndexLook) -> Finding:
    """Whether it is time, and by which figures."""
    alias = look.aliases.get(rule.alias)
    if alias is None:
        what = "is the name of an index" if rule.alias in look.indices else "is not there"
        return finding(POLICY, rule.alias, f"the alias {rule.alias} {what}")
    index = look.indices.get(alias.writes or "")
    if index is None:
        return finding(POLICY, rule.alias, f"{rule.alias} has {len(alias.indices)} indices, and "
                       "says of none that it is written to (is_write_index): without that, the "
                       "older ones would leave the alias")
    why_not = _not_because(index)
    sees = _figures(index, look.at)
    if why_not:
        return finding(POLICY, rule.alias, sees, leaves=[Act(index.name, why_not)])
    due = reasons(rule, index, look.at)
    acts = [Act(index.name, ", ".join(due))] if due else []
    return finding(POLICY, rule.alias, sees, acts)


def _figures(index: Index, now: float) -> str:
    documents = index.documents if index.documents is not None else "an unknown number of"
    size = amount(index.primary_mb) if index.primary_mb is not None else "an unknown size"
    return (f"{index.name} is {span(now - index.created_at)} old and has {documents} documents, "
            f"{size}")


def _not_because(index: Index) -> str:
    if index.managed:
        return "Elasticsearch's own life cycle looks after it"
    if index.documents is None or index.primary_mb is None:
        return "it is closed, or a primary of it has not started"
    if not index.documents:
        return "it is empty: what comes after it would be, too"
    if not NUMBERED.fullmatch(index.name):
        return "its name does not end in - and a number, so nobody knows the name of the next one"
    return ""


def reasons(rule: Rollover, index: Index, now: float) -> list[str]:
    """The limits that an index has reached."""
    found, age_s = [], now - index.created_at
    if rule.max_age_s is not None and age_s >= rule.max_age_s:
        found.append(f"{span(age_s)} old, at most {span(rule.max_age_s)}")
    if rule.max_size_mb is not None and (index.primary_mb or 0) >= rule.max_size_mb:
        found.append(f"{amount(index.primary_mb or 0)}, at most {amount(rule.max_size_mb)}")
    if rule.max_documents is not None and (index.documents or 0) >= rule.max_documents:
        found.append(f"{index.documents} documents, at most {rule.max_documents}")
    return found


def conditions(rule: Rollover) -> dict[str, str | int]:
    """The same limits in Elasticsearch's words: it looks at them again itself."""
    found: dict[str, str | int] = {}
    if rule.max_age_s is not None:
        found["max_age"] = f"{rule.max_age_s}s"
    if rule.max_size_mb is not None:
        found["max_size"] = f"{rule.max_size_mb}mb"
    if rule.max_documents is not None:
        found["max_docs"] = rule.max_documents
    return found
