"""Engines with threads in forked processes, as multiprocessing makes them on Linux."""

import multiprocessing
from multiprocessing.connection import Connection

import numpy as np

from flipflow.cpu import Engine
from flipflow.cpu.bench.networks import small_residual_net
from flipflow.sim import reference

NET = small_residual_net(seed=1)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *NET.input_shape)).astype(np.int16)


def _answer(engine: Engine, to: Connection) -> None:
    to.send(engine(IMAGES))


def test_a_forked_process_starts_threads_of_its_own() -> None:
    wanted = reference.run(NET, IMAGES)
    engine = Engine(NET, threads=2)
    np.testing.assert_array_equal(engine(IMAGES), wanted)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_answer, args=(engine, sender))
    child.start()
    answered = receiver.poll(60)
    if not answered:
        child.kill()
    child.join(60)
    assert answered and child.exitcode == 0  # destroying the engine there ends as well
    np.testing.assert_array_equal(receiver.recv(), wanted)
    np.testing.assert_array_equal(engine(IMAGES), wanted)  # the parent's threads are untouched
