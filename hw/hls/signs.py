"""Rewrites a chain of steps so that every channel rises and every pool takes the maximum: FINN has nothing else.

A channel of a bipolar map may be stored negated if whoever reads it negates the weights on it. A product's falling
channel becomes a rising one by negating its weights: s < T is -s >= 1 - T. All of this is exact.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flipflow.hw.hls.steps import BIPOLAR, Levels, Network, Pooling, Product, Quantizer, Step, refusal

Flips = NDArray[np.bool_]


def rectify(network: Network) -> Network:
    """An equal network without falling channels, minima and borders of +1; its logits are the same.

    Raises: FlipflowError E395 where the needed negation has no place: on integer maps, or on the input itself.
    """
    steps: list[Step] = []
    flips = _first(network)
    for index, step in enumerate(network.steps):
        wanted = _wanted(network.steps, index)
        if isinstance(step, Pooling):
            steps.append(_pooling(step, flips))
            continue
        result: Product | Quantizer
        if isinstance(step, Product):
            result, flips = _product(step, flips, wanted)
        else:
            result, flips = _quantizer(step, flips, wanted)
        steps.append(result)
    return replace(network, steps=tuple(steps))


def _first(network: Network) -> Flips:
    channels = network.shape[-1]
    need = _needs(network.steps, 0, channels) if network.dtype == BIPOLAR else None
    if need is not None and need.any():
        raise refusal(network.steps[0].name, "a minimum or a border of +1 on the input itself has no place in FINN.")
    return np.zeros(channels, bool)


def _wanted(steps: tuple[Step, ...], index: int) -> Flips | None:
    """Channels that what follows step `index` needs negated; None where it does not care."""
    step = steps[index]
    if isinstance(step, Pooling) or step.levels is None or not step.levels.bipolar:
        return None
    return _needs(steps, index + 1, len(step.levels.invert))


def _needs(steps: tuple[Step, ...], index: int, channels: int) -> Flips | None:
    """Which channels of a bipolar map that steps[index] reads must be negated."""
    need: Flips | None = None
    while index < len(steps):
        step = steps[index]
        if isinstance(step, Pooling):
            if need is not None and not np.array_equal(need, step.minimum):
                raise refusal(step.name, "two pools in a row take the minimum of different channels.")
            need = step.minimum
            index += 1
            continue
        sliding = step.sliding if isinstance(step, Product) else None
        if sliding is not None and sliding.padded and sliding.fill == 1:
            if need is not None and not need.all():
                raise refusal(step.name, "a border of +1 on a pooled map has no place in FINN.")
            need = np.ones(channels, bool)
        elif sliding is not None and sliding.padded and sliding.fill == -1 and need is not None and need.any():
            raise refusal(step.name, "a border of -1 on a map with pooled minima has no place in FINN.")
        break
    return need


def _pooling(step: Pooling, flips: Flips) -> Pooling:
    minimum = step.minimum ^ flips
    if minimum.any():
        raise refusal(step.name, f"it takes the minimum of channels of a {step.act} map.")
    return replace(step, minimum=minimum)


def _product(step: Product, flips: Flips, wanted: Flips | None) -> tuple[Product, Flips]:
    weights = step.weights * np.where(np.resize(flips, len(step.weights)), -1, 1)[:, None]
    sliding = step.sliding
    if sliding is not None and sliding.fill == 1 and sliding.padded:
        sliding = replace(sliding, fill=-1)  # all channels are negated, see _needs
    if step.levels is None:
        return replace(step, weights=weights, sliding=sliding), np.zeros(weights.shape[1], bool)
    out = np.zeros(weights.shape[1], bool) if wanted is None else wanted
    falls = step.levels.invert ^ out
    weights = weights * np.where(falls, -1, 1)
    levels = np.where(falls[:, None], (1 - step.levels.levels)[:, ::-1], step.levels.levels)
    rising = replace(step.levels, levels=levels, invert=np.zeros_like(falls))
    return replace(step, weights=weights, levels=rising, sliding=sliding), out


def _quantizer(step: Quantizer, flips: Flips, wanted: Flips | None) -> tuple[Quantizer, Flips]:
    if flips.any() or step.act == BIPOLAR:
        raise refusal(step.name, "thresholds on a bipolar map have no place in FINN.")
    falls = step.levels.invert
    if not step.levels.bipolar:
        if falls.any():
            raise refusal(step.name, "a quantizer of several levels falls in some channels.")
        return step, np.zeros_like(falls)
    # Its input cannot be negated, so its result is: whoever reads a falling channel negates the weights.
    if wanted is not None and not np.array_equal(falls, wanted):
        raise refusal(step.name, "its falling channels are not the ones that the layers after it need negated.")
    rising: Levels = replace(step.levels, invert=np.zeros_like(falls))
    return replace(step, levels=rising), falls
