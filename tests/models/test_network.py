"""Networks: reckoned by hand, written and read, held within what they have seen, and trained by a right gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import learned
from models.network import Network
from scripts.network_training import Training, _slopes, train


def by_hand() -> Network:
    # One tanh unit on the difference of two inputs, doubled and lifted by one half; a second network that says zero.
    active = ((np.array([[1.0], [-1.0]]), np.zeros(1)), (np.array([[2.0]]), np.array([0.5])))
    silent = ((np.zeros((2, 1)), np.zeros(1)), (np.zeros((1, 1)), np.zeros(1)))
    bounds = np.full(2, 2.0)
    return Network(
        centre=np.array([1.0, 0.0]), scale=np.array([2.0, 1.0]), low=-bounds, high=bounds, members=(active, silent)
    )


def test_the_mean_of_two_networks():
    # Inputs (3, 0.25) are (1, 0.25) standardised; tanh(0.75)·2 + 0.5 from one, 0 from the other.
    assert by_hand()([3.0, 0.25]) == pytest.approx([0.5 * (2.0 * np.tanh(0.75) + 0.5)])


def test_inputs_beyond_the_range_seen_count_as_its_end_and_are_unfamiliar():
    network = by_hand()
    assert network([100.0, 0.0]) == pytest.approx(network([5.0, 0.0]))
    assert network.familiarity([5.0, 0.0]) == 1.0
    # One deviation beyond the end, at a fading of one half: exp(−4).
    assert network.familiarity([7.0, 0.0]) == pytest.approx(np.exp(-4.0))


def test_what_is_written_is_read_back():
    network = by_hand()
    again = Network.from_text(network.to_text())
    inputs = np.array([[0.3, -0.7], [2.0, 1.5]])
    assert again(inputs) == pytest.approx(network(inputs), abs=2e-3)
    with pytest.raises(ValueError, match="numbers that its first line announces"):
        Network.from_text(network.to_text().replace("2 2 1 1", "1 2 1 1"))


@pytest.mark.parametrize("text", [learned.KV_CONTENTION, learned.LAWS], ids=["KV_CONTENTION", "LAWS"])
def test_the_shipped_networks_are_finite(text: str):
    network = Network.from_text(text)
    for inputs in (network.centre, network.centre + 100.0 * network.scale, network.centre - 100.0 * network.scale):
        assert np.isfinite(network(inputs)).all()


@given(seed=st.integers(0, 1000))
def test_the_gradient_is_that_of_finite_differences(seed: int):
    rng = np.random.default_rng(seed)
    z, low = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    high, gates = low + rng.uniform(0.0, 0.5, (7, 2)), rng.uniform(0.2, 1.0, 7)
    numbers = [rng.normal(size=shape) for shape in ((3, 4), (4,), (4, 4), (4,), (4, 2), (2,))]

    def loss() -> float:
        values = np.tanh(np.tanh(z @ numbers[0] + numbers[1]) @ numbers[2] + numbers[3])
        output = gates[:, None] * (values @ numbers[4] + numbers[5])
        error = np.minimum(output - low, 0.0) + np.maximum(output - high, 0.0)
        return float(np.log(0.1 + np.sqrt(error**2 + 0.02**2) - 0.02).mean())

    for number, slope in zip(numbers, _slopes(numbers, z, low, high, gates), strict=True):
        at = tuple(int(rng.integers(size)) for size in number.shape)
        kept, move = number[at], 1e-6
        number[at] = kept + move
        above = loss()
        number[at] = kept - move
        difference = (above - loss()) / (2.0 * move)
        number[at] = kept
        assert slope[at] == pytest.approx(difference, abs=2e-5)


def test_training_learns_a_curve():
    x = np.linspace(-2.0, 2.0, 400)[:, None]
    y = np.sin(2.0 * x)
    network = train(x, y, y, np.ones(400), Training(hidden=(16,), members=1, steps=1500, decay=1e-4, jobs=1))
    assert np.abs(network(x) - y).mean() < 0.05
