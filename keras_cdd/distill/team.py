"""The processes that train together: one decides and writes, the others follow."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cdd.data.share import Share
from keras_cdd.errors import UserError

# Network file systems show new files late.
SECONDS_TO_SEE = 90


class Team:
    """The processes of a run; without a strategy of several, this process alone.

    All of them call the same methods in the same order, outside of a step.

    Args:
        strategy: `tf.distribute.Strategy`.

    Attributes:
        is_chief: whether this process writes the run's files, and its decisions count.
        index: number of this process.
        share: `Share` of every batch that the replicas of this process train on.
    """

    def __init__(self, strategy: Any = None) -> None:
        self._strategy: Any = None
        self._addresses: list[str] = []
        self._tell: dict[Any, Any] = {}
        self.index = 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            self._strategy = strategy
            self._addresses = strategy.cluster_resolver.cluster_spec().as_dict()["worker"]
            self.index = strategy.cluster_resolver.task_id
        self.is_chief = self.index == 0
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        held = replicas // max(1, len(self._addresses))
        self.share = Share(self.index * held, held, replicas)

    def say(self, text: str) -> None:
        """Prints a text once, not in every process."""
        if self.is_chief:
            print(text, flush=True)

    def barrier(self) -> None:
        """Waits until all have come here."""
        self.of_chief(None)

    def of_chief(self, value: Any) -> Any:
        """The chief's value in all processes; it can be written as JSON."""
        if self._strategy is None:
            return value
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int32)
        length = int(self._of_first(np.array([len(text)], np.int32))[0])
        return json.loads(self._of_first(np.resize(text, length)).astype(np.uint8).tobytes())

    def align(self, variables: Iterable[Any]) -> None:
        """Gives the floating-point variables of all processes the chief's values."""
        floats = [variable for variable in variables if "float" in str(variable.dtype)]
        if self._strategy is None or not floats:
            return
        values = [tf.convert_to_tensor(variable).numpy() for variable in floats]
        told, first = self._of_first(np.concatenate([value.ravel() for value in values]).astype(np.float32)), 0
        for variable, value in zip(floats, values, strict=True):
            variable.assign(told[first : first + value.size].reshape(value.shape))
            first += value.size

    def awaited(self, is_there: Callable[[], bool], what: str) -> bool:
        """Whether something is there for the chief; the others then wait until they see it, too.

        Raises:
            UserError: if they do not, because the folder is not shared.
        """
        if not self.of_chief(is_there()):
            return False
        end = time.monotonic() + SECONDS_TO_SEE
        while not is_there():
            if time.monotonic() > end:
                raise UserError(
                    f"Worker {self.index} does not see {what}, which the chief has; put it on a disk that all share."
                )
            time.sleep(1)
        return True

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns the errors of a process whose partner has gone into one that names the partner.

        Raises:
            UserError: in place of such an error.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self._strategy is None or (gone := _partner(error.message, self.index)) is None:
                raise
            raise UserError(
                f"Worker {gone} ({self._addresses[gone]}) has stopped, and so does worker {self.index}; start all "
                "workers again with the same commands: they go on from the last epoch."
            ) from error

    def _of_first(self, values: np.ndarray) -> np.ndarray:
        """The values (N,) of the first replica; there are as many of the same type everywhere."""
        if (kind := values.dtype) not in self._tell:
            signature = [tf.TensorSpec([None], kind)]
            self._tell[kind] = tf.function(self._told, autograph=False, input_signature=signature)
        return self._strategy.experimental_local_results(self._tell[kind](values))[0].numpy()

    def _told(self, values: Any) -> Any:
        def sum_of_one(values: Any) -> Any:
            context = tf.distribute.get_replica_context()
            is_first = tf.get_static_value(context.replica_id_in_sync_group) == 0
            own = tf.identity(values) if is_first else tf.zeros_like(values)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return self._strategy.run(sum_of_one, args=(values,))


def _partner(message: str, index: int) -> int | None:
    """The number of the other worker that an error of TensorFlow is about, or None if it is about this one, `index`."""
    named = [int(number) for number in re.findall(r"/job:worker/(?:replica:0/)?task:(\d+)", message)]
    if others := [number for number in named if number != index]:
        return others[0]
    # The chief's process has the service to which all others report.
    return 0 if index and "CoordinationService" in message else None
