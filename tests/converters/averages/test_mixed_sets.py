"""Training checkpoints as nobody has seen them: sets of weights nested, doubled, halved and renamed at random.

Whatever comes is refused with an error of the project, or read as one of the sets that were put in, whole: never a
mixture of two.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from converters import DIALECTS, Ema, SourceOptions, open_checkpoint
from converters.formats import open_reader
from converters.formats.base import Array
from converters.formats.training_keys import AVERAGED, NESTED
from converters.names.naming import table
from effnet_core import EffnetError, resolve, without_head
from tests.converters.formats import containers
from tests.converters.memory import equal
from tests.lively import lively_state

NARROW = resolve("b0", width=0.13, depth=0.1, num_classes=3)
SPEC = replace(without_head(NARROW), blocks=NARROW.blocks[:1])
SETS = [lively_state(SPEC, seed=seed) for seed in range(3)]
"""The weights, their averages, and those of another network."""
TORCH, KERAS = (
    [
        {
            entry.name: np.ascontiguousarray(entry.to_foreign(state[entry.parameter.name]))
            for entry in table(DIALECTS[dialect], SPEC, scope="")
        }
        for state in SETS
    ]
    for dialect in ("timm", "keras-applications")
)
COUNT = 120
Dict = dict[str, Any]


def read(path: Path, ema: Ema = Ema.AUTO, *, dialect: str) -> tuple[int, bool] | None:
    """Which of the sets was read, and whether as averages; None where the file is refused."""
    try:
        with (
            containers.bounded(megabytes=20, seconds=5),
            open_checkpoint(path, SourceOptions(spec=SPEC, dialect=dialect, ema=ema)) as checkpoint,
        ):
            state, uses_ema = checkpoint.state(), checkpoint.uses_ema
    except EffnetError:
        return None
    return [equal(state, one) for one in SETS].index(True), uses_ema  # ValueError: none of them


def changed(names: Mapping[str, Array], chance: random.Random) -> Dict:
    """The set, whole in most cases, behind a prefix in some."""
    found: Dict = {name: torch.from_numpy(array) for name, array in names.items()}
    match chance.randrange(6):
        case 0:
            found = dict(chance.sample(list(found.items()), chance.randrange(len(found))))
        case 1:
            found[chance.choice(list(found))] = chance.choice([torch.ones(3), torch.ones(()), None, "text", {}])
        case 2:
            found = dict(chance.sample(list(found.items()), len(found)))
        case _:
            pass
    prefix = chance.choice(["", "", "module.", "model.", "module.model.", "net.ema.", "_orig_mod.", "a/b."])
    return {prefix + name: tensor for name, tensor in found.items()}


def training_checkpoint(chance: random.Random) -> object:
    """The weights under a key of the weights, averages under one of averages, others under any; some nested deeper."""
    weights, averages, others = TORCH
    found: Dict = {}
    for keys, names, likely in ((NESTED, weights, 0.9), (AVERAGED, averages, 0.6)):
        if chance.random() < likely:
            found[chance.choice(keys)] = changed(names, chance)
    if chance.random() < 0.4:
        found[chance.choice(["teacher", "discriminator", "optimizer", "best", "0"])] = changed(others, chance)
    for key in list(found):
        match chance.randrange(8):
            case 0:
                found[key] = {chance.choice([*NESTED, *AVERAGED, "module"]): found[key]}
            case 1:
                found |= {f"{key}.{name}": tensor for name, tensor in found.pop(key).items()}
            case _:
                pass
    found |= {"epoch": 3, "n_averaged": torch.tensor(3), "args": {"model": "tf_efficientnet_b0"}, "itself": None}
    names = chance.sample(list(found), chance.randrange(len(found) + 1)) if chance.random() < 0.3 else list(found)
    return {name: found[name] for name in names}


def test_nested_state_dicts(tmp_path: Path) -> None:
    """Only where nothing else is there may weights that stand under a strange key be taken."""
    results: list[tuple[int, bool] | None] = []
    for seed in range(COUNT):
        chance = random.Random(seed)
        torch.save(training_checkpoint(chance), tmp_path / "x.pth")
        results.append(read(tmp_path / "x.pth", chance.choice(list(Ema)), dialect="timm"))
    assert {(0, False), (1, True)} <= set(results)
    assert {(0, True), (2, True)}.isdisjoint(results)
    assert 20 < results.count(None) < COUNT - 40


def as_keras_writes(path: Path, arrays: Mapping[str, Array]) -> None:
    """Weights in `.h5`: a group for each outermost layer, which lists what is in it."""
    layers: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        layer, _, rest = name.partition("/")
        layers.setdefault(layer, {})[f"{rest if '/' in rest else name}:0"] = array
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, array in weights.items():
                group[weight] = array


def test_networks_beside_each_other_in_hdf5(tmp_path: Path) -> None:
    """Nested models, one or several, some in parts; in Keras no name says that one is an average of another."""
    results: list[tuple[int, bool] | None] = []
    places = ["", "efficientnetb0/", "ema/", "model_ema/", "ema.model/", "state_dict_ema/", "outer/inner/"]
    for seed in range(COUNT):
        chance = random.Random(seed)
        arrays: dict[str, Array] = {}
        sets = chance.sample(KERAS, chance.choice([1, 1, 2, 3]))
        for names, place in zip(sets, chance.sample(places, len(sets)), strict=True):
            kept = chance.sample(list(names), len(names) - chance.choice([0, 0, 0, 1, len(names) // 2]))
            arrays |= {place + name: names[name] for name in kept}
        as_keras_writes(tmp_path / "x.h5", arrays)
        results.append(read(tmp_path / "x.h5", dialect="keras-applications"))
    assert {(0, False), (1, False), (2, False)} <= set(results)
    assert 20 < results.count(None) < COUNT - 40


# Shards of PyTorch

FILES = [f"pytorch_model-0000{number}-of-00003.bin" for number in (1, 2, 3)]
INDEX = "pytorch_model.bin.index.json"


def sharded(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder as `save_pretrained(safe_serialization=False)` wrote them."""
    names = list(TORCH[0])
    held = dict(zip(FILES, (names[::3], names[1::3], names[2::3]), strict=True))
    for file, part in held.items():
        torch.save({name: torch.from_numpy(TORCH[0][name]) for name in part}, folder / file)
    weight_map = {name: file for file, part in held.items() for name in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return {file: (folder / file).read_bytes() for file in (*FILES, INDEX)}


def damages(honest: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    """A file and its new content, None where it is gone."""
    for seed in range(COUNT):
        chance = random.Random(seed)
        file = chance.choice([*FILES, INDEX, INDEX])
        data = honest[file]
        match chance.randrange(6):
            case 0:
                yield file, data[: chance.randrange(len(data))]
            case 1:
                yield file, None
            case 2:
                yield file, honest[chance.choice(list(honest))]
            case 3:
                old = b"pytorch_model-0000%d" % chance.randrange(1, 4)
                new = chance.choice([b"pytorch_model-0000%d" % chance.randrange(1, 5), b"../pytorch_model", b"\\u0000"])
                yield INDEX, honest[INDEX].replace(old, new, chance.randrange(1, 50))
            case _:
                # A pickle stands at the beginning of a shard, the directory of the archive at its end.
                ends = [range(min(4000, len(data))), range(max(0, len(data) - 4000), len(data))]
                yield file, containers.flipped(data, chance.choice(ends), seed)


def test_damage_in_shards_of_pytorch(tmp_path: Path) -> None:
    honest = sharded(tmp_path)
    refused = 0
    with containers.bounded(megabytes=80, seconds=60):
        for file, content in damages(honest):
            (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
            try:
                with open_reader(tmp_path) as reader:
                    found = {name: reader.read(name).copy() for name in reader.tensors}
                assert containers.same(found, {name: TORCH[0][name] for name in found})
                assert found.keys() == TORCH[0].keys()
            except EffnetError:
                refused += 1
            (tmp_path / file).write_bytes(honest[file])
    assert 60 < refused < COUNT
    with open_reader(tmp_path) as reader:  # the control
        assert reader.tensors.keys() == TORCH[0].keys()
