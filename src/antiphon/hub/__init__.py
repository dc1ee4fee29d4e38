"""The canonical model in the middle: items, semantic events, turns, usage, ids, errors. Pure data, no I/O."""
