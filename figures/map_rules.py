"""Which rule copes with which mechanism, and is one never worse than random choice?

Regret: mean over seeds of log KL(rule) - log KL(best), best being the rule of least mean log KL in that situation, the
oracle outside the contest. Marks: the paired difference to random choice (ACUR), 95% t-interval. Map (d).
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures.rules import RULE_LOOKS, path
from figures.style import FLOOR, finish
from figures.tables import SweepTable, paired, seeds_said, signs
from sims.sweeps import HELD_OUT, LEANING, RULES

__all__ = ["SWEEPS", "draw", "regrets", "against_random"]

SWEEPS = ("mechanisms", "trusted-size")
SHOWN = (*RULES, "ORACLE")
MARKS = {1: "▲", -1: "▽", 0: "·"}
MOST = 2.0  # nats: the darkest colour


def last_kl(table: SweepTable) -> dict[str, dict[str, np.ndarray]]:
    """KL (seeds,) at the last generation, by situation and rule."""
    by = table.by("kl", "situation", "policy")
    names = dict.fromkeys(name for name, _ in by)
    return {name: {rule: by[name, rule][:, -1] for rule in SHOWN} for name in names}


def regrets(kls: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean log KL over that of the best rule, of one situation."""
    mean = {rule: float(np.log(kl).mean()) for rule, kl in kls.items()}
    best = min(mean[rule] for rule in RULES)
    return {rule: value - best for rule, value in mean.items()}


def against_random(kls: dict[str, np.ndarray]) -> dict[str, int]:
    """1 where a rule is worse than random choice, -1 where better, 0 where its interval holds no difference."""
    return {rule: int(signs(paired(kl, kls["ACUR"]))) if rule != "ACUR" else 0 for rule, kl in kls.items()}


def matrix(ax: Axes, kls: dict[str, dict[str, np.ndarray]]) -> None:
    """A row a situation, held-out ones last; a column a rule."""
    names = sorted(kls, key=lambda name: name in HELD_OUT)
    value = np.array([[regrets(kls[name])[rule] for rule in SHOWN] for name in names])
    image = np.clip(value, 0, MOST)
    ax.imshow(image, cmap="Purples", norm=Normalize(0, 1.25 * MOST), aspect="auto")
    for i, name in enumerate(names):
        marks = against_random(kls[name])
        for j, rule in enumerate(SHOWN):
            word = f"{value[i, j]:.2f}" + (f" {MARKS[marks[rule]]}" if rule != "ACUR" else "")
            best = rule in RULES and value[i, j] == 0
            ax.text(j, i, word, ha="center", va="center", fontsize=8, weight="bold" if best else "normal",
                    color="white" if image[i, j] > 0.7 * MOST else "black")  # fmt: skip
    for j, rule in enumerate(SHOWN[1:], start=1):
        worse = sum(against_random(kls[name])[rule] == 1 for name in names)
        ax.text(j, len(names), f"{worse} of {len(names)}", ha="center", va="center", fontsize=8.5)
    labels = [RULE_LOOKS[rule].label for rule in SHOWN]
    ax.set_xticks(range(len(SHOWN)), labels, rotation=25, ha="left", rotation_mode="anchor", fontsize=8.5)
    ax.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    words = [f"{n} (held out)" if n in HELD_OUT else n for n in names]
    ax.set_yticks(range(len(names) + 1), [*words, "worse than random choice ▲"])
    ax.set_ylim(len(names) + 0.5, -0.5)
    ax.axhline(len(names) - 0.5, color="black", linewidth=1.5)
    held = [i for i, name in enumerate(names) if name in HELD_OUT]
    if held:
        ax.axhline(held[0] - 0.5, color="black", linewidth=1.5)
    ax.axvline(len(RULES) - 0.5, color="black", linewidth=1.5)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def by_trusted(ax: Axes, table: SweepTable, name: str) -> None:
    """Paired difference to random choice against the number of trusted samples, in one situation."""
    by = {key: kl[:, -1] for key, kl in table.by("kl", "situation", "trusted", "policy").items()}
    sizes = np.array(sorted({m for s, m, _ in by if s == name}))
    rules = [rule for rule in LEANING if rule != "ACUR"]
    for i, rule in enumerate(rules):
        look = RULE_LOOKS[rule]
        D = np.stack([paired(by[name, m, rule], by[name, m, "ACUR"]) for m in sizes], axis=1)
        path(ax, sizes * 1.05 ** (i - 1), D, look)
    ax.axhline(0, color=FLOOR, linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{m:g}" for m in sizes])
    ax.minorticks_off()
    ax.set_xlabel("trusted real samples of a class")
    ax.set_title(name)


def draw(tables: dict[str, SweepTable]) -> Figure:
    """(a) regret by situation and rule, (b, c) difference to random choice by number of trusted samples."""
    table, trusted = (tables[name] for name in SWEEPS)
    kls = last_kl(table)
    figure = Figure(figsize=(13, 8.2 if len(kls) > 4 else 6.2), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(max(len(kls), 4) + 4, 5))
    upper, lower = halves
    matrix(upper.subplots(), kls)
    upper.suptitle(
        "(a) regret in nats of log KL; ▲ worse, ▽ better than random choice, · no difference seen",
        fontsize=9.5,
    )
    axes = lower.subplots(1, 2)
    for ax, name in zip(axes, dict.fromkeys(trusted.frame["situation"]), strict=True):
        by_trusted(ax, trusted, name)
        ax.set_title(f"({'b' if ax is axes[0] else 'c'}) {name}: log KL - log KL of random choice")
    axes[0].set_ylabel("nats; above 0: worse")
    number = len(kls) * (len(RULES) - 1)
    return finish(
        figure,
        f"Rules across mechanisms, generation {table.last}",
        "KL(truth || law of the generator), mean over classes; all rules keep the same number of the same pools. "
        "Regret: mean log KL less that of the row's best rule (bold; chosen on the same seeds), the oracle outside the "
        f"contest. Marks: 95% t-interval of the paired difference to random choice; of {number} about "
        f"{number / 40:.0f} fall on either side by chance alone. Held out: not used in the design of any rule. (a) 100 "
        f"trusted samples of a class. {seeds_said([table, trusted])}",
        [table, trusted],
        handles=axes[0].get_legend_handles_labels()[0],
    )
