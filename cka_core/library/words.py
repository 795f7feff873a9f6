"""Networks in the words of the screen: nothing but strings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cka_core.library.catalogue import NetworkInfo

USUAL_IMAGES = "cifar10-mini"
"""Trained on these, a network's label does not say so: most are."""


def network_labels(networks: Mapping[str, NetworkInfo]) -> dict[str, str]:
    """A line to pick each network by, what differs first: "38x1 · plain recipe · seed 0 · 44 %". No two are the same.

    In groups: one's own networks, activation sets, networks trained here, those that came with the package by their
    recipe, untrained ones; in each by depth and width. Those with a name that somebody gave them begin with it.
    """
    order = sorted(networks, key=lambda name: _group(networks[name]))
    facts = {name: [*_facts(networks[name]), name] for name in order}
    labels: dict[str, str] = {}
    for name in order:
        for most in range(FEW, len(facts[name]) + 1):
            label = " · ".join(filter(None, facts[name][:most]))
            if sum(facts[other][:most] == facts[name][:most] for other in order) == 1:
                break
        labels[name] = label
    return labels


FEW = 5
"""So many facts a label has where they tell it from all others."""


def _facts(info: NetworkInfo) -> Iterator[str]:
    """What is to be said of a network, what differs most first."""
    spec, trained = info.record.get("spec") or {}, bool(info.trained_on)
    given = is_given_name(info)
    yield info.spec.name.partition("@")[0] if given else info.title.removeprefix("ResNet ")
    if trained:
        yield f"{recipe_word(info)} recipe{'' if info.trained_on == USUAL_IMAGES else f' on {info.trained_on}'}"
    else:
        yield _state(info)
    yield f"seed {info.spec.seed}" if trained or info.spec.seed else ""
    yield f"after epoch {info.spec.name.partition('@')[2]}" if "@" in info.spec.name else ""
    yield f"{100 * info.test_accuracy:.0f} %" if info.test_accuracy is not None else ""
    yield info.title.removeprefix("ResNet ") if given and trained else ""
    yield f"{spec['epochs']} epochs" if "epochs" in spec else ""


def recipe_word(info: NetworkInfo) -> str:
    """How a network was trained, in a word: "paper" and "notebook" as the presets of that name, "plain" without
    augmentation, else "own"."""
    spec = info.record.get("spec") or {}
    known = {
        "sgd, True, random": "paper",
        "adam, False, imagenet": "notebook",
        "sgd, False, random": "plain",
    }
    return known.get(", ".join(str(spec.get(field)) for field in ("optimizer", "augment", "start")), "own")


def is_given_name(info: NetworkInfo) -> bool:
    """Whether somebody gave a network its name, as a file has one; names made here begin with the architecture."""
    return info.spec.source != "bundled" and not info.spec.name.startswith(info.spec.architecture or " ")


def _group(info: NetworkInfo) -> tuple[int, str, str, bool, int, int, int]:
    groups = ("own", "activations", "trained", "bundled")
    number = groups.index(info.spec.source) if info.spec.source in groups else len(groups)
    name = info.spec.name if is_given_name(info) else ""
    recipe = {"plain": "0", "paper": "1"}.get(recipe_word(info), "2") if info.trained_on else ""
    imagenet = not info.spec.architecture.startswith("cifar-")
    return number, name, recipe, imagenet, info.depth, info.width, info.spec.seed or 0


def titles(a: NetworkInfo, b: NetworkInfo) -> tuple[str, str]:
    """What to call the two sides of a map, as `titles_of` calls both."""
    first, second = titles_of([a, b])
    return first, second


def titles_of(networks: Sequence[NetworkInfo]) -> list[str]:
    """What to call each of a few networks: short, by the name that somebody gave, with what tells it from the others,
    never the same for two."""
    short = [f"{_called(info)}, untrained" if _state(info) == "untrained" else _called(info) for info in networks]
    facts = [list(_facts(info))[1:-1] for info in networks]
    return [_told_apart(place, networks, short, facts) for place in range(len(networks))]


def _told_apart(place: int, networks: Sequence[NetworkInfo], short: list[str], facts: list[list[str]]) -> str:
    """The title of the network at a place: its short one, and a fact wherever others with the same differ from it."""
    like = [i for i, info in enumerate(networks) if short[i] == short[place] and info.spec != networks[place].spec]
    title = [short[place]]
    for fact, own in enumerate(facts[place]):
        alike = [i for i in like if facts[i][fact] == own]
        title += [own] if own and len(alike) < len(like) else []
        like = alike
    return networks[place].spec.name if like else ", ".join(title)


def pair_title(a: NetworkInfo, b: NetworkInfo) -> str:
    """What to call a comparison of two networks."""
    titles_a, titles_b = titles(a, b)
    return f"{titles_a} × {'itself' if a.spec == b.spec else titles_b}"


def _called(info: NetworkInfo) -> str:
    return info.spec.name.partition("@")[0] if info.trained_on and is_given_name(info) else info.title


def _state(info: NetworkInfo) -> str:
    if info.trained_on:
        return "trained"
    return {"untrained": "untrained", "activations": "activation set", "own": "your network"}.get(
        info.spec.source, "from a file"
    )


def counterpart(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> str | None:
    """The name of the untrained network behind a trained one, or of a trained network of an untrained one."""
    if info.trained_on:
        return info.untrained_name
    trained = (n for n, other in networks.items() if other.trained_on and other.untrained_name == info.spec.name)
    return next(trained, None)
