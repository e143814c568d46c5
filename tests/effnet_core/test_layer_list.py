import pytest

from effnet_core import VARIANTS, LayerKind, endpoints, layers, parameters, resolve


@pytest.mark.parametrize("name", VARIANTS)
def test_every_tensor_belongs_to_one_layer_and_every_layer_with_weights_has_some(name):
    spec = resolve(name)
    found = layers(spec)
    assert len({layer.name for layer in found}) == len(found)
    assert [layer.weights for layer in found if layer.weights] == list(
        dict.fromkeys(parameter.layer for parameter in parameters(spec))
    )
    assert all(bool(layer.weights) == (layer.kind in (LayerKind.LINEAR, LayerKind.NORM)) for layer in found)


@pytest.mark.parametrize("name", ["b0", "edgetpu-S", "condconv-b0-4e", "v2-b0"])
def test_every_endpoint_is_a_layer_or_what_its_last_layer_gives(name):
    names = [layer.name for layer in layers(resolve(name))]
    for endpoint in endpoints(resolve(name)):
        assert endpoint in names or any(f"{endpoint}.{last}" in names for last in ("activation", "norm"))
