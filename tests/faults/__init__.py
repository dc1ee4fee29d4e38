"""
The store under failure: disks that are full, that fail, that lose what was not synced; processes that are killed.

One whole life of turns (:mod:`tests.faults.life`) runs on a disk that obeys orders (:mod:`tests.faults.vfs`) and writes
down what its clients were told (:mod:`tests.faults.ledger`). Whatever has happened, the store is then opened again and
judged (:mod:`tests.faults.invariants`): what was acknowledged is there as it was told, and nothing is there in half.

The suite runs a part of every sweep; ``python -m tests.faults`` runs them whole.
"""
