"""What a teacher and a student of different architectures have in common, and what can be learnt from it."""

import dataclasses

from keras_cdd.distill.site_pairs import shared_names
from keras_cdd.errors import UserError
from keras_cdd.models.gated_units import gated_blocks, units_by_site
from keras_cdd.models.sites import cut_sites


def agreed_weights(student, teacher, weights, residual=False):
    """Switches off the losses that this teacher cannot give this student.

    Args:
        student: retrieval model, cut or not.
        teacher: retrieval model of any architecture with an `embedding`, or None.
        weights: `LossWeights`.
        residual: whether outer widths are sites, too. Default: False.

    Returns:
        `(weights, lines)`: the `LossWeights` with 0 for what is off, and a sentence for every loss that is off, or that
        compares only a part of the student.
    """
    if teacher is None:
        return weights, []
    off, lines = {}, []
    if weights.logit and "logits" not in teacher.output:
        off["logit"] = 0.0
        lines.append("The teacher has no logits: the logit loss is off.")
    lengths = [model.output["embedding"].shape[-1] for model in (teacher, student)]
    if weights.embedding and lengths[0] != lengths[1]:
        off["embedding"] = 0.0
        lines.append(_unequal("The teacher's embedding has", *lengths))
    if weights.feature:
        shared, own = shared_sites(student, teacher, residual)
        # The features of gated blocks are compared in all of them or in none.
        if not shared or gated_blocks(student) and len(shared) < own:
            off["feature"] = 0.0
            found = f"only {len(shared)} of the student's {own} sites" if shared else "no site"
            lines.append(f"Teacher and student share {found} of the same name and width: the feature loss is off.")
        elif len(shared) < own:
            lines.append(f"The feature loss compares the {len(shared)} of {own} sites that the teacher has, too.")
    return dataclasses.replace(weights, **off), lines


def agreed_with_embeddings(student, length, weights):
    """Switches off the losses that given embeddings in place of a teacher cannot give this student.

    Args:
        student: retrieval model.
        length: of the given embeddings.
        weights: `LossWeights`.

    Returns:
        `(weights, lines)` as `agreed_weights`.

    Raises:
        UserError: if no loss is left that the embeddings can give.
    """
    own = student.output["embedding"].shape[-1]
    off = {"logit": 0.0, "feature": 0.0}
    lines = ["Given embeddings have neither logits nor features: the logit and the feature loss are off."]
    if not (weights.logit or weights.feature):
        lines = []
    if weights.embedding and length != own:
        off["embedding"] = 0.0
        lines.append(_unequal("The given embeddings have", length, own))
    left = dataclasses.replace(weights, **off)
    if not (left.embedding or left.relation):
        raise UserError(
            f"--teacher_embeddings of {length} values teach this student nothing; set --relation_weight, or "
            f"--embedding_weight and --embedding_size={length}."
        )
    return left, lines


def _unequal(whose, length, own):
    return (
        f"{whose} {length} values, the student's {own}: "
        "the embedding loss is off, the relation loss needs no equal lengths."
    )


def shared_sites(student, teacher, residual=False):
    """The sites whose activations can be compared: uncut in the teacher and as wide as in the uncut student.

    Sites of gated blocks are called `<block>/<convolution>`; only networks without such blocks have others, which are
    called as in `keras_cdd.sites`.

    Returns:
        `(names, own)`: the list of their names, and how many sites the student has.
    """
    if not (blocks := gated_blocks(student)):
        ours = cut_sites(student, residual)
        return shared_names(ours, cut_sites(teacher, residual=True)), len(ours)
    ours = {block.site(unit): block.filters for block in blocks for unit in block.inner}
    theirs = {site: unit.filters for site, unit in units_by_site(teacher).items()}
    return [site for site, width in ours.items() if theirs.get(site) == width], len(ours)


def agreed_compression(config, student, teacher):
    """Switches off the gradient reset if it finds nothing to compare.

    It compares the teacher's channels with the student's at the indicators whose site both have.

    Args:
        config: `Config`.
        student: retrieval model, cut or not.
        teacher: retrieval model of any architecture, or None.

    Returns:
        `(compression, lines)`: the `CompressionConfig`, and a sentence if the reset is off or acts on a part.

    Raises:
        UserError: if `--importance=reset` lacks the reset at an indicator.
    """
    compression = config.compression
    if compression.gradient_reset_epoch < 0 or teacher is None:
        return compression, []
    found = cut_sites(student, config.surgery.residual)
    shared, own = len(reset_widths(found, teacher)), len(found.kernels())
    if shared == own:
        return compression, []
    if config.surgery.importance == "reset":
        raise UserError(
            f"--importance=reset needs a teacher with the sites of all indicators, and this one has {shared} of {own} "
            "of the same name and width; rank by --importance=fisher."
        )
    # The channels of gated blocks are compared in all of them or in none.
    if shared and not gated_blocks(student):
        return compression, [f"The gradient reset acts on the {shared} of {own} indicators whose site the teacher has."]
    line = f"The teacher has {shared} of the {own} sites with indicators, by name and width: the gradient reset is off."
    return dataclasses.replace(compression, gradient_reset_epoch=-1.0), [line]


def reset_widths(sites, teacher):
    """Site -> channels, for the indicators of a student whose site the teacher has in the same full width."""
    ours = {name: sites[name].full_channels for name in sites.kernels()}
    theirs = site_widths(teacher)
    return {name: width for name, width in ours.items() if theirs.get(name) == width}


def require_indicators(config, student):
    """Checks that `--compression` and the gradient reset find indicators to act on.

    Raises:
        UserError: if the student has none.
    """
    has_reset = config.compression.gradient_reset_epoch >= 0
    if config.compression.compression == "none" and not has_reset:
        return
    if not cut_sites(student, config.surgery.residual).kernels():
        flag = "--gradient_reset_epoch" if has_reset else "--compression"
        raise UserError(
            f"{flag} acts on indicators, and this student has none; add --indicator=dense or diagonal, or use a "
            "--backbone of gated blocks (resnet18 to resnet152)."
        )


def site_widths(model):
    """Site -> channels, of a network of gated blocks (all inner convolutions) or of stock layers."""
    if gated_blocks(model):
        return {site: unit.filters for site, unit in units_by_site(model).items()}
    return {name: site.channels for name, site in cut_sites(model, residual=True).items()}
