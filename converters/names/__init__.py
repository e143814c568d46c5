"""Whose names the tensors of a file have, and which of them are the network's."""
