"""What the configuration of a Keras model (JSON) says of the network in it, of what stands around it, and of images.

Nothing here imports Keras: a configuration is text, and what it names is neither looked up nor run.
"""
