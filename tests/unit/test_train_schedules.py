"""Learning rates by hand, and the gamma that follows from them."""

import math

import pytest

from flipflow.config import OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train.schedules import learning_rate_factor, learning_rate_sum, resolve_gamma

# OvSW's recipe on CIFAR-100, 60 epochs of 195 full batches of 256; and on ImageNet, 200 epochs of 2,502 batches of 512.
PAPER = TrainConfig(epochs=60, batch_size=256, schedule="cosine-epoch", warmup_epochs=5, lr=0.1, momentum=0.9)
IMAGENET = PAPER.model_copy(update={"epochs": 200, "batch_size": 512})


def test_schedule_by_hand() -> None:
    config = TrainConfig(epochs=3, warmup_epochs=1)
    # 4 steps an epoch: warm-up 1/4, 2/4, 3/4, 1, then 8 steps of half a cosine from 1 (0.5 in its middle).
    factors = [learning_rate_factor(config, step, 4) for step in range(12)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[8] == pytest.approx(0.5)
    assert factors == [*factors[:4], *sorted(factors[4:], reverse=True)]
    linear = TrainConfig(epochs=3, warmup_epochs=1, schedule="linear")
    assert learning_rate_factor(linear, 6, 4) == 0.75


def test_the_papers_schedule_by_hand() -> None:
    # 0.1 (e+1)/5 for e < 5, then 0.05 (1 + cos(pi (e-5)/(E-5))) + 1e-5; two steps an epoch.
    config = PAPER.model_copy(update={"epochs": 9})
    rates = [0.1 * learning_rate_factor(config, step, 2) for step in range(18)]
    assert rates[0::2] == rates[1::2]
    wanted = [0.02, 0.04, 0.06, 0.08, 0.1, 0.10001, 0.05 + 0.05 * math.sqrt(0.5) + 1e-5, 0.05001]
    assert rates[0:16:2] == pytest.approx(wanted, rel=1e-12)
    assert rates[16] == pytest.approx(0.05 - 0.05 * math.sqrt(0.5) + 1e-5, rel=1e-12)
    assert 0.1 * learning_rate_factor(config, 18, 2) == pytest.approx(1e-5)  # asked for after the last step


def test_sum_of_rates_by_hand() -> None:
    # Warm-up 0.3; a half cosine sampled at 0..54 of 55 sums to 55/2 + 1/2; 55 times 1e-5. 195 steps each.
    assert learning_rate_sum(PAPER, 195) == pytest.approx(195 * (0.3 + 0.1 * 28 + 55e-5), rel=1e-9)


def test_auto_gamma_is_the_papers_where_the_run_is_the_papers() -> None:
    assert resolve_gamma(PAPER, OvswConfig(gamma="auto"), 195).gamma == pytest.approx(9e-4, rel=0.01)
    # Its ImageNet setting, 2e-5, follows from the same rule; this is why the rule is believed.
    assert resolve_gamma(IMAGENET, OvswConfig(gamma="auto"), 2502).gamma == pytest.approx(2e-5, rel=0.1)


def test_auto_gamma_follows_the_run() -> None:
    def gamma(target: str = "gradient", **changes: object) -> object:
        ovsw = OvswConfig.model_validate({"gamma": "auto", "ags_target": target})
        return resolve_gamma(
            TrainConfig.model_validate({"schedule": "constant", "warmup_epochs": 0, **changes}), ovsw, 100
        ).gamma

    # Sum of rates 0.1 * 100 * 10 = 100: gamma = 5.45 * (1 - 0.9) / 100; without momentum in between, 5.45 / 100.
    assert gamma(epochs=10) == pytest.approx(5.45e-3)
    assert gamma(epochs=20) == pytest.approx(2.725e-3)
    assert gamma(target="update", epochs=10) == pytest.approx(5.45e-2)
    assert gamma(target="update", epochs=10, optimizer="adam", lr=1e-3) == pytest.approx(5.45)
    with pytest.raises(FlipflowError, match=r"E101.*adam"):
        gamma(epochs=10, optimizer="adam")
    number = OvswConfig(gamma=0.5)
    assert resolve_gamma(PAPER, number, 195) is number
