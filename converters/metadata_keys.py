"""Entries of the metadata that formats carry beside arrays."""

SPEC_KEY = "effnet.spec"
"""The metadata entry that holds the definition of the network as JSON."""
DIALECT_KEY = "effnet.dialect"
"""The one that names the dialect."""
KERAS_CONFIG_KEY = "model_config"
"""The one with the configuration of a Keras model, as Keras' .h5 files call it."""
