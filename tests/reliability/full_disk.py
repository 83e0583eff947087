"""Lets the disk be full from each write of some code on, and looks at what it leaves."""

import errno
import json
import os
import pathlib

from tests.reliability.system_calls import watched

# What needs room: a name needs some, too.
NEEDS_ROOM = {"write", "sync", "truncate", "open", "mkdir", "rename"}

# Runs `attempt` again and again, in a new folder each time; one more of its calls succeeds before the disk is full.
# Making folders tells the watcher when: `<number>` begins, and `<number>.room` ends the time without room.
LOOP = """
import errno, json, os, sys, traceback
{code}
root, messages = sys.argv[1], []
for number in range(10**6):
    folder = os.path.join(root, str(number))
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.errno != errno.ECANCELED:
            raise
        break
    prepare(folder)
    failure = None
    try:
        os.mkdir(folder + ".full")
        attempt(folder)
    except Exception as error:
        failure = error
        failure.__traceback__ = None
    os.mkdir(folder + ".room")
    check(folder, failure)
    messages.append(failure and f"{{type(failure).__name__}}: {{failure}}")
print(json.dumps(messages))
"""


class _Full:
    """The answer of a disk that is full from one call on, one call later with every attempt."""

    def __init__(self, root, error):
        self.root = str(pathlib.Path(root).resolve())
        self.error = error
        self.number, self.left, self.hit = -1, None, True

    def __call__(self, call):
        folder, name = os.path.split(call.path)
        if call.what == "mkdir" and folder == self.root:
            number, _, mark = name.partition(".")
            if mark:
                self.left = self.number if mark == "full" else None
                return None
            if not self.hit:
                return errno.ECANCELED
            self.number, self.hit = int(number), False
            return None
        if self.left is None or call.what not in NEEDS_ROOM:
            return None
        self.left -= 1
        self.hit |= self.left < 0
        return self.error if self.left < 0 else None


def full_at_every_call(forks, root, code, error=errno.ENOSPC):
    """Tries code on a disk that is full from each of its calls on.

    Args:
        forks: socket of the `tests.forked` server.
        root: an empty folder.
        code: defines `prepare(folder)`, `attempt(folder)` and `check(folder, failure)`; the disk has room in the first
            and the last. `failure` is the exception of `attempt`, or None.
        error: number of the error, "no space left" by default.

    Returns:
        List of what each attempt raised, as text, or None.
    """
    done = watched(forks, [root], _Full(root, error), "-c", LOOP.format(code=code), str(root))
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
