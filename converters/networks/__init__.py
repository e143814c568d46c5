"""Which network a file holds: from its definition, from what else the file says of it, or from names and shapes."""
