import asyncio
import threading

import numpy as np
import pytest

from effnet.errors import InputError
from effnet.serving.backend import Group, Prepared
from effnet.serving.batching import Batcher
from effnet.serving.errors import RefusedBatch
from effnet.serving.limits import Limits

SMALL = Group(signature="classify_bytes", shape=())
LARGE = Group(signature="serving_default", shape=(40, 40, 3))
WAIT = 0.2


class Doubler:
    """Twice each number; `blocked` holds the first batch back, a negative number is refused."""

    def __init__(self, *, blocked=False):
        self.batches = []
        self.observed = []
        self.go = threading.Event()
        if not blocked:
            self.go.set()

    def run(self, group, values):
        self.batches.append((group, list(values)))
        self.go.wait(5)
        if min(values) < 0:
            raise RefusedBatch("it is negative")
        if max(values) > 1000:
            raise RuntimeError("broken")
        return [{"twice": np.float32(2 * value)} for value in values]

    def batch(self, size, seconds):
        self.observed.append(size)


def batched(model, work, *, expected=lambda: 1, max_batch=4):
    async def whole():
        limits = Limits(max_batch=max_batch, max_wait=WAIT, queue=100)
        batcher = Batcher(model.run, limits=limits, usual_pixels=400, expected=expected, observer=model)
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return asyncio.run(whole())


def images(*values, group=SMALL):
    return [Prepared(group=group, value=value) for value in values]


def rows(done):
    return [float(item.row["twice"]) for item in done]


def test_a_lone_image_does_not_wait():
    model = Doubler()

    async def work(batcher):
        return await batcher.answer(images(1))

    (done,) = batched(model, work)
    assert done.row["twice"] == 2
    assert done.waited < WAIT / 2


def test_what_gathers_while_a_batch_runs_is_one_batch_and_every_request_gets_its_own_rows():
    model = Doubler(blocked=True)

    async def work(batcher):
        first = asyncio.create_task(batcher.answer(images(1)))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.answer(images(n, 10 * n))) for n in (2, 3)]
        await asyncio.sleep(0.05)
        model.go.set()
        return [rows(await task) for task in (first, *others)]

    assert batched(model, work) == [[2], [4, 40], [6, 60]]
    assert [values for _, values in model.batches] == [[1], [2, 20, 3, 30]]
    assert model.observed == [1, 4]


def test_images_that_are_expected_are_waited_for_and_no_longer_than_said():
    model = Doubler()

    async def work(batcher):
        first = asyncio.create_task(batcher.answer(images(1)))
        await asyncio.sleep(WAIT / 4)
        second = asyncio.create_task(batcher.answer(images(2)))
        return [(await task)[0].waited for task in (first, second)]

    first, second = batched(model, work, expected=lambda: 3)  # a third never comes
    assert [values for _, values in model.batches] == [[1, 2]]
    assert WAIT * 0.9 < first < WAIT * 3
    assert second < first


def test_groups_are_never_mixed_and_large_images_come_fewer_at_a_time():
    model = Doubler()

    async def work(batcher):
        tasks = [batcher.answer(images(1, 2, 3)), batcher.answer(images(4, 5, 6, group=LARGE))]
        return [rows(done) for done in await asyncio.gather(*tasks)]

    assert batched(model, work) == [[2, 4, 6], [8, 10, 12]]
    # 40 x 40 pixels are four times the usual 400: one of them takes the room of a batch of four.
    assert sorted((group.shape, values) for group, values in model.batches) == [
        ((), [1, 2, 3]),
        ((40, 40, 3), [4]),
        ((40, 40, 3), [5]),
        ((40, 40, 3), [6]),
    ]


def test_a_bad_image_fails_alone():
    model = Doubler()

    async def work(batcher):
        requests = [images(1), images(2), images(-1), images(3)]
        return await asyncio.gather(*map(batcher.answer, requests), return_exceptions=True)

    found = batched(model, work, expected=lambda: 4)
    assert model.batches[0][1] == [1, 2, -1, 3]  # the control: they were together
    assert [rows(found[index]) for index in (0, 1, 3)] == [[2], [4], [6]]
    assert isinstance(found[2], InputError)
    assert str(found[2]) == "The image cannot be used: it is negative."


def test_a_failure_reaches_those_it_concerns_and_the_next_batch_runs():
    model = Doubler()

    async def work(batcher):
        with pytest.raises(RuntimeError, match="broken"):
            await batcher.answer(images(2000))
        return rows(await batcher.answer(images(1)))

    assert batched(model, work) == [2]


def test_what_nobody_waits_for_is_not_run():
    model = Doubler(blocked=True)

    async def work(batcher):
        first = asyncio.create_task(batcher.answer(images(1)))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.answer(images(2, 3)), 0.05)
        model.go.set()
        await first
        await asyncio.sleep(0.05)

    batched(model, work)
    assert [values for _, values in model.batches] == [[1]]
