"""Embeds many images into Parquet files, as export.embed does, in an Apache Beam pipeline.

    python -m export.embed_beam --model=m.tflite --images=DIR --output=embeddings -- --runner=FlinkRunner

What follows -- are Beam's own flags; without a runner, the pipeline runs in this process. Images, model and output are
on a disk that all workers see. The files are those of export.embed: a repeated command writes the missing ones, and
either program goes on with the other's. Runs in an environment of its own (make test-beam makes one), because Beam
needs older versions of protobuf and Pillow.
"""

from .bulk.options import add_options, check_options, prepare
from .plain_command import CommandParser, run_light

LOCAL = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def command_parser():
    parser = CommandParser(__doc__)
    add_options(parser)
    parser.add_argument("beam", nargs="*", metavar="-- FLAGS", help="Flags of Beam, such as --runner=FlinkRunner.")
    return parser


def main(options):
    check_options(options)
    from keras_cdd.commands.installed import require_packages

    require_packages("embed_beam", {"apache_beam": "-r requirements-beam.txt"})
    model, records, part_format = prepare(options)
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from keras_cdd.run_folder.writing import make_folder

    from .bulk.beam_pipeline import embed_with, work_list
    from .bulk.part_folder import PartFolder
    from .bulk.shard import parts_to_write

    make_folder(options.output)
    parts = parts_to_write(part_format, options.output)
    if parts:
        # A later flag wins.
        flags = PipelineOptions([LOCAL, *options.beam])
        with work_list(records, part_format, options.output, parts) as lines, beam.Pipeline(options=flags) as pipeline:
            embed_with(pipeline, lines, part_format, options.output, model.path.absolute())
    counts = f"{len(parts)} files written, {part_format.parts - len(parts)} there already"
    print(f"{options.output}: {counts}; {len(PartFolder(options.output))} of {len(records)} images embedded")


def run():
    run_light(main, command_parser())


if __name__ == "__main__":
    run()
