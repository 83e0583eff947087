"""Every flagfile describes a valid run and starts with a comment."""

import pathlib

import pytest
from absl import flags

from keras_cdd.settings.config import Config, TrainingConfig
from keras_cdd.settings.flags import config_from_flagfile, config_from_flags, define_flags, flagfile_text

FLAGFILES = sorted((pathlib.Path(__file__).parents[2] / "keras_cdd" / "configs").glob("*.flags"))


def parse(arguments):
    values = flags.FlagValues()
    define_flags(values=values)
    flags.DEFINE_string("flagfile", None, "", flag_values=values)
    values(["train", *arguments])
    return config_from_flags(values)


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_a_flagfile_parses_and_repeats_itself(path, tmp_path):
    text = path.read_text()
    config = config_from_flagfile(path)
    assert isinstance(config, Config)
    (tmp_path / "flags.flags").write_text(flagfile_text(config))
    assert config_from_flagfile(tmp_path / "flags.flags") == config
    assert text.startswith("#") and "Data:" in text and "xpected" in text


def test_the_named_flagfiles_are_there():
    names = {path.stem for path in FLAGFILES}
    assert names >= {
        "quickstart",
        "omniglot",
        "omniglot_300",
        "grocery",
        "grocery_lite0",
        "veri776_resnet101",
        "veri776_resnet50",
        "msmt17_resnet101",
    }


@pytest.mark.parametrize(
    "arguments, rule",
    [
        (["--target_macs=1.5"], "target_macs"),
        (["--target_macs=0.5", "--target_params=0.5"], "exclude"),
        (["--image_size=64"], "height,width"),
        (["--image_size=a,b"], "numbers"),
        (["--epochs=0"], "positive"),
        (["--cut_start=9", "--cut_end=2"], "follow"),
        (["--student=static"], "kept_filters"),
        (["--student_init=pretrained"], "pretrained"),
        (["--importance=reset"], "gradient_reset_epoch"),
        (["--jit_compile", "--deterministic"], "exclude"),
    ],
)
def test_wrong_settings_are_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        parse(arguments)


@pytest.mark.parametrize(
    "arguments, precision",
    [
        ([], "none"),
        (["--mixed_precision=bfloat16"], "bfloat16"),
        (["--mixed_precision=none"], "none"),
        (["--mixed_precision"], "float16"),
        (["--nomixed_precision"], "none"),
    ],
)
def test_the_precision_is_a_choice_and_was_a_switch(arguments, precision, tmp_path):
    config = parse(arguments)
    assert config.training.mixed_precision == precision
    assert TrainingConfig(mixed_precision=precision == "float16").mixed_precision in ("float16", "none")
    (tmp_path / "flags.flags").write_text(flagfile_text(config))
    assert config_from_flagfile(tmp_path / "flags.flags") == config


@pytest.mark.parametrize("arguments", [["--mixed_precision=float8"], ["--queue_dtype=int8"]])
def test_another_precision_is_refused(arguments):
    with pytest.raises(flags.IllegalFlagValueError, match="float16"):
        parse(arguments)


@pytest.mark.parametrize(
    "given, head",
    [([], "neck"), (["--pretrained=imagenet"], "linear"), (["--pretrained=imagenet", "--head=none"], "none")],
)
def test_pretrained_weights_get_a_linear_head_unless_another_is_given(given, head):
    assert parse(given).head == head
