"""Bytes of strangers for every parser that they or the network reach."""
