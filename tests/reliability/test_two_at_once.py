"""A second process is refused where it would write what another writes; readers are not."""

import threading

from export.to_tflite import ExportFlags
from keras_cdd.run_folder.layout import exported_name
from tests import forked
from tests.reliability import tiny_run
from tests.reliability.disk import Recorder, tree
from tests.reliability.system_calls import require_watching, watched

PRECISION = "float32"
assert ExportFlags.precision != PRECISION


class Holding:
    """An answer that keeps a process waiting before a call until it may go on.

    Args:
        where: function of a `Call` that tells whether it is the one.
    """

    def __init__(self, where):
        self._where, self._reached, self._free = where, threading.Event(), threading.Event()

    def __call__(self, call):
        if not self._reached.is_set() and self._where(call):
            self.process = call.process
            self._reached.set()
            self._free.wait(300)

    def run(self, forks, folder, command, meanwhile):
        """Runs a command and, while it waits, a function; returns the command's end."""
        done = []
        process = threading.Thread(target=lambda: done.append(watched(forks, [folder], self, *command)))
        process.start()
        try:
            assert self._reached.wait(120), "it ended before"
            meanwhile()
        finally:
            self._free.set()
            process.join()
        return done[0]


def assert_refused(done, what, process):
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = f"error: {what} is in use by process {process}; wait until it ends, or choose another."
    assert done.stderr.splitlines()[-1] == said


def succeeded(done):
    assert not done.returncode, done.stderr
    return done


def test_while_a_run_trains_and_while_a_model_is_exported(forks, tmp_path, tally):
    require_watching()
    photos, workdir = tiny_run.write_photos(tmp_path / "photos"), tmp_path / "run"
    command = tiny_run.command(photos, workdir)
    run = lambda module, *flags: forked.run(forks, "-m", module, f"--workdir={workdir}", *flags)  # noqa: E731

    def meanwhile():
        holder = (workdir / ".lock").read_text()
        assert_refused(forked.run(forks, *command), f"--workdir {workdir}", holder)
        assert_refused(forked.run(forks, *command, "--noresume"), f"--workdir {workdir}", holder)
        succeeded(run("keras_cdd.report"))
        succeeded(run("keras_cdd.evaluate", f"--model={workdir}/teacher.keras"))

    training = Holding(lambda call: call.what == "mkdir" and call.path.endswith("/student.new"))
    succeeded(training.run(forks, workdir, command, meanwhile))
    tally("training: a second run in its workdir", 2, "refused in one line with the process number")
    tally("training: report and evaluate meanwhile", 2, "as ever")

    target = workdir / exported_name(PRECISION)
    export = ("-m", "export.to_tflite", f"--workdir={workdir}", f"--precision={PRECISION}")

    def exporting():
        holder = (workdir / f".{target.name}.lock").read_text()
        assert_refused(forked.run(forks, *export), str(target), holder)
        succeeded(run("keras_cdd.report"))

    succeeded(Holding(lambda call: call.path.endswith(".new.tflite")).run(forks, workdir, export, exporting))
    tally("export: a second one of the same file", 1, "refused in one line with the process number")
    check_export_kills(forks, workdir, (*export, "--input_type=float32"), target, tally)


def check_export_kills(forks, workdir, export, target, tally):
    """Over an earlier one, stopped before each of its writes: the old or the new file, and nothing else stays."""
    before = tree(workdir)
    recorder = Recorder(workdir)
    succeeded(watched(forks, [workdir], recorder, *export))
    recorder.look()
    after, names = tree(workdir), (target.name, target.with_suffix(".json").name)
    assert before.keys() == after.keys() and all(before[name] != after[name] for name in names)
    lefts = [*recorder.kills, *(left for cuts in recorder.cuts for left in cuts)]
    for left in lefts:
        assert all(left[name] in (before[name], after[name]) for name in names)
        # A report before its file would vouch for another one.
        assert left[names[0]] == after[names[0]] or left[names[1]] == before[names[1]]
    for left in (max(recorder.kills, key=len), recorder.kills[-4]):
        for name in left.keys() - before.keys():
            (workdir / name).write_bytes(left[name])
        succeeded(forked.run(forks, *export))
        assert tree(workdir).keys() == after.keys() and target.read_bytes() == after[target.name]
    tally(
        "export: SIGKILL and power cut before each write",
        len(lefts),
        "the old or the new file; a repeat gives the same",
    )
