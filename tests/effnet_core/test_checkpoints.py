from collections import Counter
from urllib.parse import urlsplit

import pytest

from effnet_core import RECIPES, VARIANTS, CentreCrop, JpegDecoding, Offset, Resampling, WholeImage, total_count
from effnet_core.checkpoints import CHECKPOINTS, UnknownCheckpoint, find_checkpoint, official_spec, size_limit

# Name, resolution, classes, labels' offset, mean of the first channel, crop, resampling: by hand from the
# official code (tensorflow/tpu efficientnet_builder.py and preprocessing.py, google/automl datasets.py).
EXPECTED = [
    ("b0-baseline", 224, 1000, 0, 0.485 * 255, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    ("b7-autoaugment", 600, 1000, 0, 0.485 * 255, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    ("b8-advprop", 672, 1000, 0, 127.5, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    ("l2-noisy-student", 800, 1000, 0, 0.485 * 255, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    (
        "l2-475-noisy-student",
        475,
        1000,
        0,
        0.485 * 255,
        CentreCrop(padding=32, offset=Offset.CEILING),
        "legacy-bicubic",
    ),
    ("lite3", 280, 1000, 0, 127, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bilinear"),
    ("edgetpu-s", 224, 1001, 1, 127, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bilinear"),
    ("edgetpu-l", 300, 1001, 1, 127, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bilinear"),
    ("condconv-b0-8e-depth", 224, 1000, 0, 127, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    ("v2-b0", 224, 1000, 0, 0.485 * 255, CentreCrop(padding=32, offset=Offset.CEILING), "legacy-bicubic"),
    ("v2-b0-21k", 224, 21843, 0, 128, CentreCrop(padding=32, offset=Offset.FLOOR), "half-pixel-bilinear"),
    ("v2-b3-21k-ft1k", 300, 1000, 0, 127.5, WholeImage(), "half-pixel-bilinear"),
    ("v2-s", 384, 1000, 0, 128, WholeImage(), "half-pixel-bilinear"),
    ("v2-xl-21k", 224, 21843, 0, 128, CentreCrop(padding=32, offset=Offset.FLOOR), "half-pixel-bilinear"),
    ("v2-xl-21k-ft1k", 512, 1000, 0, 127.5, WholeImage(), "half-pixel-bilinear"),
]


def test_every_row_resolves_to_a_network_of_its_variant_and_recipe():
    for row in CHECKPOINTS.values():
        spec = official_spec(row)
        assert (spec.name, spec.preprocessing.recipe) == (row.variant, row.recipe)
        assert row.recipe in VARIANTS[row.variant].recipes
        assert row.name.startswith(row.variant.removeprefix("efficientnet-").removeprefix("efficientnet").lower())


def test_every_variant_and_every_recipe_has_a_checkpoint():
    assert {row.variant for row in CHECKPOINTS.values()} == set(VARIANTS)
    assert {row.recipe for row in CHECKPOINTS.values()} == set(RECIPES)
    for name, variant in VARIANTS.items():
        published = {row.recipe for row in CHECKPOINTS.values() if row.variant == name}
        assert published <= set(variant.recipes)


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda row: row[0])
def test_what_a_checkpoint_wants(expected):
    spec = official_spec(CHECKPOINTS[expected[0]])
    rule, classifier = spec.preprocessing, spec.classifier
    found = (rule.resolution, classifier.num_classes, classifier.label_offset, rule.mean[0], rule.crop)
    assert found == expected[1:6]
    assert rule.resampling is Resampling(expected[6])
    assert (rule.jpeg, rule.clips) == (JpegDecoding.FAST, False)


def test_addresses_are_unique_and_encrypted():
    addresses = [row.address for row in CHECKPOINTS.values()]
    assert len(set(addresses)) == len(addresses)
    parts = [urlsplit(address) for address in addresses]
    assert {(part.scheme, part.netloc) for part in parts} == {("https", "storage.googleapis.com")}
    assert all(part.path.startswith("/cloud-tpu-checkpoints/efficientnet/") for part in parts)
    assert all(part.path.endswith((".tar.gz", ".tgz")) for part in parts)
    assert len({row.file_name for row in CHECKPOINTS.values()}) == len(addresses)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("b0-baseline", "ckpts/efficientnet-b0.tar.gz"),
        ("b5-randaugment", "randaug/efficientnet-b5-randaug.tar.gz"),
        ("l2-475-noisy-student", "noisystudent/noisy_student_efficientnet-l2_475.tar.gz"),
        ("edgetpu-s", "efficientnet-edgetpu-S.tar.gz"),
        ("condconv-b0-4e", "condconv/efficientnet-condconv-b0-4e.tar.gz"),
        ("v2-b3-21k-ft1k", "v2/efficientnetv2-b3-21k-ft1k.tgz"),
    ],
)
def test_addresses_as_published(name, path):
    assert CHECKPOINTS[name].path == path


def test_how_many_there_are_of_each_recipe():
    assert Counter(row.recipe for row in CHECKPOINTS.values()) == {
        "baseline": 6,
        "autoaugment": 8,
        "randaugment": 3,
        "advprop": 9,
        "noisy-student": 10,
        "lite": 5,
        "edgetpu": 3,
        "condconv": 3,
        "v2": 3,
        "v2-small": 4,
        "v2-21k": 8,
        "v2-21k-ft1k": 8,
    }


def test_accuracies_are_percentages_with_a_source():
    for row in CHECKPOINTS.values():
        assert row.top1 is None or 75 <= row.top1 < 89
        assert row.source.startswith(("tensorflow/tpu ", "google/automl "))
    without = {row.name for row in CHECKPOINTS.values() if row.top1 is None and row.recipe != "v2-21k"}
    assert without == {"b8-randaugment", *(f"v2-b{size}-21k-ft1k" for size in range(4))}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("b0", "b0-baseline"),
        ("B0-Noisy_Student", "b0-noisy-student"),
        ("efficientnet-b8-advprop", "b8-advprop"),
        ("efficientnetv2-s-21k-ft1k", "v2-s-21k-ft1k"),
        ("efficientnet-edgetpu-S", "edgetpu-s"),
        ("l2_475_noisystudent", "l2-475-noisy-student"),
    ],
)
def test_names_as_people_write_them(written, name):
    assert find_checkpoint(written).name == name


@pytest.mark.parametrize(
    ("written", "near"), [("b7", "b7-autoaugment"), ("b0-advprob", "b0-advprop"), ("v2-xl", "v2-xl-21k"), ("", "list")]
)
def test_an_unknown_name_says_what_is_near(written, near):
    with pytest.raises(UnknownCheckpoint, match=near):
        find_checkpoint(written)


def test_the_limit_leaves_room_for_a_training_checkpoint():
    # Measured with the official code: variables and moving averages of B0 take 42.7 MB, of V2-XL 1671.3 MB.
    assert 2 * 42.7e6 < size_limit(CHECKPOINTS["b0-baseline"]) < 8 * 42.7e6
    assert 2 * 1671.3e6 < size_limit(CHECKPOINTS["v2-xl-21k-ft1k"]) < 4 * 1671.3e6
    assert all(size_limit(row) > 16 * total_count(official_spec(row)) for row in CHECKPOINTS.values())
