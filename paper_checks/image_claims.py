"""What do we claim of the image loops beyond the paper, and which rule decides? Rows of the register of claims.

Written before any run. Distances: see metric names in paper_checks/measures.py; a rule R of lsf is the policy ACU-R.
Every comparison is at the last generation: the fifth, or the fifteenth where the convention says so.
"""

from math import log

from paper_checks.pair_models import LATENTS, LAWS, LAWS_BESIDE, MEASURES, MEASURES_BESIDE
from paper_checks.register import DIGITS, IMAGES, NOTES, OURS, RERUN, Claim, rows

__all__ = ["IMAGE_CLAIMS", "CORRECTED", "SPACES"]

MARGIN = log(1.1)
PIXELS, IMAGENET = "pixels-pca-30", "efficientnet-lite0-64px"
SPACES = (PIXELS, IMAGENET)
"""Feature spaces beside the project's own classifier."""
CORRECTED = (
    "LSF-CLASS",
    "LSF-THRESHOLD",
    "LSF-MATCHED",
    "RATIO-CLASS",
    "RANKSUM-CLASS",
    "HERD",
    "SHRUNK",
)
OTHER_LATENTS = ("PIXELS", "PCA", "CLASSIFIER", "IMAGENET")
LENGTHS = "record, digits, generation-0 lengths of 60 to 2000 steps"


def of_rule(id: str, statement: str, rule: str, margin: float) -> list[Claim]:
    """A row for each corrected rule; of those, Fashion-MNIST runs the best one of the analytic worlds alone."""
    return [
        Claim(
            id,
            R,
            OURS,
            statement,
            rule,
            margin,
            IMAGES if R == "SHRUNK" else DIGITS,
            source="loops" if f"ACU-{R}" in RERUN else "record",
        )
        for R in CORRECTED
    ]


LONG = [
    Claim(
        "lsf-best-fid",
        f"generation 15, against {rival}",
        NOTES,
        "... and over fifteen generations (D as above)",
        margin=MARGIN,
        worlds=DIGITS,
        source="long",
    )
    for rival in ("SYN", "ACUR")
] + [
    Claim(
        "lsf-harms",
        "generation 15, against ACUR",
        OURS,
        "... and over fifteen generations (D as above)",
        margin=MARGIN,
        worlds=DIGITS,
        source="long",
    ),
    Claim(
        "rule-not-worse",
        "generation 15, SHRUNK",
        OURS,
        "Shrunk herding is no worse than a random choice over fifteen generations either "
        "(D: log distance of ACUR - of ACU-SHRUNK)",
        "not worse",
        -MARGIN,
        DIGITS,
        source="long",
    ),
]


def under(solver: str, words: str, world: str, source: str) -> list[Claim]:
    """The filter, and shrunk herding, on the world's networks under another solver."""
    found = [
        Claim(
            "lsf-best-fid",
            f"{solver}, against {rival}",
            NOTES,
            f"... {words} (D as above)",
            margin=MARGIN,
            worlds=(world,),
            source=source,
        )
        for rival in ("SYN", "ACUR")
    ]
    return [
        *found,
        Claim(
            "rule-not-worse",
            f"{solver}, SHRUNK",
            OURS,
            "Nor is shrunk herding worse than a random choice there (D: log distance of ACUR - of ACU-SHRUNK)",
            "not worse",
            -MARGIN,
            (world,),
            source=source,
        ),
    ]


NETS = "the same weak nets sampled"
SOLVERS = [
    *under("stochastic solver", f"{NETS} with fresh noise in each of 20 steps", "digits-weak", "stochastic"),
    *under(
        "ten stochastic steps",
        f"{NETS} with fresh noise in each of 10 steps: noise alone",
        "digits-weak",
        "stochastic-10",
    ),
    *under("20 steps without noise", f"{NETS} in 20 steps: more steps alone", "digits-weak", "20-steps"),
    *under(
        "steps in log-SNR",
        "the same strong nets sampled in ten steps evenly spaced in log-SNR, which do not narrow what is made",
        "digits-strong",
        "log-snr",
    ),
    *under(
        "generation 15, steps in log-SNR",
        "the same, over fifteen generations",
        "digits-strong",
        "log-snr-long",
    ),
    *(
        Claim(
            "lsf-harms",
            f"{solver}, against ACUR",
            OURS,
            f"... and so {words} (D as above)",
            margin=MARGIN,
            worlds=("digits-strong",),
            source=source,
        )
        for solver, words, source in (
            (
                "generation 15, steps in log-SNR",
                "over fifteen generations under a solver that does not narrow",
                "log-snr-long",
            ),
            ("steps in log-SNR", "under a solver that does not narrow what is made", "log-snr"),
        )
    ),
    Claim(
        "top-n-costs",
        "steps in log-SNR, recall",
        OURS,
        "... recall, under a solver that does not narrow what is made (D: of ACUR - of ACU-LSF)",
        margin=0.05,
        worlds=("digits-strong",),
        source="log-snr",
    ),
]

OTHER_SPACES = [
    Claim(
        "lsf-best-fid",
        f"{space}, against {rival}",
        NOTES,
        "... in another feature space (D as above)",
        margin=MARGIN,
        worlds=IMAGES,
    )
    for space in SPACES
    for rival in ("SYN", "ACUR")
] + [
    Claim(
        "lsf-best-fid",
        f"kernel distance, against {rival}",
        NOTES,
        "... in kernel distance, which may be 0 or less: no logarithms (D: that of the rival - of ACU-LSF)",
        worlds=IMAGES,
    )
    for rival in ("SYN", "ACUR")
]

COST = [
    Claim(
        "top-n-costs",
        "recall",
        OURS,
        "Top-N costs recall (D: of ACUR - of ACU-LSF)",
        margin=0.05,
        worlds=IMAGES,
    ),
    Claim(
        "top-n-costs",
        "coverage",
        OURS,
        "... coverage (D: of ACUR - of ACU-LSF)",
        margin=0.05,
        worlds=IMAGES,
    ),
    Claim(
        "top-n-costs",
        "smallest class kept",
        OURS,
        "... the smallest class of what is trained on (D: its share under ACUR - under ACU-LSF, "
        "mean over generations 2 to the last)",
        margin=0.02,
        worlds=IMAGES,
    ),
    Claim(
        "top-n-costs",
        "rarest class made",
        OURS,
        "... the rarest class of what is made (D: least share over classes, in units of the real one, of ACUR - of "
        "ACU-LSF)",
        margin=0.1,
        worlds=IMAGES,
    ),
]

RULES = [
    *of_rule(
        "rule-not-worse",
        "The rule keeps what a random choice has (D: log distance of ACUR - of the rule)",
        "not worse",
        -MARGIN,
    ),
    *of_rule(
        "rule-beats-top-n",
        "The rule is nearer the truth than global top-N (D: log distance of ACU-LSF - of the rule)",
        "superior",
        MARGIN,
    ),
    *of_rule(
        "rule-keeps-recall",
        "... and costs no recall (D: recall of the rule - of ACUR)",
        "not worse",
        -0.05,
    ),
    *rows(
        ("LSF", *CORRECTED),
        id="right-in-both",
        place=OURS,
        statement="The rule is never worse than a random choice, in log distance or in recall, in either regime of the "
        "digits (holds iff rule-not-worse and rule-keeps-recall hold in both; one cell, in the last of them)",
        worlds=("digits-strong",),
    ),
    Claim(
        "rule-not-worse",
        "LSF",
        OURS,
        "Global top-N, by the same measure (D: log distance of ACUR - of ACU-LSF)",
        "not worse",
        -MARGIN,
        IMAGES,
    ),
    Claim(
        "rule-keeps-recall",
        "LSF",
        OURS,
        "... (D: recall of ACU-LSF - of ACUR)",
        "not worse",
        -0.05,
        IMAGES,
    ),
]

WHY = [
    *rows(
        tuple(f"against {latent}" for latent in OTHER_LATENTS),
        id="latent-is-better",
        place=OURS,
        margin=MARGIN,
        worlds=DIGITS,
        source="record",
        statement="Diffusion latents filter better than pixels, PCA, a classifier's or an ImageNet network's features "
        "(D: log distance of the paper's rule on those - on diffusion latents)",
    ),
    Claim(
        "equal-steps",
        "against ACU",
        OURS,
        "What ACU gains, it gains by more gradient steps (D: log distance of ACU-EQUAL-STEPS - of ACU)",
        margin=MARGIN,
        worlds=DIGITS,
        source="record",
    ),
    Claim(
        "equal-steps",
        "against ACUR",
        OURS,
        "At equal steps all the data are better than a random N (D: log distance of ACUR - of ACU-EQUAL-STEPS)",
        margin=MARGIN,
        worlds=DIGITS,
        source="record",
    ),
    Claim(
        "oracle-beats-random",
        "",
        OURS,
        "To keep the pool's real data alone would be worth it (D: log distance of ACUR - of ORACLE)",
        margin=MARGIN,
        worlds=DIGITS,
        source="record",
    ),
    *rows(
        ("SYN", "ACUR", "ACU-LSF", "ACU-SHRUNK"),
        id="memorises",
        place=OURS,
        margin=MARGIN,
        worlds=IMAGES,
        statement="What is made lies nearer the training images than real images unseen do "
        "(D: - log of the ratio of mean distances to the nearest training image, pixels)",
    ),
    *rows(
        ("crossing length", "label accuracy at the crossing"),
        id="help-turns-to-harm",
        place=OURS,
        rule="turn",
        worlds=("digits-weak",),
        cost=LENGTHS,
        source="lengths",
        statement="With the training of generation 0, top-N turns from help to harm (D: log distance of ACUR - of "
        "ACU-LSF, CI above 0 at the shortest training and below at the longest; value: where its mean crosses 0, "
        "interpolated in log steps: the steps, and generation 0's label accuracy there)",
    ),
    *rows(
        ("ten stochastic steps, crossing length", "ten stochastic steps, label accuracy at the crossing"),
        id="help-turns-to-harm",
        place=OURS,
        rule="turn",
        worlds=("digits-weak",),
        cost=LENGTHS,
        source="lengths-stochastic-10",
        statement="... the same networks sampled with fresh noise in each of ten steps (D as above)",
    ),
]

MODELS = {
    "two-subspace": (
        "",
        "the two-subspace model, a pair of classes about its common mean, beside the filter's probe",
    ),
    "two-subspace, own probe": (", own probe", "... beside the model's own quadratic probe"),
    "two-subspace, own means": (
        ", own means",
        "... each class about its own mean, beside the model's own quadratic probe",
    ),
    "gaussian": ("", "Gaussian classes with means, beside the filter's linear probe"),
}
"""Laws of paper_checks/pair_models.py: what the convention adds, and in words."""
THEORY = [
    Claim(
        f"{law.partition(', ')[0]}-predicts-images",
        f"{measure}{variant}",
        OURS,
        f"Fitted to latents of a generation: {words}. It predicts what is seen: {measure} (D: relative error of the "
        "mean over class pairs; 95% CI over seeds within 10% in every cell of SYN, ACUR, ACU-LSF at 0, 1, the last)",
        "exact",
        worlds=DIGITS,
        cost="minutes, kept as a record",
    )
    for law, (variant, words) in ((law, MODELS[law]) for law in LAWS)
    for measure in MEASURES
    if "own probe" not in law or "OLE" not in measure
]
THEORY += [
    Claim(
        f"{law}-predicts-images",
        f"{measure}, {latents}",
        OURS,
        f"The same of {law} and {measure}, where the latents are {latents}, with a probe of their own",
        "exact",
        worlds=DIGITS,
        cost="minutes, kept as a record",
    )
    for latents in LATENTS[1:]
    for law in LAWS_BESIDE
    for measure in MEASURES_BESIDE
]

IMAGE_CLAIMS = (*LONG, *SOLVERS, *OTHER_SPACES, *COST, *RULES, *WHY, *THEORY)
