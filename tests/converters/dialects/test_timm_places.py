"""Where else files name a network of timm: transformers' backbones."""

from __future__ import annotations

import pytest

from converters import UnknownArchitecture
from converters.dialects._json_fields import other_architecture
from effnet_core import Padding
from tests.converters.dialects.test_timm_statements import beside, is_told

OTHER = "which is no EfficientNet"

# Backbones of transformers

BACKBONE = {
    "architectures": ["TimmBackbone"],
    "backbone": "efficientnet_b0",
    "features_only": True,
    "model_type": "timm_backbone",
    "out_indices": [-1],
    "output_stride": None,
    "use_pretrained_backbone": False,
}


@pytest.mark.parametrize(("name", "dialect"), [("efficientnet_b0", "timm-symmetric"), ("tf_efficientnet_b0", "timm")])
def test_a_backbone_of_transformers_names_its_network(name: str, dialect: str) -> None:
    inside = {"model_type": "detr", "architectures": ["DetrModel"], "use_timm_backbone": True, "backbone": name}
    around = {"model_type": "detr", "architectures": ["DetrModel"], "backbone_config": BACKBONE | {"backbone": name}}
    for config in (BACKBONE | {"backbone": name}, inside, around):
        found = beside(config)
        assert found.dialect.name == dialect
        assert is_told(found)
        assert not any(OTHER in note for note in found.notes)
    # the control: the same word of another model
    without = beside({"model_type": "upernet", "architectures": ["UperNet"], "backbone": name})
    assert not is_told(without)
    assert any(f"says 'UperNet', {OTHER}" in note for note in without.notes)


def test_a_backbone_names_its_weights_and_what_it_was_made_with() -> None:
    found = beside(BACKBONE | {"backbone": "tf_efficientnet_b0.ap_in1k", "output_stride": 32})
    assert found.spec.preprocessing.recipe == "advprop"
    assert found.spec.padding is Padding.SAME
    with pytest.raises(UnknownArchitecture, match="output_stride=16"):
        beside(BACKBONE | {"output_stride": 16})
    with pytest.raises(UnknownArchitecture, match="says 'efficientnet_blur_b0', which is a network of timm's own"):
        beside(BACKBONE | {"backbone": "efficientnet_blur_b0"})


def test_a_backbone_of_another_architecture_is_refused() -> None:
    with pytest.raises(UnknownArchitecture, match=f"says 'resnet50', {OTHER}"):
        beside(BACKBONE | {"backbone": "resnet50"})
    assert other_architecture({"config.json": '{"model_type": "timm_backbone", "backbone": "resnet50"}'}) == "resnet50"
    assert not is_told(beside(BACKBONE | {"backbone": ["efficientnet_b0"]}))
