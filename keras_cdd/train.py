"""Trains a teacher and shrinks a student.

python -m keras_cdd.train --flagfile=keras_cdd/configs/quickstart.flags --workdir=runs/quickstart
"""

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.settings.config import SECTIONS
from keras_cdd.settings.flags import config_from_flags, flagfile_text


def main(_):
    from keras_cdd.experiment import run_experiment
    from keras_cdd.report.headline import headline_text
    from keras_cdd.run_folder.reading import RunFiles

    config = config_from_flags()
    if run_experiment(config, flagfile_text(config)) is None:
        return
    print(headline_text(RunFiles(config.run.workdir)))
    print(f"report: {config.run.workdir}/report.html")


def hint():
    """What a stopped run is told."""
    from keras_cdd.run_folder.saved import saved_text

    folder, how = flags.FLAGS.workdir, "" if flags.FLAGS.resume else ", without --noresume,"
    saved = folder and saved_text(folder)
    return f"{folder} has {saved}: the same command{how} continues from there." if saved else "Nothing is saved yet."


def run():
    run_command(main, SECTIONS, hint)


if __name__ == "__main__":
    run()
