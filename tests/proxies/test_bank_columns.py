"""Names of columns, and what they are computed from."""

import numpy as np
import pytest

from untrained.engine.bank import bank
from untrained.errors import BadInputError
from untrained.graphs.modes import DEFAULT_MODES, Mode
from untrained.proxies import Network, NoScore
from untrained.proxies.bank_columns import Input, parse_column, protocol_of
from untrained.proxies.statistics import NAMES
from untrained.proxies.terminals import LAYER_TERMINALS, TERMINALS, values_of
from untrained.proxies.width1_statistics import columns
from untrained.spaces import SPACES
from untrained.types import Status

SPACE = SPACES["nasbench201"]


def test_every_column_of_a_bank_is_read_from_its_name(cells: dict[str, str]) -> None:
    made = bank(SPACE, [cells["full"]], inputs=["normal", "grey_ramp"], batch_size=8, stages=True, workers=1)
    names = list(made.columns)
    assert len(names) > 100
    protocol = protocol_of(names, [Input("normal", 8), Input("grey_ramp", 8)])
    found = protocol.values(Network(SPACE.graph(SPACE.parse(cells["full"]))))[0]
    expected = made.frame.select(names).to_numpy().astype(float)[0]
    np.testing.assert_array_equal(found, expected)


def test_no_more_modes_are_run_than_named() -> None:
    found = protocol_of(["eps_relu_lin__normal", "cv_full__grey_ramp", "depth"])
    assert [(one.input.name, [mode.name for mode in one.modes]) for one in found.readings] == [
        ("normal", ["relu", "lin"]),
        ("grey_ramp", ["full"]),
    ]


@pytest.mark.parametrize("modes", [DEFAULT_MODES, (Mode(norm=False, mean_filters=False), Mode(relu=False, gain=2.5))])
def test_names_of_all_modes_are_read(modes: tuple[Mode, ...]) -> None:
    for column in columns(modes):
        found = parse_column(f"{column.name}__uniform_01__stage3")
        assert found is not None
        assert ([mode.name for mode in found.modes], found.input, found.stage) == ([*column.modes], "uniform_01", 3)


@pytest.mark.parametrize(
    "name",
    [
        "", "eps", "eps_relu__normal", "eps_relu_relu__normal", "eps_lin_relu__normal", "cv_relu_lin__normal",
        "cv_relu", "cv_relu__mine", "cv_relu1__normal", "cv_sum__normal", "cv_relu__normal__stage", "ev_relu__normal",
        "cv_relu__normal__stage01", "live_", "live_conv", "live_conv3", "dead_conv3x3", "cv_relu__normal ",
    ],
)  # fmt: skip
def test_what_no_bank_has_is_none(name: str) -> None:
    assert parse_column(name) is None
    assert name not in TERMINALS


def test_terminals_of_layers_are_the_statistics() -> None:
    assert [*NAMES, "weight_grad_loss"] == list(LAYER_TERMINALS)
    assert all(name in TERMINALS for name in TERMINALS)
    assert len(TERMINALS) == len(set(TERMINALS))


def test_texts_and_images_do_not_mix(cells: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="no network reads both"):
        protocol_of(["cv_full__normal", "cv_full__random_tokens"])
    network = Network(SPACE.graph(SPACE.parse(cells["full"])))
    for name in ("cv_full__random_tokens", "response_full__random_tokens"):
        with pytest.raises(NoScore, match="for networks that read texts, and this one reads images") as raised:
            values_of(network, None, [name])  # type: ignore[arg-type]
        assert raised.value.status is Status.UNSUPPORTED


def test_texts_are_read_where_networks_read_texts() -> None:
    space = SPACES["nasbench_nlp"]
    (arch,) = space.sample(np.random.default_rng(0), 1)
    found = values_of(Network(space.graph(arch)), None, ["response_full__random_tokens", "cv_full__random_tokens"])  # type: ignore[arg-type]
    response, dispersion = found.values()
    assert response.std() / abs(response.mean()) == pytest.approx(float(dispersion), rel=1e-6)


def test_an_undefined_column_is_named(cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["full"])))
    with pytest.raises(NoScore, match="eps_relu_lin__ones is undefined for this network") as raised:
        values_of(network, None, ["eps_relu_lin__ones"])  # type: ignore[arg-type]
    assert raised.value.status is Status.UNDEFINED


def test_powers_of_two_are_put_back_or_refused() -> None:
    from untrained.graphs.graph import GraphBuilder

    def deep(n: int) -> Network:
        b = GraphBuilder((1, 4, 4))
        x = b.input
        for _ in range(n):
            x = b.conv(x, 1, kernel=1)
        return Network(b.build([b.global_avg_pool(x)]))

    plain, scaled = (
        values_of(deep(200), None, [name])[name] for name in ("response_lin__normal", "response_lin8__normal")
    )  # type: ignore[arg-type]
    np.testing.assert_allclose(scaled, np.ldexp(plain, 600), rtol=1e-5)
    with pytest.raises(NoScore, match=r"response_lin8__normal is about 2\*\*15.., which float64 cannot hold") as raised:
        values_of(deep(500), None, ["response_lin8__normal"])  # type: ignore[arg-type]
    assert raised.value.status is Status.NONFINITE
