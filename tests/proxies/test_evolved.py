"""Champions that come with the package."""

import numpy as np
import pytest

from untrained.batches import load_batch
from untrained.proxies import PROXIES, Network, NoScore, parse_proxies
from untrained.proxies.champion import bound_champion, shipped
from untrained.spaces import SPACES

SPACE = SPACES["nasbench201"]
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
)
NAMES = ("evolved_layers", "evolved_width1", "evolved_both")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_champion_scores_as_its_file_and_ranks_as_it_should(name):
    batch = load_batch("normal", SPACE.task.input_shape, 2)
    networks = [Network(SPACE.graph(SPACE.parse(cell))) for cell in CELLS]
    scores = [PROXIES[name].bind()(network, batch) for network in networks]
    assert scores == [bound_champion(shipped(name))(network, batch) for network in networks]
    assert np.argmax(scores) == 0
    assert np.argmin(scores) == 2


def test_the_champion_of_layers_is_the_program_it_says():
    batch = load_batch("normal", SPACE.task.input_shape, 4)
    network = Network(SPACE.graph(SPACE.parse(CELLS[1])))
    (expression,) = parse_proxies("expr: layers_log_sum(min_eig(channel_correlation(in_noise)))")
    own = PROXIES["evolved_layers"].bind()
    assert own(network, batch) == expression(network, batch)
    assert "layers_log_sum(min_eig(channel_correlation(in_noise)))" in PROXIES["evolved_layers"].fn.__doc__


def test_files_say_how_champions_were_found():
    for name in NAMES:
        champion = shipped(name)
        assert champion.splits.discovery >= 80
        assert champion.splits.validation >= 100
        assert 0.5 < champion.fitness.validation < 0.9
        assert {"settings", "versions", "labels", "evaluations"} <= set(champion.made)


def test_without_a_path_there_is_no_score():
    empty = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    batch = load_batch("normal", SPACE.task.input_shape, 2)
    for name in NAMES:
        found = PROXIES[name].bind()(Network(SPACE.graph(empty)), batch)
        assert getattr(found, "value", found) is None


def test_no_score_is_raised_with_a_reason():
    network = Network(SPACES["nasbench_nlp"].graph(SPACES["nasbench_nlp"].sample(np.random.default_rng(0), 1)[0]))
    batch = load_batch("random_tokens", (35,), 2, vocabulary=10)
    with pytest.raises(NoScore):
        shipped("evolved_width1")(network, batch)
