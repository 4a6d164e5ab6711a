"""Is what the records of the digits say what today's loops give?

The policies of RERUN are run again. On the same processor, with the same versions and seeds, every number of the record
must come out again, to its five digits. Otherwise the numbers are other draws of the same law: means over seeds at the
last generation must agree, by Student's t at a level that gives one false alarm in a million over all comparisons.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from paper_checks.image_records import ImageRecord, table_of
from paper_checks.measures import Run
from paper_checks.register import DIGITS, RERUN
from sims.presets import preset
from sims.record import RunFolder, device_name, versions

SUMMARIES = ("log frechet", "precision", "recall", "accuracy", "coverage", "log variance_ratio")
FALSE_ALARMS = 1e-6


@pytest.mark.parametrize("world", DIGITS)
def test_record_is_what_todays_loops_give(
    world: str,
    folders: dict[str, list[RunFolder]],
    records: Callable[[str], ImageRecord],
    remarks: list[str],
    smoke: bool,
) -> None:
    record = records(world)
    if record.stale or smoke:
        remarks.append(f"{world}: its record was not compared ({'smoke run' if smoke else 'stale'})")
        return
    seeds = [folder.settings["seed"] for folder in folders[world]]
    if same_machine(record) and seeds == record.header["seeds"]:
        assert differing(record, folders[world]) == []
        remarks.append(f"{world}: the loops run now are those of the record, number by number")
    else:
        then, today = readings(record.runs), readings([Run.read(folder) for folder in folders[world]])
        assert other_laws(then, today) == []
        spread = {key: values.std(ddof=1) for key, values in then.items()}
        off = {key: values + 40 * spread[key] for key, values in today.items()}
        assert len(other_laws(then, off)) == sum(s > 0 for s in spread.values()), "the control was accepted"
        remarks.append(f"{world}: another machine, version or seed than the record's: means over seeds agree")


def same_machine(record: ImageRecord) -> bool:
    """Was the record made by this processor, with these versions?"""
    return record.header["device"] == device_name() and record.header["versions"] == versions()


def differing(record: ImageRecord, folders: list[RunFolder]) -> list[str]:
    """The lines of RERUN that are not, number by number, those of the record."""
    table = table_of(folders, preset(record.name))
    columns, shapes = list(table.columns), list(table.shapes)
    then = {seed: record.numbers(seed) for seed in record.header["seeds"]}
    found = []
    for shape, seed, policy, k, *values in table.lines:
        if policy in (*RERUN, None, "floor"):
            today = dict(zip((columns[i] for i in shapes[shape]), values, strict=True))
            if today != then[seed][policy, k]:
                found.append(f"seed {seed}, {policy}, generation {k}")
    return found


def readings(runs: Sequence[Run]) -> dict[tuple[str, str], np.ndarray]:
    """Of each policy of RERUN: each summary at the last generation, by seed."""
    return {
        (policy, metric): np.array([run.value(policy, run.last, metric) for run in runs])
        for policy in RERUN
        for metric in SUMMARIES
    }


def other_laws(
    then: dict[tuple[str, str], np.ndarray], today: dict[tuple[str, str], np.ndarray]
) -> list[tuple[str, str]]:
    """The readings whose means differ by more than seeds do, by Student's t of two samples."""
    level = FALSE_ALARMS / len(then)
    return [key for key in then if stats.ttest_ind(then[key], today[key]).pvalue < level]
