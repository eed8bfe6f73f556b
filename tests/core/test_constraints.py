"""The constraint grammar: every operator, how rules are joined, and what people are told."""
from __future__ import annotations

import pytest
from esaas.framework.core.constraints import (
    Agent,
    Joined,
    Negation,
    Rule,
    counts_peers,
    from_lists,
    parse,
)
from esaas.framework.core.errors import SpecError

A = Agent("host-1", {"rack": "rack-1", "zone": "eu-west"})
B = Agent("host-2", {"rack": "rack-2", "zone": "eu-east"})
C = Agent("host-3", {"rack": "rack-1", "zone": "us-east"})


def allows(text: str, agent: Agent, *placed: Agent) -> bool:
    return parse(text).check(agent, placed).ok


@pytest.mark.parametrize(("text", "agent", "placed", "expected"), [
    ("hostname UNIQUE", A, [B], True),
    ("hostname UNIQUE", A, [B, A], False),
    ("rack UNIQUE", C, [A], False),
    ("rack CLUSTER rack-1", A, [], True),
    ("rack CLUSTER rack-1", B, [], False),
    ("rack CLUSTER", B, [], True),                   # the first one chooses for the others
    ("rack CLUSTER", B, [A], False),
    ("rack CLUSTER", C, [A], True),
    ("rack GROUP_BY", B, [A], True),
    ("rack GROUP_BY", A, [A, B], True),
    ("rack GROUP_BY", A, [A, A, B], False),
    ("rack GROUP_BY 3", A, [A, B], False),           # a third rack is known to be empty
    ("rack GROUP_BY 2", A, [A, B], True),
    ("zone LIKE eu-.*", A, [], True),
    ("zone LIKE eu", A, [], False),                  # the whole value, as in Marathon
    ("zone UNLIKE eu-.*", C, [], True),
    ("zone UNLIKE eu-.*", A, [], False),
    ("rack MAX_PER 2", A, [C], True),
    ("rack MAX_PER 2", A, [C, A], False),
    ("zone IS eu-west", A, [], True),
    ("zone IS eu-west", B, [], False),
])
def test_every_operator_answers_as_mesos_users_know_it(
        text: str, agent: Agent, placed: list[Agent], expected: bool) -> None:
    assert allows(text, agent, *placed) is expected


@pytest.mark.parametrize("name", ["hostname", "@hostname", "host"])
def test_the_host_has_three_names(name: str) -> None:
    assert allows(f"{name} IS host-1", A)


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    found = parse("rack IS a or not rack IS b and rack IS c")
    assert isinstance(found, Joined) and found.word == "or"
    inner = found.parts[1]
    assert isinstance(inner, Joined) and inner.word == "and"
    assert isinstance(inner.parts[0], Negation)


def test_brackets_group_and_words_may_be_in_any_case() -> None:
    text = "(rack IS rack-1 OR rack IS rack-2) And NOT zone like us-.*"
    assert [allows(text, agent) for agent in (A, B, C)] == [True, True, False]


def test_colons_are_marathons_own_spelling() -> None:
    assert parse("rack:GROUP_BY:3") == parse("rack GROUP_BY 3") == Rule("rack", "GROUP_BY", "3")
    assert parse("hostname:UNIQUE") == Rule("hostname", "UNIQUE")


@pytest.mark.parametrize(("text", "value"), [
    ('rack LIKE "(a|b) c"', "(a|b) c"), ("rack LIKE '(a|b)'", "(a|b)"),
    ("""rack IS "it's" """, "it's"), ("""rack IS "'a'" """, "'a'"), ("rack IS rack-1", "rack-1")])
def test_a_value_in_quotes_is_taken_as_it_stands(text: str, value: str) -> None:
    found = parse(text)
    assert isinstance(found, Rule) and found.value == value


@pytest.mark.parametrize("name", ["order", "android", "nothing", "not-ssd", "or.1", "is_ssd"])
def test_an_attribute_may_begin_like_a_word_of_the_grammar(name: str) -> None:
    assert parse(f"{name} IS x and {name} LIKE y") == Joined(
        "and", (Rule(name, "IS", "x"), Rule(name, "LIKE", "y")))


def test_marathons_lists_mean_the_same() -> None:
    text = from_lists([["rack", "GROUP_BY", "3"], ["hostname", "UNIQUE"], ["zone", "IS", "a b"]])
    assert parse(text) == Joined("and", (
        Rule("rack", "GROUP_BY", "3"), Rule("hostname", "UNIQUE"), Rule("zone", "IS", "a b")))


def test_a_value_in_marathons_lists_may_hold_quotes() -> None:
    assert parse(from_lists([["rack", "IS", 'a"b']])) == Rule("rack", "IS", 'a"b')
    with pytest.raises(SpecError, match="both kinds of quotes"):
        from_lists([["rack", "IS", "a\"'b"]])


@pytest.mark.parametrize(("text", "message"), [
    ("rack FOO 3", r"column 6:\nrack FOO 3\n     \^\nhere stands an operator: UNIQUE, CLUSTER"),
    ("rack LIKE", "LIKE needs a value, as in 'rack LIKE ...'"),
    ("rack UNLIKE", "UNLIKE needs a value"),
    ("rack IS", "IS needs a value"),
    ("rack MAX_PER", "MAX_PER needs a value"),
    ("rack MAX_PER none", "MAX_PER needs a number above 0, found 'none'"),
    ("rack MAX_PER 0", "MAX_PER needs a number above 0, found '0'"),
    ("rack MAX_PER \u00b2", "MAX_PER needs a number above 0"),
    ("rack GROUP_BY -1", "GROUP_BY needs a number above 0, found '-1'"),
    ("hostname UNIQUE 3", "UNIQUE takes no value, found '3'"),
    ("rack LIKE [", r"LIKE: '\[' is no regular expression"),
    ("rack UNLIKE *", "UNLIKE: '\\*' is no regular expression"),
    ("rack", "ends where more is expected"),
    ("hostname UNIQUE and", "ends where more is expected"),
    ("(hostname UNIQUE", "ends where more is expected"),
    ("hostname UNIQUE)", "column 16"),
    ("rack IS a rack IS b", "column 11"),
    ("and", "not a constraint"),
    ("not " * 5000 + "rack IS a", "nested too deeply"),
])
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(text)


@pytest.mark.parametrize(("text", "agent", "placed", "reason"), [
    ("disk IS ssd", A, [], "agent host-1 has no attribute 'disk'"),
    ("hostname UNIQUE", A, [A], "a node of the group is already on hostname host-1"),
    ("rack CLUSTER rack-2", A, [], "rack is rack-1, the group stays on rack-2"),
    ("rack GROUP_BY", A, [A, A, B], "rack rack-1 has 2 nodes, another has 1"),
    ("zone LIKE us-.*", A, [], "zone eu-west does not match us-.*"),
    ("zone UNLIKE eu-.*", A, [], "zone eu-west matches eu-.*"),
    ("rack MAX_PER 1", A, [C], "rack rack-1 has 1 of at most 1 nodes"),
    ("zone IS x", A, [], "zone is eu-west, not x"),
    ("not zone IS eu-west", A, [], "zone IS eu-west holds"),
    ("zone IS x or rack IS y", A, [], "zone is eu-west, not x; rack is rack-1, not y"),
])
def test_a_refusal_says_why(text: str, agent: Agent, placed: list[Agent], reason: str) -> None:
    assert parse(text).check(agent, placed).why() == reason


@pytest.mark.parametrize(("text", "expected"), [
    ("zone LIKE a", False), ("zone UNLIKE a or rack IS b", False), ("hostname UNIQUE", True),
    ("not (zone IS a and rack MAX_PER 2)", True), ("rack CLUSTER", True), ("a GROUP_BY", True)])
def test_only_some_operators_look_at_peers(text: str, expected: bool) -> None:
    assert counts_peers(parse(text)) is expected
