"""Jobs beside a map: several comparisons at once, and what is asked of one."""

from __future__ import annotations

import dataclasses

import pytest

from cka_core.base import deployment
from cka_core.comparing import engine
from cka_core.images.sets import SampleSpec
from cka_core.jobs import admission, worker
from cka_core.library import catalogue
from cka_core.results import best_match, estimators
from cka_core.results.best_match import BestMatchSpec
from cka_core.results.comparison import CompareSpec, find
from cka_core.results.estimators import EstimatorSpec
from cka_core.results.spec import Several

SMALL = "cifar-resnet-8x1"


def asked(n: int = 16, **how: object) -> CompareSpec:
    a = catalogue.find(SMALL).spec
    return CompareSpec(a, a, SampleSpec("cifar10-mini", "test", n, 0), **({"batch_size": n} | how))


def test_several_comparisons_are_one_job_that_passes_over_what_is_there(store):
    wanted = Several((asked(), asked(measure="svcca")))
    assert Several.from_json(dataclasses.asdict(wanted)) == wanted
    told = []
    worker.KINDS["several"](dataclasses.asdict(wanted), store, told.append)
    assert all(find(spec, store) is not None for spec in wanted.specs)
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions) and "2 of 2" in told[-1].detail
    told.clear()
    worker.KINDS["several"](dataclasses.asdict(wanted), store, told.append)
    assert told == []


def test_of_several_the_others_are_made_where_one_cannot_be_had(store):
    wanted = Several((asked(8, measure="mutual-knn"), asked(8, measure="ridge")))
    with pytest.raises(ValueError, match="more than 11 images"):
        worker.KINDS["several"](dataclasses.asdict(wanted), store, lambda _: None)
    assert [find(spec, store) is not None for spec in wanted.specs] == [False, True]


def test_each_of_several_has_to_be_as_small_as_one_may_be(store, monkeypatch):
    monkeypatch.setenv("CKA_MAX_IMAGES", "64")
    admission.check_size("several", dataclasses.asdict(Several((asked(), asked(64)))), store)
    with pytest.raises(deployment.LimitReached, match="64 images"):
        admission.check_size("several", dataclasses.asdict(Several((asked(), asked(65)))), store)


def test_the_best_match_by_chance_is_a_job_and_lies_far_below_the_map(store):
    spec = BestMatchSpec(asked(48), draws=40)
    told = []
    worker.KINDS["best match"](dataclasses.asdict(spec), store, told.append)
    found = best_match.find(spec, store)
    assert found.draws == 40 and len(found.high) == 29 and (found.mean < found.high).all()
    assert (found.high < 0.5).all() and told[-1].detail == "40 permutations"


def test_a_pair_of_layers_is_looked_at_on_random_samples(store):
    spec = EstimatorSpec(asked(48, batch_size=16), "stem_conv", "head_logits", draws=3)
    worker.KINDS["estimators"](dataclasses.asdict(spec), store, lambda _: None)
    found = estimators.find(spec, store)
    assert list(found.images) == [8, 16, 32, 48] and found.biased.shape == (3, 4, 4)
    whole = engine.run(asked(48, batch_size=48), store).to_frame().loc["stem_conv", "head_logits"]
    assert found.unbiased[0, -1, -1] == pytest.approx(whole, abs=1e-4)
    missing = dataclasses.replace(spec, layer_a="stem_conv (9)")
    with pytest.raises(ValueError, match="stem_conv"):
        worker.KINDS["estimators"](dataclasses.asdict(missing), store, lambda _: None)
