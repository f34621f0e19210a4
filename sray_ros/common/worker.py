"""Worker: the one thread that touches a node's model. Callbacks leave jobs for it, and it does them one by one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from rclpy.impl.rcutils_logger import RcutilsLogger

from sray.errors import CanceledError, SrayError
from sray_ros.common.inbox import Inbox, Lane
from sray_ros.common.refusals import busy, explained, inactive

T = TypeVar("T")

COMMANDS = Lane("commands", 8, overflow=busy)
"""What services and fine-tuning ask for, between two views."""


class Work(Protocol):
    """What a worker's jobs work on."""

    def prepare(self) -> None:
        """Called before each job or batch of jobs."""


W = TypeVar("W", bound=Work)


class Job(ABC):
    """One thing to do. It ends in one of two ways: `run` returns, or `drop` is called."""

    lane: Lane

    @abstractmethod
    def run(self, work: Any) -> None:
        """Do it, on the worker's thread. If this raises, `drop` is called with the error."""

    @abstractmethod
    def drop(self, why: SrayError) -> None:
        """The job is dropped, or ended early: tell the caller why. From any thread."""

    @property
    def is_canceled(self) -> bool:
        """Whether the caller has withdrawn the job."""
        return False


class _Command(Job):
    """A function to call; its result, or the SrayError that came instead, is the future's."""

    lane = COMMANDS

    def __init__(self, do: Callable[[Any], Any], future: Future[Any]) -> None:
        self._do = do
        self._future = future

    def run(self, work: Any) -> None:
        try:
            result = self._do(work)
        except SrayError as error:  # an answer to the caller, not a fault of the worker
            self._future.set_exception(error)
        else:
            self._future.set_result(result)

    def drop(self, why: SrayError) -> None:
        self._future.set_exception(why)


class Worker(Generic[W]):
    """Lives as long as its node; has a thread between `start` and `stop`."""

    def __init__(self, lanes: tuple[Lane, ...], report: Callable[[SrayError], None], logger: RcutilsLogger) -> None:
        """`report` is called with every job that failed, from any thread."""
        self.inbox = Inbox((COMMANDS, *lanes))
        self._lanes = (COMMANDS, *lanes)
        self._report = report
        self._logger = logger
        self._thread: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether jobs are accepted: the node is active."""
        return self.inbox.is_open

    def start(self, work: W) -> None:
        """Accept jobs and do them on `work`."""
        self.inbox.open()
        self._thread = threading.Thread(target=self._run, args=(work,), name="mapping")
        self._thread.start()

    def close(self) -> None:
        """Accept no more jobs, and drop those that wait."""
        for job in self.inbox.close():
            job.drop(inactive())

    def stop(self) -> None:
        """Close, and wait for the job that is being done."""
        self.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def put(self, job: Job) -> None:
        """Leave a job. Where its lane is full, the oldest job there is dropped; while closed, this one."""
        for gone in self.inbox.put(job.lane, job):
            if self.is_open:
                self._drop(gone, job.lane.overflow())
            else:
                gone.drop(inactive())

    def submit(self, do: Callable[[W], T]) -> Future[T]:
        """Call `do` between two other jobs. The future has its result, or raises the SrayError that came instead."""
        future: Future[T] = Future()
        self.put(_Command(do, future))
        return future

    def drop_waiting(self, why: SrayError, *lanes: Lane) -> None:
        """Drop every job that waits in these lanes."""
        for job in self.inbox.drain(*lanes):
            self._drop(job, why)

    @contextmanager
    def stoppable(self, canceled: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], bool]]:
        """For a long job: yields a function that says whether to stop, because of `canceled` or of `close`.

        Raises InactiveError in place of the CANCELED of a job that nobody canceled: the node was deactivated.
        """

        def stopped() -> bool:
            for lane in self._lanes:  # canceled while they waited: told now, not after this job
                for job in self.inbox.remove_if(lane, lambda job: job.is_canceled):
                    job.drop(CanceledError("canceled before it was rendered"))
            return canceled() or not self.is_open

        try:
            yield stopped
        except SrayError as error:
            if isinstance(error, CanceledError) and not canceled():
                raise inactive() from None
            raise

    def _run(self, work: W) -> None:
        while (jobs := self.inbox.take()) is not None:
            self.do(jobs, work)

    def do(self, jobs: list[Job], work: W) -> None:
        """Do these jobs now. Raises nothing: what goes wrong is reported, and the job is dropped."""
        self._try(work.prepare)
        for job in jobs:
            if not self.is_open:
                job.drop(inactive())
            elif (error := self._try(partial(job.run, work))) is not None:
                job.drop(error)

    def _drop(self, job: Job, why: SrayError) -> None:
        """Drop a job that waited while the node is active."""
        if job.lane.counts_drops:
            self._report(why)
        job.drop(why)

    def _try(self, action: Callable[[], None]) -> SrayError | None:
        try:
            action()
        except Exception as failure:
            error = explained(failure, self._logger)
        else:
            return None
        self._report(error)
        return error
