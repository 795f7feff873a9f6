"""Why layers are similar: the analyses of a network, under one name. Nothing is defined here.

Block structure (`find_blocks`), principal components and what changes without them or without a few images, linear
probes and behaviour, deleted residual blocks. Code of this package imports them from where they are defined.
"""

from cka_core.measures.behaviour import (
    accuracy_by_class,
    compare_behaviour,
    hellinger_distance,
    kl_divergence,
    log_probabilities,
    seed_variation,
    wilson_interval,
)
from cka_core.measures.blocks import Block, block_text, find_blocks
from cka_core.measures.components import (
    Components,
    centred_gram,
    cka_matrix,
    component_cosines,
    influence,
    most_influential,
    principal_components,
    without_components,
    without_images,
)
from cka_core.measures.probes import probe, probe_grams
from cka_core.networks.surgery import residual_blocks, without_blocks

__all__ = [
    "Block", "Components", "accuracy_by_class", "block_text", "centred_gram", "cka_matrix", "compare_behaviour",
    "component_cosines", "find_blocks", "hellinger_distance", "influence", "kl_divergence", "log_probabilities",
    "most_influential", "principal_components", "probe", "probe_grams", "residual_blocks", "seed_variation",
    "wilson_interval", "without_blocks", "without_components", "without_images",
]  # fmt: skip
