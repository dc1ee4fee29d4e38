"""
Upstreams that misbehave, as a table: what each does, and what the gateway has to make of it.

A row is what a server does with a request (:mod:`.fault`), said once for turns with a stream and without: the same
bytes are read in both. The rows are in :mod:`.connections`, :mod:`.statuses`, :mod:`.bodies` and :mod:`.streams`, by
where the fault is. :mod:`.cuts` is the sweep over every byte of the golden streams; ``python -m tests.upstream_faults
cuts`` runs it as long as you like. :mod:`.llmock` is somebody else's server, which judges us.
"""
