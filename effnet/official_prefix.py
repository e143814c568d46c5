"""The word by which a user names an official checkpoint in place of a file. Imports nothing: every command needs it."""

OFFICIAL = "official:"
"""What such a name begins with."""
