"""What is told and not done: indices beyond a guard, and the limits of caches that nodes have."""
from __future__ import annotations

from ..housekeeping_spec import Caches, Guards
from ..indices import IndexLook
from .findings import Act, Finding, finding

GUARDS, CACHES = "guards", "caches"
# What an index has that says nothing: Elasticsearch reference, "Index modules", "Mapping".
DEFAULTS = {"index.max_result_window": 10_000, "index.mapping.total_fields.limit": 1000}


def find_guards(rule: Guards, look: IndexLook) -> Finding:
    """Every index whose setting is beyond its guard; the settings stay as people have made them."""
    wanted = rule.limits()
    beyond = [Act(index.name, f"{key} is {found}, at most {limit}")
              for _, index in sorted(look.indices.items()) for key, limit in wanted.items()
              if (found := index.limits.get(key, DEFAULTS[key])) > limit]
    sees = f"{len(beyond)} settings of {len(look.indices)} indices are beyond a guard"
    if rule.request_mb is not None:
        sees += f"; nodes take requests of at most {rule.request_mb} MB"
    return finding(GUARDS, "", sees, leaves=beyond, advises=True)


def find_caches(rule: Caches) -> Finding:
    """What nodes are told."""
    told = ", ".join(f"{key} {value}" for key, value in sorted(rule.settings().items()))
    return finding(CACHES, "", told or "nothing is limited", advises=True)
