"""Which data sets of images are there? One row each; sims.images reads them.

Paper size: all that the smallest class leaves of the train part after 500 trusted, 1000 reference and 1000 for the
classifiers, in round numbers (MNIST's smallest class has 5,421); CelebA, whose smallest class has over 20,000, is held
to 10,000 a class, which is 2.5 GB.
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Parts", "DataSet", "DATASETS", "dataset"]


@dataclass(frozen=True)
class Parts:
    """Images of each class in each part; `classifiers` None: whatever the others leave of each class."""

    train: int
    trusted: int
    reference: int
    classifiers: int | None

    @property
    def needed(self) -> int:
        """The fewest images that a class must have."""
        return (
            self.train + self.trusted + self.reference + (1 if self.classifiers is None else self.classifiers)
        )


@dataclass(frozen=True)
class DataSet:
    """One set of square images: what a world must know of it before a file is opened, and how to get it.

    `kind` is how it is read; `folder` where it lies if the user names no folder. `parts` and `classes` are None for a
    folder of the user's own, whose sub-folders are the classes and whose smallest class sets the sizes.
    """

    name: str
    kind: str
    size: int
    channels: int
    classes: tuple[str, ...] | None
    parts: Parts | None
    origin: str
    how: str
    folder: Path | None = None


GARMENTS = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FACES = ("female", "female smiling", "male", "male smiling")
NUMERALS = tuple("0123456789")

FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_ORIGIN = "Xiao, Rasul and Vollgraf (2017), train part of 60,000"
FASHION_HOW = "install Debian's package dataset-fashion-mnist, or name a folder with its IDX files"
IDX_HOW = "name a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz"
HUB_HOW = "name a folder that `datasets` saved (save_to_disk), or one with train*.parquet"

DATASETS = {
    row.name: row
    for row in (
        DataSet(
            "digits",
            "embedded",
            8,
            1,
            NUMERALS,
            Parts(72, 30, 40, None),
            "Alpaydin and Kaynak, UCI (1998), 1,797 images",
            "it ships with scikit-learn",
        ),
        DataSet(
            "fashion-mnist",
            "idx",
            28,
            1,
            GARMENTS,
            Parts(200, 60, 200, 400),
            FASHION_ORIGIN,
            FASHION_HOW,
            FASHION,
        ),
        DataSet(
            "fashion-mnist-large",
            "idx",
            28,
            1,
            GARMENTS,
            Parts(3500, 500, 1000, 1000),
            FASHION_ORIGIN,
            FASHION_HOW,
            FASHION,
        ),
        DataSet(
            "mnist",
            "idx",
            28,
            1,
            NUMERALS,
            Parts(2900, 500, 1000, 1000),
            "LeCun, Cortes and Burges (1998), train part of 60,000",
            IDX_HOW,
        ),
        DataSet(
            "cifar-10",
            "images",
            32,
            3,
            THINGS,
            Parts(2500, 500, 1000, 1000),
            "Krizhevsky (2009), train part of 50,000",
            f"{HUB_HOW}: columns img or image (32x32) and label",
        ),
        DataSet(
            "celeba",
            "faces",
            64,
            3,
            FACES,
            Parts(10_000, 500, 1000, 1000),
            "Liu, Luo, Wang and Tang (2015), gender x smiling, centre-cropped, 64x64",
            f"{HUB_HOW}: columns image, Male and Smiling (or attributes)",
        ),
    )
}

OWN = "folder:SIZE:grey or folder:SIZE:rgb"
OWN_HOW = "name a folder with one sub-folder of images a class, all of one size"


def dataset(name: str) -> DataSet:
    """The row of a name; `folder:SIZE:grey` and `folder:SIZE:rgb` make one for a folder of the user's own.

    Raises ValueError for any other name.
    """
    if name in DATASETS:
        return DATASETS[name]
    kind, _, rest = name.partition(":")
    size, _, colour = rest.partition(":")
    if (
        kind != "folder"
        or not (size.isascii() and size.isdigit() and int(size) > 0)
        or colour not in ("grey", "rgb")
    ):
        raise ValueError(f"data set {name!r} is not known: {', '.join(DATASETS)}, {OWN}")
    channels = 1 if colour == "grey" else 3
    return DataSet(name, "folders", int(size), channels, None, None, "a folder of your own", OWN_HOW)
