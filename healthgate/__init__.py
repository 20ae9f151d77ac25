"""The command line; the only room that may import both the unit's side and the server's."""
