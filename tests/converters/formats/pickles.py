"""PyTorch files around hand-made pickles, honest and hostile."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import os
import pickle
import struct
import types
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from tests.converters.formats import zips

MARK, TUPLE, CALL, STOP = b"(", b"t", b"R", b"."
STORED = bytes(range(48))
"""The content of the storage "0": 12 float32."""


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return MARK + b"".join(number(value) for value in values) + TUPLE


def named(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return b"c" + f"{module}\n{attribute}\n".encode()


def storage(key: str = "0", *, kind: str = "torch.FloatStorage", count: int = 12, tag: str = "storage") -> bytes:
    return MARK + text(tag) + named(kind) + text(key) + text("cpu") + number(count) + TUPLE + b"Q"


def tensor(
    offset: int = 0, size: tuple[int, ...] = (12,), stride: tuple[int, ...] = (1,), *, over: bytes | None = None
) -> bytes:
    """The instructions that build a tensor over the storage "0"."""
    place = number(offset) + numbers(size) + numbers(stride) + b"\x89" + named("collections.OrderedDict") + b")R"
    return named("torch._utils._rebuild_tensor_v2") + MARK + (over or storage()) + place + TUPLE + CALL


def state(*values: bytes) -> bytes:
    """A pickle of a dict with the values under the names a, b, c..."""
    pairs = b"".join(text(chr(ord("a") + index)) + value for index, value in enumerate(values))
    return b"\x80\x02}" + MARK + pairs + b"u" + STOP


def archive(data: bytes, **more: bytes) -> bytes:
    """A PyTorch file with that pickle and one storage."""
    contents = {"data.pkl": data, "byteorder": b"little", "data/0": STORED, "version": b"3\n"} | more
    return zips.zipped({f"archive/{name}": content for name, content in contents.items()})


class Runs:
    """Pickles as a call."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


class RunsInState:
    """Pickles as an object whose attributes are the result of a call."""

    def __init__(self, inner: Runs) -> None:
        self.inner = inner

    def __reduce__(self) -> tuple[object, ...]:
        return collections.OrderedDict, (), {"inner": self.inner}


def running(canary: Path) -> Mapping[str, object]:
    """Objects whose unpickling creates the file."""
    command = f"touch {canary}"
    call = Runs(os.system, command)
    return {
        "os.system": call,
        "builtins.eval": Runs(eval, f"open({str(canary)!r}, 'w').close()"),
        "builtins.exec": Runs(exec, f"open({str(canary)!r}, 'w').close()"),
        "posix.mkdir": Runs(os.mkdir, str(canary)),
        "pathlib": Runs(Path.touch, canary),
        "functools.partial": Runs(functools.partial(os.mkdir, str(canary))),
        "under a key": {"state_dict": {"a": call}},
        "in a list": [1, [2, (3, call)]],
        "as the state of an object": RunsInState(call),
    }


def harmless_but_foreign() -> Mapping[str, object]:
    """Objects that training programs leave in checkpoints, by the beginning of their class's name."""
    return {
        "argparse.Namespace": argparse.Namespace(lr=0.1, root=PurePosixPath("/x"), seen={1, 2}),
        "types.SimpleNamespace": types.SimpleNamespace(lr=0.1),
        "numpy": np.float64(1.5),
        "fractions.Fraction": Fraction(1, 3),
        "pathlib": PurePosixPath("/x"),
        "datetime.timedelta": datetime.timedelta(1),
        "collections.deque": collections.deque([1, 2]),
    }


def running_where_objects_are_allowed(canary: Path) -> Mapping[str, object]:
    """Objects whose unpickling creates the file, by functions of packages whose objects are allowed."""
    created = Runs(np.save, str(canary), 1)
    return {
        "a value": {"x": created},
        "in a list": {"x": [created, (created,)]},
        "attributes of a namespace": {"x": argparse.Namespace(model=created)},
        "an argument": {"x": Runs(np.asarray, created)},
        "beside options": {"hyper_parameters": {"model": created}, "args": created, "arch": created},
        "what holds the averages": {"state_dict_ema": created, "model": created},
    }


def beside_a_tensor(values: Mapping[str, object], protocol: int) -> bytes:
    """A pickle of a dict with a tensor under the name `w` and the values under theirs."""
    whole = pickle.dumps(dict(values), protocol=protocol)
    # The dict is finished, so that its last instruction is the end; one more item goes before that.
    return whole[:-1] + text("w") + tensor() + b"s" + STOP


def dumped(value: object, protocol: int) -> bytes:
    """A pickle of a dict with the value and, so that only the value can be at fault, no tensor at all."""
    return pickle.dumps({"x": value}, protocol=protocol)


def _shared_tuples(depth: int) -> bytes:
    """A tuple of a tuple of ... twice the same, as a key: its hash takes 2**depth steps."""
    return b")" + b"2\x86" * depth


def _long_list_again_and_again() -> bytes:
    long = MARK + b"K\x01" * 100_000 + TUPLE + b"q\x00"
    return long + (named("torch.Size") + b"q\x01") + (b"h\x01h\x00\x85R0") * 100_000


BOMBS: Mapping[str, bytes] = {
    "memo index of 2**32 - 1": b"\x80\x02}r\xff\xff\xff\xff.",
    "text of 4 GiB": b"\x80\x02X\xff\xff\xff\xff",
    "text of 2**63 bytes": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f",
    "bytes of 2**40": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40),
    "bytearray of 2**40": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40),
    "frame of 2**60": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "number of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "number as text": b"\x80\x02I" + b"9" * 1_000_000 + b"\n.",
    "nested lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "nested marks": b"\x80\x02" + MARK * 100_000 + b".",
    "nested dicts": b"\x80\x02" + b"}N" * 100_000 + b"s" * 99_999 + b".",
    "shared tuples as a key": b"\x80\x02}" + _shared_tuples(100) + b"Ns.",
    "shared tuples in a set": b"\x80\x04\x8f(" + _shared_tuples(100) + b"\x90.",
    "list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "long list again and again": b"\x80\x02" + _long_list_again_and_again() + b".",
    "keys with one hash": b"\x80\x02}(" + b"".join(number(i * ((1 << 61) - 1)) + b"N" for i in range(60_000)) + b"u.",
    "classes without end": b"\x80\x02" + b"".join(b"ca\nA%d\n0" % index for index in range(200_000)) + b"N.",
    "a long name again and again": b"\x80\x04" + text("a" * 10_000_000) + b"q\x00" + b"h\x00h\x00\x930" * 200_000,
    "objects without end": b"\x80\x02cm\nA\nq\x00" + b"h\x00)\x81" * 300_000 + b".",
    "namespaces in each other": b"\x80\x02cargparse\nNamespace\nq\x00}" + b"h\x00)\x81}" * 100_000 + b".",
    "a namespace in itself": b"\x80\x02cargparse\nNamespace\n)\x81q\x00}" + text("a") + b"h\x00sb.",
    "millions of lists": b"\x80\x02" + b"]0" * 600_000 + b"N.",
}


def broken() -> Mapping[str, bytes]:
    """Pickles that contradict themselves, or ask for what a state dict has no use for."""
    good = tensor()
    return {
        "empty": b"",
        "stop only": b"\x80\x02.",
        "no stop": state(good)[:-1],
        "empty stack": b"\x80\x02R.",
        "tuple of nothing": b"\x80\x02\x87.",
        "no mark": b"\x80\x02}u.",
        "odd items": b"\x80\x02}(Nu.",
        "items for a list": b"\x80\x02](NNu.",
        "values for a dict": b"\x80\x02}(Ne.",
        "attributes for a number": b"\x80\x02K\x01}b.",
        "call of a number": b"\x80\x02K\x01)R.",
        "call of a dtype": b"\x80\x02" + named("torch.float32") + b")R.",
        "call of a storage class": b"\x80\x02" + named("torch.FloatStorage") + b")R.",
        "call without a tuple": b"\x80\x02" + named("collections.OrderedDict") + b"NR.",
        "memo that is not there": b"\x80\x02h\x07.",
        "no UTF-8": b"\x80\x02X\x01\x00\x00\x00\xff.",
        "surrogate": b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.",
        "global without lines": b"\x80\x02ctorch",
        "global of numbers": b"\x80\x04K\x01K\x01\x93.",
        "global of parts": b"\x80\x04\x8c\x05torch\x8c\x0fhub.load.__call__\x93.".replace(b"\x0fhub", b"\x11hub"),
        "protocol 0": b"\x80\x00N.",
        "protocol 99": b"\x80\x63N.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "INST": b"\x80\x02(ios\nsystem\n.",
        "OBJ": b"\x80\x02(" + named("collections.OrderedDict") + b"o.",
        "NEWOBJ_EX": b"\x80\x04" + named("collections.OrderedDict") + b")}\x92.",
        "PERSID": b"\x80\x02Pstorage\n.",
        "next buffer": b"\x80\x05\x97.",
        "no dict": b"\x80\x02" + good + STOP,
        "list of tensors": b"\x80\x02](" + good + b"e.",
        "no tensors": b"\x80\x02}X\x01\x00\x00\x00aK\x01s.",
        "tensors too deep": b"\x80\x02}" + text("x") + b"}" + text("y") + b"}" + text("z") + good + b"sss.",
        "persistent number": state(tensor(over=b"K\x01Q")),
        "persistent text": state(tensor(over=text("0") + b"Q")),
        "persistent empty tuple": state(tensor(over=b")Q")),
        "persistent module": state(tensor(over=storage(tag="module"))),
        "storage class is a function": state(tensor(over=storage(kind="torch._utils._rebuild_tensor_v2"))),
        "storage class is unknown": state(tensor(over=storage(kind="torch.QInt8Storage"))),
        "storage that is missing": state(tensor(over=storage("7"))),
        "storage outside": state(tensor(over=storage("../../data.pkl"))),
        "storage is another record": state(tensor(over=storage("../version", count=2))),
        "storage larger than its record": state(tensor(over=storage(count=13))),
        "storage smaller than its record": state(tensor(size=(1,), over=storage(count=1))),
        "storage of other items": state(tensor(over=storage(kind="torch.DoubleStorage"))),
        "storage of 2**61 items": state(tensor(over=storage(count=1 << 61))),
        "storage of -1 items": state(tensor(over=storage(count=-1))),
        "storage count of a million bits": state(tensor(over=storage(count=1 << 2000))),
        "tensor over a number": state(tensor(over=b"K\x01")),
        "untyped without dtype": state(tensor(over=storage(kind="torch.storage.UntypedStorage", count=48))),
        "tensor over an object": state(tensor(over=named("a.A") + b")R")),
        "tensor over a class": state(tensor(over=named("a.A"))),
        "tensor over a namespace": state(tensor(over=named("argparse.Namespace") + b")R")),
        "storage class of another package": state(tensor(over=storage(kind="mytorch.FloatStorage"))),
        "storage whose key is an object": state(
            tensor(over=storage().replace(text("0"), named("a.A") + b")R", 1)),
        ),
        "size that is an object": state(tensor().replace(numbers((12,)), named("a.A") + b")R", 1)),
        "length that is an object": state(tensor().replace(number(12) + TUPLE, named("a.A") + b")R" + TUPLE, 1)),
        "parameter of an object": state(named("torch._utils._rebuild_parameter") + named("a.A") + b")R\x88N\x87R"),
        "parameter of a namespace": state(
            named("torch._utils._rebuild_parameter") + named("argparse.Namespace") + b")R\x88N\x87R"
        ),
        "object of another class in a tensor's place": state(named("a.A") + b")R"),
        "namespace of tensors": b"\x80\x02" + named("argparse.Namespace") + b")R" + state(good)[2:-1] + b"b" + STOP,
        "state dict in a namespace": b"\x80\x02}"
        + (text("model") + named("argparse.Namespace") + b")R" + state(good)[2:-1] + b"bs" + STOP),
        "call of an object": b"\x80\x02" + named("a.A") + b")R)R.",
        "namespace with arguments": b"\x80\x02" + named("argparse.Namespace") + b"K\x01\x85R.",
        "parameter of a number": state(named("torch._utils._rebuild_parameter") + b"K\x01\x88N\x87R"),
        "too few arguments": state(named("torch._utils._rebuild_tensor_v2") + b")R"),
    }
