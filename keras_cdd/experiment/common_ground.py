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


def require_indicators(config, student, teacher):
    """Checks that `--compression` and the gradient reset find the indicators that they act on.

    The reset compares the teacher's channels with the student's at every indicator.

    Raises:
        UserError: if the student has no indicator, or the reset's teacher lacks a site of an indicator.
    """
    has_reset = config.compression.gradient_reset_epoch >= 0
    if config.compression.compression == "none" and not has_reset:
        return
    found = cut_sites(student, config.surgery.residual)
    indicated = found.kernels().keys()
    if not indicated:
        flag = "--gradient_reset_epoch" if has_reset else "--compression"
        raise UserError(
            f"{flag} acts on indicators, and this student has none; add --indicator=dense or diagonal, or use a "
            "--backbone of gated blocks (resnet18 to resnet152)."
        )
    if not has_reset:
        return
    theirs = site_widths(teacher)
    lacking = [name for name in indicated if theirs.get(name) != found[name].full_channels]
    if lacking:
        raise UserError(
            f"--gradient_reset_epoch compares teacher and student at every indicator, but this teacher has no "
            f"site {lacking[0]} of the full width ({len(indicated) - len(lacking)} of {len(indicated)} are equal); "
            "give a teacher of the student's architecture, or --gradient_reset_epoch=-1."
        )


def site_widths(model):
    """Site -> channels, of a network of gated blocks (all inner convolutions) or of stock layers."""
    if gated_blocks(model):
        return {site: unit.filters for site, unit in units_by_site(model).items()}
    return {name: site.channels for name, site in cut_sites(model, residual=True).items()}
