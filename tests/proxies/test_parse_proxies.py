from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from untrained.errors import BadInputError, UnknownNameError
from untrained.proxies import PROXIES, Needs, parse_proxies, proxy
from untrained.types import Scope


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("epsinas", ["epsinas"]),
        ("epsinas()", ["epsinas"]),
        (" epsinas , params ", ["epsinas", "params"]),
        ("params,epsinas", ["params", "epsinas"]),
        ("epsinas(low=1e-7,high=1)", ["epsinas"]),
        ("epsinas(high=1,low=1e-07)", ["epsinas"]),
        ("epsinas(low=1e-4, high=10)", ["epsinas(low=0.0001,high=10)"]),
        ("epsinas(high=10,low=0.0001)", ["epsinas(low=0.0001,high=10)"]),
        ("epsinas(dtype=float64),flops", ["epsinas(dtype=float64)", "flops"]),
        ("epsinas,epsinas(low=1e-5)", ["epsinas", "epsinas(low=1e-05)"]),
    ],
)
def test_text_has_one_canonical_form(text: str, canonical: list[str]) -> None:
    assert [bound.text for bound in parse_proxies(text)] == canonical
    assert [bound.text for bound in parse_proxies(",".join(canonical))] == canonical


@pytest.mark.parametrize("low", [1e-7, 0.1, 1 / 3, 1.0000000000001, 123456789.123456789, 5e-324, 1e22])
def test_the_canonical_text_means_the_same_numbers(low: float) -> None:
    bound = PROXIES["epsinas"].bind(low=low)
    assert parse_proxies(bound.text)[0].parameters == bound.parameters


def test_different_parameters_have_different_texts() -> None:
    texts = {PROXIES["epsinas"].bind(low=low).text for low in (0.1, 0.1 + 1e-16, 0.1 + 1e-13, 0.1 + 1e-9)}
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no proxy given"),
        (" , ,", "no proxy given"),
        ("epsinas(", "cannot read proxy 'epsinas\\('"),
        ("epsinas)", "cannot read proxy 'epsinas\\)'"),
        ("1epsinas", "cannot read proxy '1epsinas'"),
        ("epsinas params", "cannot read proxy 'epsinas params'"),
        ("epsinas(low=1e-7))", "proxy epsinas: parameter low is a number, got '1e-7\\)'"),
        ("epsinas(low)", "proxy epsinas: cannot read parameter 'low'. Write name=value"),
        ("epsinas(low=)", "proxy epsinas: cannot read parameter 'low='"),
        ("epsinas(weight=1)", "proxy epsinas has no parameter 'weight'. Parameters and defaults: low=1e-07, high=1.0"),
        ("params(low=1)", "proxy params has no parameter 'low'. Parameters and defaults: none"),
        ("epsinas(low=tiny)", "proxy epsinas: parameter low is a number, got 'tiny'"),
        ("epsinas(dtype=64)", "proxy epsinas: parameter dtype is a word, got 64"),
        ("epsinas(low=-1)", "low must be a positive finite weight"),
        ("params,params", "proxy params is given twice"),
        ("epsinas,epsinas(high=1)", "proxy epsinas is given twice"),
        ("epsinas(low=1e-7,low=1e-5)", "low"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        parse_proxies(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("typed", "meant"), [("epsins", "epsinas"), ("param", "params"), ("liveflops", "live_flops")])
def test_an_unknown_proxy_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(
        UnknownNameError, match=f"unknown proxy '{typed}'. Did you mean '{meant}'[?] `untrained proxies`"
    ):
        parse_proxies(f"params,{typed}(x=1)")


def test_the_decorator_reads_name_summary_and_parameters() -> None:
    @proxy(version=3, needs=Needs.GRAPH, scope=Scope.KEY, cite="nobody", higher_is_better=False)
    def scaled(network: Any, batch: Any, *, times: float = 2.0, how: str = "up") -> float:
        """Multiplies
        things.

        At length.
        """
        return times if how == "up" else -times

    assert (scaled.name, scaled.version, scaled.summary) == ("scaled", 3, "Multiplies things.")
    assert scaled.parameters == {"times": 2.0, "how": "up"}
    assert not scaled.higher_is_better
    bound = scaled.bind(how="down", times=5)
    assert bound.text == "scaled(times=5,how=down)"
    assert bound(None, None) == -5  # type: ignore[arg-type]


def test_a_check_of_parameters_is_called_with_all_of_them() -> None:
    seen: list[dict[str, Any]] = []

    def check(**parameters: Any) -> None:
        seen.append(parameters)

    @proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite="nobody", check=check)
    def checked(network: Any, batch: Any, *, a: float = 1.0, b: float = 2.0) -> float:
        """Checked."""
        return a + b

    checked.bind(b=3.0)
    assert seen == [{"a": 1.0, "b": 3.0}]


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_proxies_are_frozen_and_say_where_they_come_from(name: str) -> None:
    found = PROXIES[name]
    with pytest.raises(FrozenInstanceError):
        found.version = 99  # type: ignore[misc]
    assert found.cite
    assert found.summary.endswith(".")
    assert found.version >= 1
    assert replace(found) == found
