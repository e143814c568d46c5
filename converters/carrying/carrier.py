"""The arrays of a conversion on their way: read, checked, turned into what the target has, written and read back.

Large arrays go in parts that fit the cache of a processor core; those that are turned are read whole and written in
parts. A second core, where there is one, carries them from the first moment on, while this one carries the small ones
and then helps: two are in memory at a time. Small ones that follow each other in the output are written together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from threading import local
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from converters.aside import WORTH_IT, Aside
from converters.carrying.epsilon import shifted
from converters.carrying.plan import Step
from converters.formats.base import Array, Location, Reader, Scratch, TensorInfo, Writer
from converters.formats.plain_bytes import PART, PlainBytes
from converters.layouts import LARGEST_PART, cast, copy_turned, is_finite, keeps_order, permuted, permuted_parts
from effnet_core import EffnetError

Bytes = NDArray[np.uint8]


class NotFinite(EffnetError):
    """A weight is NaN or infinite, or would be in the type that was asked for."""


class Carrier(AbstractContextManager["Carrier"]):
    """Carries arrays from a reader to a writer, step by step, in buffers that are used again.

    Every method raises `NotFinite` for weights that are no numbers unless they are allowed, and what reading and
    writing raise; that may be at a later call, at the latest at `settle`.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        largest: int,
        allow_non_finite: bool,
        progress: Callable[[int], object] = lambda nbytes: None,
    ) -> None:
        """`largest` is the size of the largest array of all steps, `progress` is called with the bytes that arrived."""
        self._reader = reader
        self._writer = writer
        self._allow_non_finite = allow_non_finite
        self._progress = progress
        self._arrived: deque[int] = deque()
        self._done = 0
        self._aside = Aside()
        self._small: list[Callable[[], object]] = []
        self._room = _Room(largest)
        self._run = _Run()
        # Not of `_room`: what is turned into it stays for the next step, beside arrays that are carried while it waits.
        self._whole = Scratch()
        self._last: tuple[tuple[object, ...], Array] | None = None

    def carry(self, step: Step) -> Location:
        """Take over the array of a step, the next one that the writer expects; gives where it stands in the output."""
        place = self._take_over(step)
        self._aside.look()
        self._report()
        return place

    def _take_over(self, step: Step) -> Location:
        if step.source is None:
            self._arrived.append(step.target.nbytes)
            return self._writer.write(np.array(step.value or 0, dtype=step.target.dtype))
        source = self._reader.plain(step.source)
        place = None if source is None else self._writer.reserve()
        if source is None or place is None:
            return self._carry_whole(step, step.source)
        self._last = None  # one array less in memory, beside those that are carried
        info = self._reader.tensors[step.source]
        stays = info.dtype == step.target.dtype and not step.shift
        is_small = info.nbytes <= PART // 2
        if stays and is_small:
            carry = partial(self._gather, step, info, source, place)
        elif stays and keeps_order(step.unfolded, step.axes):
            carry = partial(self._carry_same, info, source, place)
        else:
            carry = partial(self._carry_turned, step, info, source, place)
        if is_small:
            self._small.append(carry)
        else:
            self._aside.run(carry)
        return place

    def settle(self) -> None:
        """Return when every array has arrived."""
        for carry in self._small:
            carry()
            self._aside.look()
            self._report()
        self._write_run()
        while self._aside.help():
            self._report()
        self._aside.wait()
        self._report()

    def _report(self) -> None:
        """Say what has arrived since the last time."""
        before = self._done
        while self._arrived:
            self._done += self._arrived.popleft()
        if self._done != before:
            self._progress(self._done)

    def _gather(self, step: Step, info: TensorInfo, source: PlainBytes, place: Location) -> None:
        if not self._run.goes_on(info, place):
            self._write_run()
        room = self._run.room(info, place)
        if keeps_order(step.unfolded, step.axes):
            source.fill(room)
        else:
            raw = self._room.source.take(info.nbytes)
            source.fill(raw)
            moved = raw.view(info.dtype).reshape(step.unfolded).transpose(step.axes)
            copy_turned(moved, room.view(info.dtype).reshape(moved.shape))
        source.check()

    def _write_run(self) -> None:
        run, self._run = self._run, self._run.after()
        if run.place is None:
            return
        if not self._allow_non_finite and not is_finite(run.numbers):
            for info, numbers in run.arrays():
                _Finite(self._reader, info.name).all(numbers)
        self._writer.write_at(run.place, 0, run.bytes)
        self._arrived.append(run.bytes.nbytes)

    def _carry_same(self, info: TensorInfo, source: PlainBytes, place: Location) -> None:
        finite = _Finite(self._reader, info.name)
        for start in range(0, info.nbytes, PART):
            part = self._room.part[: min(PART, info.nbytes - start)]
            source.fill(part)
            finite.add(part.view(info.dtype))
            self._writer.write_at(place, start, part)
        source.check()
        if not self._allow_non_finite:
            finite.check()
        self._arrived.append(info.nbytes)

    def _carry_turned(self, step: Step, info: TensorInfo, source: PlainBytes, place: Location) -> None:
        raw = self._room.source.take(info.nbytes)
        finite = _Finite(self._reader, info.name)
        for start in range(0, info.nbytes, PART):
            part = raw[start : start + PART]
            source.fill(part)
            finite.add(part.view(info.dtype))
        source.check()  # first: what is damaged may look like anything
        if not self._allow_non_finite:
            finite.check()
        array = raw.view(info.dtype)
        start = 0  # in bytes
        for part in permuted_parts(array.reshape(step.unfolded), step.axes, scratch=self._room.turned):
            converted = self._cast(part, step, of=array)
            self._writer.write_at(place, start, converted)
            start += converted.nbytes
        self._arrived.append(step.target.nbytes)

    def _carry_whole(self, step: Step, source: str) -> Location:
        key = (source, step.axes, step.target.dtype)
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = key, self._array(step, source)
        place = self._writer.write(self._last[1])
        if self._reader.tensors[source].nbytes >= WORTH_IT:
            self._aside.wait()  # the check of the array, in whose memory the next is read
        self._arrived.append(step.target.nbytes)
        return place

    def _array(self, step: Step, source: str) -> Array:
        """The array of the target, valid until the next call."""
        array = self._reader.read(source)
        if not self._allow_non_finite:
            check = partial(_Finite(self._reader, source).all, array)
            if array.nbytes < WORTH_IT:
                check()
            else:
                self._aside.run(check)
        converted = self._cast(array, step, of=array).reshape(step.unfolded)
        return permuted(converted, step.axes, scratch=self._whole).reshape(step.target.shape)

    def _cast(self, part: Array, step: Step, *, of: Array) -> Array:
        """A part of an array in the type of the target."""
        result = cast(part, step.target.dtype)
        if step.shift:
            result = shifted(result, step.shift)
        if result.dtype != part.dtype and not is_finite(result) and is_finite(of):
            raise NotFinite(
                f"{self._reader.path}: {step.source} holds {float(np.abs(of).max()):g}, beyond the range of "
                f"{step.target.dtype.name}. Write it as bfloat16 or float32."
            )
        return result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._small.clear()  # they name this object: without a garbage collector its buffers would stay
        self._aside.close()


class _Room(local):
    """Buffers, for each thread its own."""

    def __init__(self, largest: int) -> None:
        self.part = np.empty(PART, dtype=np.uint8)
        self.source, self.turned = Scratch(at_once=largest), Scratch(at_once=min(largest, LARGEST_PART))


class _Run:
    """Arrays of one type that follow each other in the output, as many as fit one part."""

    def __init__(self, buffer: Bytes | None = None) -> None:
        self.place: Location | None = None
        """Of the first, None where there is none yet."""
        self._buffer = np.empty(PART, dtype=np.uint8) if buffer is None else buffer
        self._infos: list[TensorInfo] = []
        self._end = 0

    def goes_on(self, info: TensorInfo, place: Location) -> bool:
        """Whether an array belongs behind the last."""
        if self.place is None:
            return True
        follows = place.path == self.place.path and place.offset == self.place.offset + self._end
        return follows and info.dtype == self._infos[0].dtype and self._end + info.nbytes <= PART

    def room(self, info: TensorInfo, place: Location) -> Bytes:
        """Where the bytes of the next array belong."""
        self.place = self.place or place
        self._infos.append(info)
        start, self._end = self._end, self._end + info.nbytes
        return self._buffer[start : self._end]

    @property
    def bytes(self) -> Bytes:
        """Those of all arrays."""
        return self._buffer[: self._end]

    @property
    def numbers(self) -> Array:
        """The same as numbers."""
        return self.bytes.view(self._infos[0].dtype)

    def arrays(self) -> Iterator[tuple[TensorInfo, Array]]:
        """Each array with its description."""
        start = 0
        for info in self._infos:
            yield info, self._buffer[start : start + info.nbytes].view(info.dtype)
            start += info.nbytes

    def after(self) -> _Run:
        """An empty one, in the same memory."""
        return _Run(self._buffer)


class _Finite:
    """Counts what is no number in the parts of an array."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._nan = self._infinite = self._size = 0

    def add(self, part: Array) -> None:
        """Look at the next part."""
        self._size += part.size
        if not is_finite(part):
            self._nan += int(np.isnan(part).sum())
            self._infinite += int(np.isinf(part).sum())

    def all(self, array: Array) -> None:
        """Look at a whole array. Raises `NotFinite` if there is any."""
        self.add(array)
        self.check()

    def check(self) -> None:
        """Raise `NotFinite` if there was any."""
        if self._nan or self._infinite:
            raise NotFinite(
                f"{self._reader.path}: {self._name} holds NaN or infinite numbers: {self._nan} NaN, {self._infinite} "
                f"infinite of {self._size}. Convert a checkpoint from before the training diverged, or pass "
                "--allow-non-finite (allow_non_finite=True)."
            )
