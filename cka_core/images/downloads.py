"""Image sets that Keras' own loaders fetch, kept in the store as npz once they were checked."""

from __future__ import annotations

from typing import Any

from cka_core.base import extras
from cka_core.images.cifar10_files import Arrays

LOADERS = {"cifar10": "cifar10", "cifar100": "cifar100", "mnist": "mnist", "fashion-mnist": "fashion_mnist"}
"""Names of image sets, and what ``keras.datasets`` calls them."""
CIFAR100_CLASSES = tuple(
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
    "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
    "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
    "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
    "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
    "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank "
    "telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm".split()
)
DIGITS = tuple("0123456789")
FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@extras.told()
def fetched(name: str) -> Arrays:
    """x_train, y_train, x_test, y_test, by Keras' own loader; whatever it raises where that does not work."""
    from keras import datasets

    loader: Any = getattr(datasets, LOADERS[name])
    (x_train, y_train), (x_test, y_test) = loader.load_data()
    grey = x_train.ndim == 3
    x_train, x_test = (x[..., None] if grey else x for x in (x_train, x_test))
    return x_train, y_train, x_test, y_test
