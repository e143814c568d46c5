"""Many images through one network: listed, decoded ahead of it, classified in batches, written as a table."""
