"""What does the paper claim, what do we claim instead, and which rule decides?

Every claim is a row of data, written before the first full run and never moved after it (git history shows it). Paper:
Cai, Wang, Liu and Zhang, "Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering", AAAI-26; its claims
are known to us "as reported in secondary notes", so only directions are tested, none of its numbers.

D is the paired per-seed statistic of paper_checks/measures.py; `margin` is in units of D. Rules:
  superior      image worlds: all seeds agree in sign, 95% CI beyond the margin, mean beyond 2 s.d. of the REAL
                arm's own seed-to-seed difference; analytic worlds: CI beyond the margin. Fails iff the CI lies
                below the margin.
  equivalent    holds iff the CI lies within +-margin; fails iff it lies wholly outside.
  not worse     superior, without the REAL arm: the margin is what may be lost.
  exact         a statement of the theory: held against simulation within 5 standard errors (asymptotic values: plus a
                stated bias), or refuted by one certain counterexample.
  own seeds     superior, on 100 seeds (from 1000 on) that the check simulates itself.
  turn          one statistic over presets in order, whose sign must turn: CI above 0 in the first, below in the last.
  maps          paired seeds in every cell of a map (paper_checks/test_maps.py): worse than random choice where the
                CI of the difference of logs lies below 0. What a row calls most, or half, is its own rule.
A row's `source` says where its evidence on images comes from: loops that the check runs now, or a record of long ones
(paper_checks/image_records.py). The rows that only images have: paper_checks/image_claims.py.
"""

from math import log

from paper_checks.image_claims import IMAGE_CLAIMS
from paper_checks.register import (
    ANALYTIC,
    DIGITS,
    FROM_RUNS,
    IMAGES,
    LOOPS,
    NOTES,
    OURS,
    WORLDS,
    Claim,
    rows,
    theory,
)

__all__ = ["Claim", "CLAIMS", "FROM_RUNS", "WORLDS", "LOOPS", "EXPECTED", "claim"]

THEOREMS = [
    theory(
        "confidence-upper-bound",
        "factor inside the sigmoid",
        "Theorem 2",
        "With equal principal angles the expected confidence is at most sigmoid(r sin^2 t / (2 s^2 (s^2 + 1)))",
    ),
    theory(
        "confidence-upper-bound",
        "factor outside the sigmoid",
        "Theorem 2, as the notes print it",
        "... at most sigmoid(r sin^2 t) / (2 s^2 (s^2 + 1))",
    ),
    theory(
        "confidence-upper-bound",
        "three classes, natural form",
        "Theorem 2, carried to C classes",
        "... at most 1 / (1 + (C - 1) exp(-r / (2 s^2 (s^2 + 1)))) for orthogonal subspaces",
    ),
    theory(
        "ole-lower-bound",
        "reconstruction",
        "Theorem 1, C1 and C2 reconstructed by us",
        "E OLE >= 2 E|G|_* - sqrt(r) phi(t), phi(t) = sqrt(2n) sqrt(l cos t) + sqrt(2n(2n-1)) sqrt(1 - cos t), l = r",
    ),
    theory(
        "ole-lower-bound",
        "corrected",
        "Theorem 1, corrected by us",
        "E OLE >= sum_c E|M_c|_* - sqrt n (sum_i sqrt(1+cos_i+2s^2) + sqrt(1-cos_i+2s^2) + (d-2r) sqrt2 s), "
        "tight as n grows",
    ),
]

DEGRADES = (
    "Under SYN the OLE of the latents rises with the generation (D: slope of OLE_k / OLE_real; clean x, null label, "
    "t = 200, equal n a class)"
)

FULL = ANALYTIC + DIGITS
"""Where all seven policies of the paper run."""

LOOP_CLAIMS = [
    *rows(
        ("raw", "normalised"),
        id="latent-degrades",
        place=NOTES,
        statement=DEGRADES,
    ),
    *rows(
        ("raw, mean-pooled", "normalised, mean-pooled"),
        id="latent-degrades",
        place=NOTES,
        worlds=IMAGES,
        statement=DEGRADES,
    ),
    *rows(
        (
            "raw, clean",
            "raw, noised",
            "normalised, clean",
            "normalised, noised",
            "raw, clean, mean-pooled",
            "raw, noised, mean-pooled",
            "normalised, clean, mean-pooled",
            "normalised, noised, mean-pooled",
        ),
        id="ole-u-shape",
        place=NOTES,
        margin=0.05,
        worlds=IMAGES,
        statement="Over timesteps the OLE of real data is U-shaped "
        "(D: min of both ends / OLE(t*) - 1, t* from other seeds)",
    ),
    Claim(
        "confidence-falls",
        "fixed probe, null label",
        NOTES,
        "Under SYN the confidence of a sample's own label falls (D: mean log-odds of generation 1 minus the last's)",
    ),
    Claim(
        "confidence-falls",
        "re-trained probe",
        NOTES,
        "... with a probe trained again each generation on the pool that its samples' model was trained on",
        worlds=ANALYTIC,
    ),
    Claim(
        "degradation-tracks-collapse",
        "normalised",
        NOTES,
        "Across policies, within a generation, latents degrade where quality does (D: Fisher z of the mean over "
        "generations 1 to the last of Spearman's correlation of the changes of OLEn and of log distance since "
        "generation 0, all policies of the world)",
        source="record",
    ),
    *rows(
        (
            "global quota, own pool",
            "class quota, own pool",
            "global quota, ACUR's pool",
            "class quota, ACUR's pool",
        ),
        id="filter-keeps-real",
        place=NOTES,
        margin=0.02,
        statement="The N most confident hold more real data than the pool (D: share kept - share in the pool, "
        "same pools, mean over generations 2 to the last)",
    ),
    *rows(
        ("mean generation, global quota, own pool", "mean generation, class quota, own pool"),
        id="filter-keeps-real",
        place=NOTES,
        statement="The N most confident are of earlier generations than the pool (D: pool's mean generation - kept)",
    ),
    Claim(
        "bigger-pool-filters-better",
        "",
        NOTES,
        "The filter gains from a larger pool (D: slope, in log pool size, of log distance after a random N - after the "
        "N most confident; pools of 1.5 N, 2 N, 4 N of ACUR's last history, the generator refitted on either choice)",
        worlds=FULL,
        source="pools",
    ),
    *rows(
        ("against SYN", "against ACUR"),
        id="lsf-best-fid",
        place=NOTES,
        margin=log(1.1),
        statement="ACU-LSF has the lowest distance of all equal-budget policies "
        "(D: log distance of the rival - of ACU-LSF)",
    ),
    Claim(
        "lsf-best-fid",
        "against every rival at hand",
        NOTES,
        "... lowest of all: holds iff it holds against each rival that ran in the world",
        margin=log(1.1),
    ),
    *rows(
        ("against SYN-ADD", "against SC"),
        id="lsf-best-fid",
        place=NOTES,
        margin=log(1.1),
        worlds=FULL,
        statement="... than SYN-ADD, than self-correction (on ACUR's pool; D as above)",
    ),
    Claim(
        "lsf-best-fid",
        "against SIMS",
        NOTES,
        "... than score extrapolation (on ACUR's pool; D as above)",
        margin=log(1.1),
        worlds=FULL,
        source="record",
    ),
    Claim(
        "lsf-fid-stable",
        "",
        NOTES,
        "ACU-LSF's distance is stable (D: ln 1.1 - slope of log distance a generation)",
    ),
    *rows(
        tuple(f"{kind}, against {rival}" for kind in ("k-NN", "accuracy") for rival in ("SYN", "ACUR")),
        id="lsf-best-precision",
        place=NOTES,
        margin=0.02,
        statement="ACU-LSF has the highest precision (D: ACU-LSF - rival; accuracy: the judge's conditional accuracy)",
    ),
    *rows(
        ("k-NN, against every rival at hand", "accuracy, against every rival at hand"),
        id="lsf-best-precision",
        place=NOTES,
        margin=0.02,
        statement="... highest of all: holds iff it holds against each rival that ran in the world",
    ),
    *rows(
        tuple(f"{kind}, against {rival}" for kind in ("k-NN", "accuracy") for rival in ("SYN-ADD", "SC")),
        id="lsf-best-precision",
        place=NOTES,
        margin=0.02,
        worlds=FULL,
        statement="... than SYN-ADD, than self-correction (D as above)",
    ),
    *rows(
        ("k-NN, against SIMS", "accuracy, against SIMS"),
        id="lsf-best-precision",
        place=NOTES,
        margin=0.02,
        worlds=FULL,
        source="record",
        statement="... than score extrapolation (D as above)",
    ),
    Claim(
        "lsf-recall-near-acu",
        "",
        NOTES,
        "ACU-LSF's recall is about that of ACU (D: recall of ACU-LSF - of ACU)",
        "not worse",
        -0.05,
        FULL,
        source="record",
    ),
    Claim(
        "syn-collapses",
        "",
        NOTES,
        "SYN gets worse and worse (D: log distance of the last generation - of the first)",
        margin=log(1.1),
    ),
    Claim(
        "syn-add-mitigates",
        "",
        NOTES,
        "30% fresh real data mitigate (D: log distance of SYN - of SYN-ADD)",
        margin=log(1.1),
        worlds=FULL,
    ),
    Claim(
        "acur-near-acu",
        "",
        NOTES,
        "A random budget does about as well as all of ACU (D: log distance of ACUR - of ACU)",
        "equivalent",
        log(1.25),
        FULL,
        source="record",
    ),
    Claim(
        "sims-unstable",
        "",
        NOTES,
        "Score extrapolation is unstable over generations (D: s.d. over generations 1 to the last of the log distance "
        "of ACUR-SIMS - of ACUR)",
        margin=log(1.1),
        worlds=FULL,
        source="record",
    ),
    Claim(
        "sc-loses-recall",
        "",
        NOTES,
        "Self-correction loses recall (D: recall of ACUR - of ACUR-SC)",
        margin=0.05,
        worlds=FULL,
    ),
    *rows(
        ("latents cached", "latents re-scored"),
        id="no-extra-cost",
        place=NOTES,
        margin=0.0,
        worlds=IMAGES,
        statement="ACU-LSF costs at most 1.10 times ACUR "
        "(D: 1.10 - ratio of network evaluations at the last generation)",
    ),
]

CORRECTIONS = [
    theory(
        "exact-confidence",
        "",
        OURS,
        "xi = 1 - int sech(pi u) prod (1 + rho_i (1/4 + u^2))^(-1/2) du, and the Bayes error",
    ),
    theory(
        "confidence-bounds",
        "",
        OURS,
        "1 - (1/2) prod (1+rho_i/4)^(-1/2) <= xi <= 1 - (1/2) prod (1+rho_i/2)^(-1/2) "
        "<= Theorem 2's bound; quadrature bounds of every order",
    ),
    theory(
        "log-odds-law",
        "",
        OURS,
        "The log-odds are variance-gamma: mean sum rho_i / 2, variance sum (rho_i + rho_i^2 / 2), "
        "E e^(tZ) = prod (1 - rho_i t (1 + t))^(-1/2), and the density of that transform",
        ("low-rank",),
    ),
    theory(
        "confidence-expansions",
        "",
        OURS,
        "xi = 1/2 + r rho/8 - r(r+2) rho^2/32 + 5 r(r+2)(r+4) rho^3/384 - ... for small rho, "
        "1 - xi = a_r rho^(-r/2) (1 + O(1/rho)) for large",
        ("low-rank",),
    ),
    theory(
        "theorem-2-is-loose",
        "",
        OURS,
        "At low noise 1 - xi is polynomial in s; Theorem 2's bound is exponentially loose",
    ),
    theory(
        "theorem-1-is-vacuous",
        "n = 100",
        OURS,
        "The reconstructed bound is negative beyond 4.7 degrees at r = 4, 7.3 at r = 10",
        ("theory",),
    ),
    theory(
        "ole-rank-one",
        "noise 0",
        OURS,
        "At r = 1 |M|_*^2 = a^2 + b^2 + 2ab sin t with independent a, b ~ chi_n, and E OLE in closed form",
        ("low-rank",),
    ),
    theory("expected-ole", "", OURS, "E OLE by the deterministic equivalent, within 0.5% of simulation"),
    theory(
        "ole-falls-with-angle", "noise 0", OURS, "Without noise E OLE does not rise with any principal angle"
    ),
    theory(
        "ole-falls-with-angle",
        "noise, finite n",
        OURS,
        "With noise, at finite size: proved for d >= 2r+2, d >= 2n+1, n = 1 or d = 2; elsewhere mapped, not proved",
    ),
    theory(
        "normalised-ole-range", "", OURS, "OLE / sum_c |M_c|_* lies in [0, 1 - 1/sqrt C] for any matrices"
    ),
    theory(
        "raw-ole-is-scale",
        "",
        OURS,
        "Raw OLE is linear in feature scale and dominated by the noise floor once s d > r",
    ),
    theory(
        "linear-probe-is-blind",
        "",
        OURS,
        "In the zero-mean two-subspace model a linear probe has no power",
        ("low-rank",),
    ),
    theory(
        "confidence-saturates",
        "float32",
        OURS,
        "At r=4, s=0.1, 90 degrees most float32 probabilities are exactly 1",
    ),
    theory(
        "kept-moments",
        "",
        OURS,
        "Second moments of the kept fraction, along own and other subspace",
        ("low-rank",),
    ),
    theory(
        "top-n-runaway",
        "share of real data kept",
        OURS,
        "Top-N's share of real data follows the runaway recursion, below the pool's share "
        "(while that keeps ten real samples of the budget)",
        ("low-rank",),
    ),
    theory(
        "top-n-runaway", "variance", OURS, "... and so does the variance of the generations", ("low-rank",)
    ),
    theory(
        "minority-loss",
        "",
        OURS,
        "Modes .1 N(.5,1) + .9 N(3,1): the minority falls from 10% to 0.18% at q = 1/2",
    ),
    theory(
        "one-sided-kl",
        "",
        OURS,
        "The universal bound needs both Kullback-Leibler divergences",
        worlds=("theory",),
    ),
    theory(
        "largest-posterior",
        "",
        OURS,
        "The largest posterior violates Theorem 2's bound as rho -> 0",
        worlds=("theory",),
    ),
    theory(
        "counterexamples-rediscovered",
        "",
        OURS,
        "A search of broad domains that is told no point rediscovers every counterexample",
    ),
    theory(
        "universal-bound",
        "",
        OURS,
        "For any two classes xi <= sigmoid of half the sum of both divergences",
    ),
    theory("multiclass-bounds", "", OURS, "1 - sum (1 - xi_yc) <= xi_C(y) <= min xi_yc"),
    theory(
        "sharp-multiclass-bound",
        "mean over the classes",
        OURS,
        "Of C classes with mean divergence J, xi <= (1 + (C-1) y)/C, y the inverse of Psi's convex envelope at J, "
        "attained by an erased symmetric channel",
    ),
    theory("nearest-neighbour-bounds", "", OURS, "1 - 2e(1-e) <= xi <= 1 - e, e the Bayes error"),
    theory(
        "fixed-probe-confidence",
        "",
        OURS,
        "Confidence of a fixed quadratic probe on drifted Gaussian data",
        worlds=("low-rank",),
    ),
    theory(
        "variance-collapse",
        "",
        OURS,
        "Lyapunov exponents of the refit loop are negative, also for the unbiased estimator",
        worlds=("gaussian",),
    ),
    theory(
        "accumulation-limit",
        "",
        OURS,
        "E Sigma under accumulation tends to sin(pi/sqrt n)/(pi/sqrt n)",
        worlds=("gaussian",),
    ),
    theory(
        "accumulated-spread",
        "",
        OURS,
        "Var Sigma under accumulation, known mean: prod (1 + 2/(n j^2)) - 1",
        ("gaussian",),
    ),
    theory(
        "fresh-data",
        "drift",
        OURS,
        "With a share a of fresh real data the fitted mean's stationary mean square is 1/(n a(2-a) + 1-a)",
        ("gaussian",),
    ),
    theory(
        "fresh-data",
        "spread",
        OURS,
        "... and, the mean being known, the variance's stationary variance is (2/n)/(1 - (1-a)^2 - 2(1-a)/n)",
        ("gaussian",),
    ),
    theory(
        "biased-accumulation",
        "",
        OURS,
        "Accumulation does not cure a generator that contracts variance by lam: the pool's falls like K^-(1-lam)",
        ("gaussian",),
    ),
    theory(
        "additive-noise-accumulates",
        "",
        OURS,
        "Additive noise of variance v grows like the harmonic numbers under accumulation: 1 + v (H_(K+1) - 1)",
        ("gaussian",),
    ),
    theory(
        "refit-orthogonalises",
        "",
        OURS,
        "PCA refit multiplies E cos by c2 < 1: estimation noise turns classes apart",
        worlds=("low-rank",),
    ),
    theory(
        "leakage-transition",
        "",
        OURS,
        "Label leakage turns classes together beyond the eps_c of 1 - 2 eps = c2(eps), c2 that of the weakened spike",
        ("low-rank",),
    ),
    theory(
        "leakage-ole",
        "",
        OURS,
        "OLE and fixed-probe confidence under label leakage, full covariances, for the mixture and its Gaussian refit",
        ("low-rank",),
    ),
    theory(
        "noise-floor-growth",
        "",
        OURS,
        "A growing noise floor raises OLE and lowers a fixed probe's confidence, no angle changed",
        ("low-rank",),
    ),
    theory(
        "shared-capacity",
        "",
        OURS,
        "A generator whose shared capacity is q < 2r turns 2r - q angles to 0: OLE up, confidence down",
        ("low-rank",),
    ),
    theory(
        "u-shape-csnr",
        "",
        OURS,
        "Posterior-mean features have an interior optimum in the timestep",
        worlds=("theory",),
    ),
    theory(
        "csnr-unimodal",
        "ranks 1 to 128",
        OURS,
        "Proved rank by rank, for every floor and dimension: at most one optimum in the timestep",
    ),
    theory(
        "b3-rate",
        "",
        OURS,
        "Proved at r = 1, s = 0, mapped elsewhere: the deterministic equivalent of E OLE errs by (3 + 1/z)/(16 n), "
        "z^2 = (1 + sin t)/2, with its first correction by order 1/n^2",
    ),
    theory(
        "small-floor-law",
        "",
        OURS,
        "The best time for a small floor: w*^(r+4) = 2 delta^4 (d - r) / (r (r+2) a_r)",
        ("theory",),
    ),
    theory(
        "u-shape-needs-posterior",
        "d = 2r",
        OURS,
        "Linear (Wiener) features do not show the U of normalised OLE, posterior-mean features do",
        ("low-rank",),
    ),
    theory("u-shape-needs-posterior", "d >> 2r", OURS, "... in many more dimensions as well", ("low-rank",)),
    theory(
        "raw-ole-turns-down",
        "",
        OURS,
        "Raw OLE of posterior-mean features turns down again as the features vanish",
        ("low-rank",),
    ),
    theory(
        "floor-explains-both",
        "",
        OURS,
        "A growing floor through a fixed denoiser gives normalised OLE up and confidence down at once",
        ("low-rank",),
    ),
    theory(
        "top-n-lowers-ole",
        "",
        OURS,
        "Top-N pushes the normalised OLE of what it keeps below that of real data",
        ("low-rank",),
    ),
    theory(
        "threshold-cures",
        "runaway",
        OURS,
        "Rejecting below the real 5% quantile stops top-N's runaway: variance within 15% after six generations",
        ("low-rank",),
    ),
    theory(
        "threshold-cures",
        "contraction",
        OURS,
        "... and cures a contracting generator, as matching does",
        ("low-rank",),
    ),
    theory(
        "orthogonal-drift",
        "",
        OURS,
        "No rule on confidence repairs drift orthogonal to the probe",
        ("low-rank",),
    ),
    theory(
        "matched-is-fixed-point",
        "",
        OURS,
        "Confidence-matched selection keeps the truth; top-N does not",
        ("low-rank",),
    ),
    theory(
        "calibration-never-further",
        "",
        OURS,
        "Selection to trusted moments, the truth in their box and under its cap: "
        "KL(truth|kept) <= KL(truth|pool) - KL(kept|pool)",
    ),
    theory(
        "calibration-never-further",
        "reverse direction",
        OURS,
        "... and KL(kept|truth) <= KL(pool|truth)",
    ),
    theory(
        "calibration-never-further",
        "truth outside the box",
        OURS,
        "... and KL(truth|kept) <= KL(truth|pool) when the trusted moments are off",
    ),
    theory(
        "calibration-never-further",
        "unseen moments",
        OURS,
        "... and no moment outside the features is further from the truth's than the pool's is",
    ),
    theory(
        "calibration-never-further",
        "any clipped tilt",
        OURS,
        "Whatever moments m(kept) a clipped tilt theta leads to, the truth under the cap: "
        "KL(truth|kept) <= KL(truth|pool) - KL(kept|pool) + theta . (m(kept) - m(truth))",
    ),
    theory(
        "calibration-keeps-real",
        "",
        OURS,
        "Trusted moments being those of the pool's real rows: E is not empty, and the expected share of them kept is "
        "at least (N/n) e^KL(kept|pool), random choice's N/n or more",
    ),
    theory(
        "calibration-loop",
        "variance",
        OURS,
        "All generations pooled, a generator that multiplies the variance by lam: the kept variance is the pool's "
        "clipped to 1 +- beta, at lam < 1 and at lam > 1",
        ("gaussian",),
    ),
    theory(
        "calibration-loop",
        "law",
        OURS,
        "... and KL(truth|kept) tends to 0 as generations pile up, one block kept of all, at every lam, beta = 0",
    ),
    theory(
        "calibration-loop",
        "law, no cap",
        OURS,
        "... and so it does without the cap",
    ),
    theory(
        "matched-is-projection",
        "",
        OURS,
        "Matched selection keeps the I-projection of the pool on the trusted bin masses, so it is never further from "
        "the truth than random choice where it has those masses; top-N keeps another law",
    ),
    theory(
        "shrunk-target",
        "",
        OURS,
        "m trusted samples T apart from the pool P, Q_s = (1-s) P + s T, E the energy distance: "
        "E_T E(Q_s, truth) = (1-s)^2 delta + s^2 sigma and E_T E(P, T) = delta + sigma",
    ),
    theory(
        "shrunk-target",
        "estimated share",
        OURS,
        "T - truth normal in the Hilbert space of E, top eigenvalue lambda, sigma >= 4 lambda, "
        "s = (1 - sigma/E(P, T))_+: mean E(Q_s, truth) <= (delta + 4 lambda) sigma/(delta + sigma), at most sigma",
    ),
    theory(
        "shrunk-target",
        "estimated share, any spectrum",
        OURS,
        "... and at most sigma, plain herding's, for sigma < 4 lambda as well",
    ),
    theory(
        "shrunk-target",
        "any pool",
        OURS,
        "E(Q_s, T) <= sigma-hat for EVERY pool, one that depends on T too: mean E(Q_s, truth) <= 4 sigma",
    ),
    theory(
        "herding-gap",
        "",
        OURS,
        "Greedy herding, rows to be had again and again: sqrt E(herd_N, Q) <= sqrt E(w, Q) + sqrt(E_w|x-x'|/N), "
        "w any law on the pool",
    ),
    theory(
        "herding-gap",
        "each row once, to the pool",
        OURS,
        "... each row once: E(herd_N, P) <= E_P|x-x'| (2n-N-1)/(2N(n-1)), P the pool of n",
    ),
    theory(
        "herding-gap",
        "each row once, to any target",
        OURS,
        "... each row once: sqrt E(herd_N, Q) <= sqrt E(w, Q) + sqrt(E_w|x-x'|/N)",
    ),
    theory(
        "shrunk-loop",
        "no runaway",
        OURS,
        "Shrunk herding of all generations, whatever a generator adds (everything at one point; nine times the "
        "variance, and moved): mean E(kept, truth) stays below the bound without the generator, random choice's not",
    ),
    theory(
        "shrunk-loop",
        "variance",
        OURS,
        "A generator that multiplies the variance by lam: the kept variance is that of the recursion in s* "
        "(two dimensions, 200 rows, 50 trusted; within a stated 10%)",
    ),
    theory(
        "shrunk-loop",
        "variance, both views",
        OURS,
        "... of the recursion in the larger s* of latents and lengths (within a stated 10%)",
    ),
    theory(
        "shrunk-loop",
        "later pools",
        OURS,
        "... and E_T E(P, T) = delta + sigma at later selections as well, when P has been chosen by T",
    ),
    theory(
        "shrunk-views",
        "scale",
        OURS,
        "A variance off by eta: delta/sigma = m eta^2/16 of the latents, whatever the dimension d, m d eta^2/4 of "
        "their lengths (d large)",
    ),
    theory(
        "shrunk-views",
        "false belief",
        OURS,
        "No drift: P(s > 1/2) = P(sum l_i chi_i^2 > 2 sum l_i), l the spectrum of E (trusted samples of 400)",
    ),
    theory(
        "shrunk-views",
        "false belief, units of the trusted sample",
        OURS,
        "... and lsf's P(s > 1/2), its units those of the trusted sample, is at most the sum of both views' "
        "(16 dimensions, 40 trusted, a real pool of 500)",
    ),
    theory(
        "kept-fraction-map",
        "variance",
        OURS,
        "Keeping the top fraction q of the whole growing pool: variance and real share follow the recursion",
        ("low-rank",),
    ),
    theory(
        "kept-fraction-map",
        "boundary",
        OURS,
        "... and top-N is nearer the truth than random choice, in KL by variance, above the boundary fraction and "
        "not below",
        ("low-rank",),
    ),
    Claim(
        "top-n-inflates",
        "",
        OURS,
        "Top-N inflates the spread within classes (D: log variance ratio of ACU-LSF - of ACUR)",
        margin=log(1.1),
    ),
    Claim(
        "top-n-narrows",
        "",
        OURS,
        "Top-N narrows the spread within classes (D: log variance ratio of ACUR - of ACU-LSF)",
        margin=log(1.1),
    ),
    Claim(
        "top-n-starves-classes",
        "global quota",
        OURS,
        "A global quota starves the hardest class (D: half the fair share - the "
        "smallest class's share of what ACU-LSF kept, mean over generations 2 to the last)",
        worlds=IMAGES,
    ),
    Claim(
        "lsf-harms",
        "against ACUR",
        OURS,
        "Top-N does harm (D: log distance of ACU-LSF - of ACUR)",
        margin=log(1.1),
    ),
    Claim(
        "fine-tuning-harms",
        "REAL",
        OURS,
        "Real data alone at the same budget lose quality: damage of fine-tuning, not of "
        "self-consumption (D: log distance of REAL at the last generation - of generation 0)",
        margin=log(1.1),
    ),
]

MODEL = [
    theory(
        f"two-subspace-model-{loop}",
        f"{measure}, {mechanism}",
        OURS,
        f"The two-subspace model fitted to labelled samples says what simulation shows, generation by generation of "
        f"{loop.upper()}: {measure}, {mechanism} (relative bias of 5% + 5 standard errors; shortfalls for confidences)",
        ANALYTIC,
    )
    for loop, measures in (
        ("syn", ("Bayes confidence", "fixed-probe confidence", "raw OLE", "normalised OLE")),
        ("top-n", ("share of real data kept", "kept second moments")),
    )
    for measure in measures
    for mechanism in ("no mechanism", "noise floor", "leakage", "contraction")
] + [
    theory(
        "two-subspace-model-syn",
        "Bayes confidence, known means",
        OURS,
        "... Bayes confidence without any mechanism, class means known to the generator: what then remains is the "
        "drift of covariances apart from the model (relative bias of 5% + 5 standard errors of the shortfall)",
        ANALYTIC,
    ),
    theory(
        "two-subspace-model-top-n",
        "share of real data kept, runaway limit",
        OURS,
        "Noise .02, right angles, rank 2: the share is e^-t, sum_j e^(-t/p_j) = 1, p_j the fitted variances over the "
        "real one (relative bias of 5% + 5 standard errors)",
        ("low-rank",),
    ),
]

EXACT_SCORE = [
    Claim(
        "ole-u-shape",
        f"{kind}, {given}, exact score",
        NOTES,
        "... of posterior means E[x_0 | x_t] under the exact score of a generator fitted to real data, for real data "
        "that it has not seen (D as above)",
        "own seeds",
        0.05,
        ANALYTIC,
        "seconds",
    )
    for kind in ("raw", "normalised")
    for given in ("clean", "noised")
]

MAP = "maps (sims/sweeps.py), 100 paired seeds from 1000 on, KL(truth || model) at generation 6"


def mapped(id: str, convention: str, statement: str) -> Claim:
    """A statement about the maps of rules and mechanisms, read from their records."""
    return Claim(id, convention, MAP, statement, "maps", 0.0, ("low-rank",), "minutes, kept as a record")


MAPS = [
    mapped(
        "better-rule",
        "never worse",
        "Shrunk herding is worse than random choice in none of the situations it was designed on: no 95% CI of "
        "log KL(random) - log KL(rule) lies below 0",
    ),
    mapped("better-rule", "never worse, held-out mechanisms", "... nor under outliers or few sampling steps"),
    mapped(
        "better-rule",
        "best or tied in most",
        "In more than half of all situations no other rule at its budget is better: no CI of "
        "log KL(shrunk herding) - log KL(other) lies above 0",
    ),
    mapped(
        "better-rule",
        "few trusted samples",
        "With 20 or 40 trusted samples of a class it is not worse than random choice, sound or contracting (50 seeds)",
    ),
    mapped(
        "better-rule",
        "trim-then-herd, never worse",
        "Trim-then-herd is worse than random choice in no situation (100 trusted samples of a class; this row and the "
        "next were added after the first sweep, and are judged on fresh seeds, from 2000 on)",
    ),
    mapped(
        "better-rule",
        "trim-then-herd, best or tied in most",
        "In more than half of all situations no other rule at its budget is better than trim-then-herd",
    ),
    mapped(
        "better-rule",
        "trim-then-herd, few trusted samples",
        "With 20 or 40 trusted samples of a class trim-then-herd is not worse than random choice either",
    ),
    mapped(
        "top-n-right-in-both",
        "",
        "The paper's rule, global top-N, is never worse than random choice, by the same measure",
    ),
    mapped(
        "minority-kept",
        "top-N",
        "Global top-N leaves a minority mode of 10% at least half of its share after six generations (CI above 0.5)",
    ),
    mapped("minority-kept", "shrunk herding", "... and so does shrunk herding"),
]

CLAIMS = (*THEOREMS, *LOOP_CLAIMS, *IMAGE_CLAIMS, *EXACT_SCORE, *CORRECTIONS, *MODEL, *MAPS)

PILOT = {
    "digits-weak": {
        "lsf-best-fid [against SYN]": "holds",
        "lsf-best-precision [accuracy, against SYN]": "holds",
        "top-n-starves-classes [global quota]": "holds",
        "no-extra-cost [latents cached]": "holds",
        "no-extra-cost [latents re-scored]": "fails",
    },
    "digits-strong": {
        "filter-keeps-real [global quota, own pool]": "fails",
        "filter-keeps-real [class quota, own pool]": "fails",
        "lsf-best-fid [against SYN]": "holds",
        "syn-collapses": "holds",
        "top-n-narrows": "holds",
        "top-n-starves-classes [global quota]": "holds",
        "no-extra-cost [latents cached]": "holds",
        "no-extra-cost [latents re-scored]": "fails",
    },
    **{
        world: {
            "filter-keeps-real [global quota, own pool]": "fails",
            "lsf-best-fid [against ACUR]": "fails",
            "lsf-best-precision [k-NN, against ACUR]": "fails",
            "top-n-inflates": "holds",
        }
        for world in ANALYTIC
    },
}

EXPECTED = {(name, world): verdict for world, rows_ in PILOT.items() for name, verdict in rows_.items()}
"""Verdicts expected with a wide berth: the suite is red if one is missed. On digits: at least 5 s.d. beyond the margin
in both of two pilots on seeds 900 to 902, which the report does not use (the first under N = 800, the second under
today's presets; the s.d. of three seeds alone proved too weak a guide). Analytic worlds: the same in a pilot on seeds
900 to 905."""


def claim(name: str) -> Claim:
    """The row of that name; KeyError if there is none."""
    return {c.name: c for c in CLAIMS}[name]
