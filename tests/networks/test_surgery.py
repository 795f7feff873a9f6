"""Deleting a residual block leaves its input, exactly, and the network is whole again afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.networks.architectures import architecture
from cka_core.networks.building import build_network, weights_digest
from cka_core.networks.surgery import residual_blocks, without_blocks


def test_every_residual_block_is_found():
    names = [block.name for block in residual_blocks(architecture("cifar-resnet-14x1").layers)]
    assert names == [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in (1, 2)]
    assert len(residual_blocks(architecture("resnet50").layers)) == 16


def test_a_deleted_block_passes_its_input_on():
    import keras

    model = build_network("cifar-resnet-14x1", seed=3)
    watch = keras.Model(
        model.inputs, [model.get_layer("stage1_block1_relu2").output, model.get_layer("stage1_block2_add").output]
    )
    x = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    before, digest = model.predict(x, verbose=0), weights_digest(model)
    with without_blocks(model, ["stage1_block2"]):
        entered, left = watch.predict(x, verbose=0)
        assert (entered == left).all()
        assert not np.array_equal(model.predict(x, verbose=0), before)
    assert np.array_equal(model.predict(x, verbose=0), before) and weights_digest(model) == digest


def test_an_unknown_block_is_refused_with_those_there_are():
    model = build_network("cifar-resnet-8x1")
    with pytest.raises(ValueError, match="no residual block 'stage9_block1'. It has: stage1_block1, stage2_block1"):
        with without_blocks(model, ["stage9_block1"]):
            pass
