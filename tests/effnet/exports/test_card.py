from effnet.exports.card import contents_of
from effnet.exports.options import ExportOptions, Kind
from tests.effnet.batch.pictures import NETWORK, SPEC


def test_a_byte_order_mark_is_not_of_the_first_name(tmp_path):
    path = tmp_path / "labels.txt"
    names = tuple("abcdefg")
    for mark in ("", "\ufeff"):  # without one: the control
        path.write_text(mark + "\n".join(names), encoding="utf-8")
        assert contents_of(NETWORK, SPEC, ExportOptions(kind=Kind.ONNX, labels=path)).labels == names
