"""LARS and the running mean of weights by hand; which parameters decay."""

import pytest
import torch
from torch import nn

from flipflow.config import TrainConfig
from flipflow.train.ema import WeightAverage
from flipflow.train.optimizers import Lars, make_optimizer


def test_lars_by_hand() -> None:
    # |W| = 5, |G| = 10, decay 0.1: rate = 0.5 * 5 / (10 + 0.5) = 5/21; V = rate * (G + 0.1 W).
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    bias = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = Lars([weight, bias], lr=1.0, momentum=0.5, weight_decay=0.1, trust=0.5)
    weight.grad = torch.tensor([[6.0, 8.0]], dtype=torch.float64)
    bias.grad = torch.tensor([0.25], dtype=torch.float64)
    optimizer.step()
    velocity = torch.tensor([[6.3, 8.4]], dtype=torch.float64) * 5 / 21
    expected = torch.tensor([[3.0, 4.0]], dtype=torch.float64) - velocity
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=0)
    # A vector takes the plain rate: 1 - (0.25 + 0.1).
    torch.testing.assert_close(bias.detach(), torch.tensor([0.65], dtype=torch.float64), rtol=1e-12, atol=0)
    # No gradient at all: the plain rate on the decay, beside half the velocity.
    weight.grad = torch.zeros_like(weight)
    bias.grad = None
    optimizer.step()
    expected = expected - (0.5 * velocity + 0.1 * expected)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=0)


def test_lars_refuses_negative_rates() -> None:
    with pytest.raises(ValueError, match="negative"):
        Lars([nn.Parameter(torch.ones(1))], lr=-1.0)


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_each_parameter_decays_once_at_most(name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))
    frozen = nn.Linear(2, 2)
    model.append(frozen.requires_grad_(False))
    config = TrainConfig.model_validate({"optimizer": name, "weight_decay": 0.25})
    optimizer = make_optimizer(model, config, undecayed=[model[2].get_parameter("weight")])
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(decay) == 5
    values = [decay.get(id(parameter)) for parameter in model.parameters()]
    # Linear's weight decays, its bias and the norm's vectors do not; the last linear's is the caller's; frozen ones are out.
    assert values == [0.25, 0.0, 0.0, 0.0, 0.0, None, None]


def test_weight_average_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    weight, norm = model[0].get_parameter("weight"), model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None and norm.num_batches_tracked is not None
    with torch.no_grad():
        weight.fill_(1.0)
    average = WeightAverage(model, 0.2)
    with torch.no_grad():
        weight.fill_(2.0)
        norm.running_mean.fill_(11.0)
        norm.num_batches_tracked.fill_(7)
    average.update()  # d = min(0.2, 2/11) = 2/11: 1 * 2/11 + 2 * 9/11 = 20/11, and 0 * 2/11 + 11 * 9/11 = 9
    with average.applied():
        assert weight.item() == pytest.approx(20 / 11)
        assert norm.running_mean.item() == pytest.approx(9.0)
        assert norm.num_batches_tracked.item() == 7  # no mean of counts
    assert (weight.item(), norm.running_mean.item()) == (2.0, 11.0)
    average.update()  # d = min(0.2, 3/12) = 0.2: 20/11 * 0.2 + 2 * 0.8
    with average.applied():
        assert weight.item() == pytest.approx(20 / 11 * 0.2 + 1.6)
    other = WeightAverage(model, 0.2)
    other.load_state_dict(average.state_dict())
    for one in (average, other):
        one.update()
    with average.applied():
        first = weight.clone()
    with other.applied():
        assert torch.equal(weight, first)
