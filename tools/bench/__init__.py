"""The parts of `tools/bench_convert.py`, `tools/bench_start.py` and `tools/bench_inference.py`."""
