"""The constraint grammar of a node group, as Mesos users know it from Marathon.

``hostname UNIQUE and (rack GROUP_BY 3 or not zone LIKE "eu-.*")``: a field (``hostname`` or an
agent attribute), an operator, perhaps a value; joined by ``and``, ``or``, ``not`` and brackets.
``hostname:UNIQUE`` and Marathon's ``[["rack", "GROUP_BY", "3"]]`` mean the same.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from .errors import SpecError
from .offers.outcome import Outcome, all_of, any_of, failed, inverted, passed

GRAMMAR = r"""
    ?start: either
    ?either: both (_OR both)*
    ?both: unary (_AND unary)*
    ?unary: _NOT unary -> negation
          | "(" either ")"
          | FIELD ":"? OPERATOR (":"? value)? -> rule
    ?value: QUOTED | WORD
    _OR.4: /or(?![\w.@-])/i
    _AND.4: /and(?![\w.@-])/i
    _NOT.4: /not(?![\w.@-])/i
    OPERATOR.3: /(UNIQUE|CLUSTER|GROUP_BY|LIKE|UNLIKE|MAX_PER|IS)(?![\w.@-])/i
    FIELD.1: /[A-Za-z_@][\w.@-]*/
    QUOTED: /"[^"]*"/ | /'[^']*'/
    WORD: /[^\s()"':][^\s()"']*/
    %ignore /\s+/
"""
NEEDS_VALUE = {"LIKE", "UNLIKE", "MAX_PER", "IS"}
NEEDS_NUMBER = {"MAX_PER", "GROUP_BY"}


@dataclass(frozen=True, slots=True)
class Agent:
    """What constraints look at: a host name and attributes."""

    host: str
    attributes: Mapping[str, str]

    def field(self, name: str) -> str | None:
        """The value of a field, or None when the agent lacks the attribute."""
        if name in ("hostname", "@hostname", "host"):
            return self.host
        return self.attributes.get(name)


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``field OPERATOR value``."""

    field: str
    operator: str
    value: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.field, self.operator, self.value)))

    def check(self, agent: Agent, placed: Sequence[Agent]) -> Outcome:
        """Whether a further node may go to ``agent``, the others being on ``placed``."""
        mine = agent.field(self.field)
        if mine is None:
            return failed(str(self), f"agent {agent.host} has no attribute {self.field!r}")
        ok, why = _OPERATORS[self.operator](self, mine, Counter(
            value for other in placed if (value := other.field(self.field)) is not None))
        return passed(str(self)) if ok else failed(str(self), why)


def _unique(rule: Rule, mine: str, counts: Counter[str]) -> tuple[bool, str]:
    return not counts[mine], f"a node of the group is already on {rule.field} {mine}"


def _cluster(rule: Rule, mine: str, counts: Counter[str]) -> tuple[bool, str]:
    wanted = rule.value or next(iter(counts), mine)
    return mine == wanted, f"{rule.field} is {mine}, the group stays on {wanted}"


def _group_by(rule: Rule, mine: str, counts: Counter[str]) -> tuple[bool, str]:
    # With a number the groups are known to be so many; an unseen one counts as empty.
    seen = dict(counts) | {mine: counts[mine]}
    unseen = rule.value is not None and len(seen) < int(rule.value)
    lowest = 0 if unseen else min(seen.values())
    return counts[mine] <= lowest, (
        f"{rule.field} {mine} has {counts[mine]} nodes, another has {lowest}")


def _like(rule: Rule, mine: str, _: Counter[str]) -> tuple[bool, str]:
    return (re.fullmatch(rule.value or "", mine) is not None,
            f"{rule.field} {mine} does not match {rule.value}")


def _unlike(rule: Rule, mine: str, _: Counter[str]) -> tuple[bool, str]:
    return re.fullmatch(rule.value or "", mine) is None, f"{rule.field} {mine} matches {rule.value}"


def _max_per(rule: Rule, mine: str, counts: Counter[str]) -> tuple[bool, str]:
    return counts[mine] < int(rule.value or 0), (
        f"{rule.field} {mine} has {counts[mine]} of at most {rule.value} nodes")


def _is(rule: Rule, mine: str, _: Counter[str]) -> tuple[bool, str]:
    return mine == rule.value, f"{rule.field} is {mine}, not {rule.value}"


_OPERATORS = {"UNIQUE": _unique, "CLUSTER": _cluster, "GROUP_BY": _group_by, "LIKE": _like,
              "UNLIKE": _unlike, "MAX_PER": _max_per, "IS": _is}


@dataclass(frozen=True, slots=True)
class Joined:
    """``and`` or ``or`` of constraints."""

    word: str
    parts: tuple[Constraint, ...]

    def check(self, agent: Agent, placed: Sequence[Agent]) -> Outcome:
        """Whether all, or any, of the parts allow ``agent``."""
        outcomes = [part.check(agent, placed) for part in self.parts]
        return (all_of if self.word == "and" else any_of)(self.word, outcomes)


@dataclass(frozen=True, slots=True)
class Negation:
    """``not`` of a constraint."""

    part: Constraint

    def check(self, agent: Agent, placed: Sequence[Agent]) -> Outcome:
        """Whether the part refuses ``agent``."""
        return inverted("not", self.part.check(agent, placed))


Constraint = Rule | Joined | Negation


class _Build(Transformer[Token, Constraint]):
    def rule(self, items: list[Token]) -> Rule:
        field, operator = str(items[0]), str(items[1]).upper()
        value = _unquoted(items[2]) if len(items) > 2 else None
        return checked_rule(field, operator, value)

    def negation(self, items: list[Constraint]) -> Negation:
        return Negation(items[0])

    def both(self, items: list[Constraint]) -> Joined:
        return Joined("and", tuple(items))

    def either(self, items: list[Constraint]) -> Joined:
        return Joined("or", tuple(items))


def _unquoted(token: Token) -> str:
    return str(token)[1:-1] if token.type == "QUOTED" else str(token)


def counts_peers(constraint: Constraint) -> bool:
    """Whether the answer about an agent may change when a further node has been placed."""
    if isinstance(constraint, Joined):
        return any(counts_peers(part) for part in constraint.parts)
    if isinstance(constraint, Negation):
        return counts_peers(constraint.part)
    return constraint.operator not in ("LIKE", "UNLIKE", "IS")


def checked_rule(field: str, operator: str, value: str | None) -> Rule:
    """A rule whose operator and value fit; SpecError otherwise."""
    if operator not in _OPERATORS:
        raise SpecError(f"unknown operator {operator!r}; known: {', '.join(_OPERATORS)}")
    if operator in NEEDS_VALUE and not value:
        raise SpecError(f"{operator} needs a value, as in '{field} {operator} ...'")
    if operator == "UNIQUE" and value:
        raise SpecError(f"UNIQUE takes no value, found {value!r}")
    if operator in NEEDS_NUMBER and value and not re.fullmatch(r"[1-9][0-9]{0,8}", value):
        raise SpecError(f"{operator} needs a number above 0, found {value!r}")
    if operator in ("LIKE", "UNLIKE"):
        try:
            re.compile(value or "")
        except re.error as error:
            raise SpecError(f"{operator}: {value!r} is no regular expression: {error}") from error
    return Rule(field, operator, value)


_PARSER = Lark(GRAMMAR, parser="lalr", lexer="contextual")


@lru_cache(maxsize=1024)
def parse(text: str) -> Constraint:
    """Parse the text form.

    Raises SpecError with the place of the fault and a picture of it.
    """
    try:
        return _Build().transform(_PARSER.parse(text))
    except VisitError as error:
        if isinstance(error.orig_exc, SpecError):
            raise error.orig_exc from error
        raise
    except UnexpectedInput as error:
        raise SpecError(_place_of(error, text)) from error
    except RecursionError as error:
        raise SpecError("not a constraint: nested too deeply") from error
    except LarkError as error:
        raise SpecError(f"not a constraint: {error}") from error


def _place_of(error: UnexpectedInput, text: str) -> str:
    """Where the text is wrong, with a picture of it and what could stand there."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return f"not a constraint: {text!r} ends where more is expected"
    found = f"not a constraint, at column {error.column}:\n{error.get_context(text).rstrip()}"
    if "OPERATOR" in (getattr(error, "allowed", None) or getattr(error, "accepts", None) or ()):
        found += f"\nhere stands an operator: {', '.join(_OPERATORS)}"
    return found


def from_lists(rules: Sequence[Sequence[str]]) -> str:
    """Marathon's list of lists as text of this grammar."""
    return " and ".join(
        " ".join([str(rule[0]), str(rule[1])] + [_quoted(str(value)) for value in rule[2:3]])
        for rule in rules)


def _quoted(value: str) -> str:
    if '"' not in value:
        return f'"{value}"'
    if "'" in value:
        raise SpecError(f"a value cannot hold both kinds of quotes: {value}")
    return f"'{value}'"
