"""Networks in processes of their own: when that is needed, how it is done, and what its failures look like.

`decision.py` says when, with the reason; `process.py` starts the worker, `python -m effnet.isolation.worker`, and
explains how it ended; `exchange.py` has the files between the two. What a worker can do stands in `worker.py`.
"""
