"""Flags as upstream's main() reads them."""

import pytest
from esaas.local.embedded.errors import EmbeddedError
from esaas.local.embedded.flags import Flags, arguments, nanoseconds, zookeeper_url


def test_the_command_line_wins_over_the_environment() -> None:
    flags = Flags(["--port=7", "--quiet", "--no-strict"], {"MESOS_PORT": "5", "MESOS_IP": "::"})
    assert [flags.get(n) for n in ("port", "ip", "quiet", "strict", "zk")] == [
        "7", "::", "true", "false", None,
    ]  # fmt: skip
    assert flags.text("zk", "none") == "none"


def test_a_flag_that_is_needed_is_named_when_absent() -> None:
    with pytest.raises(EmbeddedError, match="--quorum is needed with --zk"):
        Flags([], {}).need("quorum", " with --zk")


def test_the_network_layer_gets_its_variables() -> None:
    environment = {"MESOS_IP": "127.0.0.1"}
    Flags(["--port=5055"], environment).export_network("5050")
    assert environment["LIBPROCESS_IP"] == "127.0.0.1"
    assert environment["LIBPROCESS_PORT"] == "5055"


def test_all_unsupported_flags_are_named_at_once() -> None:
    with pytest.raises(EmbeddedError, match="--modules, --hooks"):
        Flags(["--hooks=a", "--modules=b"], {}).export_network("5050")


@pytest.mark.parametrize(
    ("text", "ns"),
    [("15secs", 15 * 10**9), ("1.5mins", 90 * 10**9), ("10ms", 10**7), ("7ns", 7)],
)
def test_durations(text: str, ns: int) -> None:
    assert nanoseconds(text) == ns


@pytest.mark.parametrize("text", ["", "15", "secs", "a secs"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(EmbeddedError, match="not a duration"):
        nanoseconds(text)


def test_zookeeper_urls() -> None:
    assert zookeeper_url("zk://h:1,i:2/mesos") == ("h:1,i:2", "/mesos", None)
    assert zookeeper_url("zk://u:p@h:1/a/b") == ("h:1", "/a/b", "u:p")
    with pytest.raises(EmbeddedError):
        zookeeper_url("http://h:1/")


def test_arguments() -> None:
    assert arguments({"ip": "1", "work_dir": "/a b"}) == ["--ip=1", "--work_dir=/a b"]
