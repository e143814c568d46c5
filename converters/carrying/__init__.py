"""The way of the arrays: what becomes of each, in memory that is used again, into files that appear whole."""
