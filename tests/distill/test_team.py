"""Which partner an error of TensorFlow is about."""

import pytest
import tensorflow as tf

from keras_cdd.distill.team import Team, _partner

RESET = "recvmsg:Connection reset by peer\nAdditional GRPC error information from /job:worker/replica:0/task:{}"
CRASHED = "/job:worker/replica:0/task:{}\nThe tasks have crashed."
HEARTBEAT = "Collective ops is aborted by: Deadline Exceeded\nRPC: /tensorflow.CoordinationService/Heartbeat"
OWN = "OOM when allocating tensor on /job:worker/replica:0/task:{}/device:GPU:0"


@pytest.mark.parametrize(
    ("message", "index", "partner"),
    [
        (RESET.format(1), 0, 1),
        (RESET.format(12), 1, 12),
        (CRASHED.format(0), 2, 0),
        (HEARTBEAT, 1, 0),
        (OWN.format(1), 1, None),
        (OWN.format(0), 0, None),
        ("Incompatible shapes", 1, None),
    ],
)
def test_an_error_names_the_partner(message, index, partner):
    assert _partner(message, index) == partner


def test_a_process_alone_decides_and_raises_as_it_is():
    team = Team(tf.distribute.get_strategy())
    assert team.is_chief and team.of_chief({"a": 1}) == {"a": 1}
    with pytest.raises(tf.errors.UnavailableError), team.explained():
        raise tf.errors.UnavailableError(None, None, RESET.format(1))
