"""How the network in a file ends: its own head, or one that somebody put behind it."""
