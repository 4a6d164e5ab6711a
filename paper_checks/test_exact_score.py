"""Is the OLE of real data U-shaped over timesteps where the latents are posterior means under an exact score?

Two classes of rank 4 at right angles in 32 dimensions, floor .1; the denoiser is that of a generator fitted once to 400
real samples, full covariances (gaussian) or probabilistic principal components (low-rank), means known.
"""

from functools import cache

import numpy as np
import pytest

from paper_checks.claims import claim
from paper_checks.measures import u_depths
from paper_checks.statistics import FAILS, interval, superior
from paper_checks.verdicts import Evidence
from sims.analytic import World
from sims.cells import Cell, Lab
from sims.distances import subspaces
from sims.exact_score import latent_curve
from sims.seeds import stream
from sims.sweeps import TIMESTEPS

FITS = {"gaussian": "full", "low-rank": "ppca"}
KINDS = {"raw": "ole", "normalised": "ole_normalised"}
SEEDS = range(1000, 1100)


@cache
def curves(world: str, given: str, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """(seeds, timesteps) of OLE, raw and normalised."""
    row = World(dim=32, rank=4, noise=0.1, fit=FITS[world], known_mean=True, timestep=100)
    found = []
    for seed in seeds:
        lab = Lab(Cell(row, "SYN", seed, generations=0))
        frozen = lab.generator.fit(lab.real, stream(seed, "train", 0)).fitted
        unseen = lab.fresh(lab.cell.n, stream(seed, "unseen"))
        frames = subspaces(lab.truth.moments()[1], row.rank)
        found.append(latent_curve(frozen, unseen.x, unseen.y, frames, TIMESTEPS, given == "noised"))
    return {kind: np.array([[r[name] for r in rows] for rows in found]) for kind, name in KINDS.items()}


@pytest.mark.parametrize("world", FITS)
@pytest.mark.parametrize("given", ["clean", "noised"])
@pytest.mark.parametrize("kind", KINDS)
def test_u_shape(kind: str, given: str, world: str, report: list[Evidence], seed: int, smoke: bool) -> None:
    """Control: the same numbers in falling order, which have no U, fail."""
    row = claim(f"ole-u-shape [{kind}, {given}, exact score]")
    seeds = tuple(s + 1000 * seed for s in (SEEDS[:5] if smoke else SEEDS))
    found = curves(world, given, seeds)[kind]
    D = u_depths(found)
    ci = interval(D)
    assert superior(u_depths(-np.sort(-found, axis=1)), row.margin) == FAILS, "the control has a U"
    report.append(Evidence(row, world, superior(D, row.margin), ci.mean, (ci.low, ci.high), seeds))
