"""
The one writer: a thread that puts whatever waits into one transaction.

A COMMIT costs an fsync whatever is in it, so jobs that arrive while one is under way share the next. Each job runs
behind a savepoint: one that is refused leaves nothing behind and does not touch its neighbours. A caller hears of
its job only after COMMIT has returned.

*After an error of the disk* the writer does not go on as if nothing had happened. What a failed fsync was to make
durable may or may not be on the disk, the kernel says so only once, and what it says of the next fsync means nothing
for the pages of this one. In the write-ahead log stand frames of a transaction whose callers were told that nothing was
stored, with valid checksums: a recovery would find them. So nothing is written any more until a checkpoint has moved
everything that was acknowledged into the file, has emptied the log, and both are on the disk; then the connection is
opened anew. If the process dies before that, recovery decides, as after any crash.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import apsw
import msgspec

from antiphon.hub.errors import StoreConflict, StoreUnavailable
from antiphon.stores.sqlite.connection import is_damage, translate

__all__ = ["MAX_BATCH", "Writer"]

T = TypeVar("T")

# More jobs in a transaction save little more: at 16, the fsync is already the smaller part.
MAX_BATCH = 64

# How often it is looked whether a disk that has failed works again.
_LOOK_EVERY_S = 1.0


class _Job(msgspec.Struct, eq=False):
    work: Callable[[apsw.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: Exception | None = None


class Writer:
    """
    Runs jobs on a connection of its own.

    Args:
        connect: Opens it, and opens it again after an error of the disk.
        max_batch: How many jobs share a transaction at most.

    Attributes:
        is_failing: The disk has failed, and has not been seen to work since. Every job is refused, after it was looked
            whether the disk works again, but not more than once a second.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], *, max_batch: int = MAX_BATCH) -> None:
        self.is_failing = False
        self._connect = connect
        self._connection = connect()
        self._max_batch = max_batch
        self._looked_at_s = -math.inf
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="antiphon-sqlite-writer", daemon=True)
        self._closed = False
        self._gate = Lock()  # so that no job comes in behind the one that ends the thread
        self._thread.start()

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """
        Run *work* in a transaction and wait until it is durable.

        A caller that is cancelled while it waits does not take the job back: it may still be carried out.

        Raises:
            StoreUnavailable: The transaction could not be committed, or the writer is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._gate:
            if self._closed:
                raise StoreUnavailable("The session store is not open.")
            self._jobs.put(_Job(work, future, loop))
        return await future

    def close(self) -> None:
        """Finish the jobs that were accepted, end the thread, empty the log and close the connection. Blocks."""
        with self._gate:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        # Another process may be reading; then the log is left to it, or to whoever opens the file next. So is what
        # ails the disk: what was acknowledged is in the log.
        with suppress(apsw.BusyError, apsw.IOError, apsw.FullError):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch, ended = self._batch(job)
            self._carry_out(batch)
            _report(batch)
            if ended:
                return

    def _batch(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < self._max_batch:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return batch, False
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _carry_out(self, batch: list[_Job]) -> None:
        if self.is_failing and not self._works_again():
            for job in batch:
                job.error = StoreUnavailable("The store's disk has failed. Nothing is written until it works again.")
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if len(batch) == 1:
                self._attempt_alone(batch[0])
            else:
                for job in batch:
                    self._attempt(job)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller of the batch hears of it
            self._roll_back()
            self.is_failing = isinstance(error, apsw.IOError) and not is_damage(error)
            for job in batch:
                job.error = _failure(error)

    def _works_again(self) -> bool:
        """See whether the disk works: empty the log of what must not come back, and begin with a new connection."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < _LOOK_EVERY_S:
            return False
        self._looked_at_s = now_s
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection = self._connect()
        except (apsw.Error, StoreUnavailable):
            return False
        self._connection.close(force=True)
        self._connection = connection
        self.is_failing = False
        return True

    def _attempt_alone(self, job: _Job) -> None:
        """Run the only job of a transaction, which needs no savepoint: its refusal undoes the transaction."""
        self._run_job(job)
        if job.error is not None:
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

    def _attempt(self, job: _Job) -> None:
        """Run one job of several behind a savepoint: its refusal is its own."""
        self._connection.execute("SAVEPOINT job")
        self._run_job(job)
        if job.error is not None:
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")

    def _run_job(self, job: _Job) -> None:
        """Run a job and note its refusal. An error of SQLite's (disk full, I/O) is the whole transaction's."""
        try:
            job.result = job.work(self._connection)
        except (apsw.ConstraintError, UnicodeDecodeError) as error:
            job.error = translate(error)
        except apsw.Error:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again where the job's caller awaits
            job.error = error

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors (disk full, I/O); a second ROLLBACK would be an error.
        # If it fails, the next BEGIN fails too and this is tried again: the callers are told, the thread goes on.
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")


def _failure(error: Exception) -> Exception:
    """What a caller hears when its whole batch failed: an error of its own, and never one that blames its turn."""
    if not isinstance(error, apsw.Error):
        return error
    translated = translate(error)
    if isinstance(translated, StoreConflict):
        return StoreUnavailable(f"The store could not commit ({error}). Nothing was stored; try again.")
    return translated


def _report(batch: Iterable[_Job]) -> None:
    """Wake the callers: one wake-up for each event loop, not one for each job."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more, and the jobs are done all the same
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: Iterable[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
