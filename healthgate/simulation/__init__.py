"""A town in one process under virtual time: the product's own units and server, a pretended network, disk and power, faults from a seed.

schedule.py   what happens next, and the record of what has happened
faults.py     which faults a seed has, and how often
network.py    the broker: retained messages, QoS 1, sessions; lost, late, doubled, damaged and reordered messages
disk.py       what a power cut leaves of files and of a SQLite database
gate.py       one unit: cache, outbox, clock and dialogue, and its power switch
sectors.py    a file's sectors after a power cut, or after a sync that failed
keyholder.py  who has the root: keys, roots and lists that follow one another, clocks that are reset
province.py   another issuer, whose list is handed on
office.py     the server: registry and the bridge's rounds over the store, and its power switch
history.py    what issuers and roots ever signed, and the invariants
town.py       puts it all together and runs it
"""
