"""What gate units and server must agree on: words, codes, keys, lists, messages. Pure: no I/O, no clock, no environment."""
