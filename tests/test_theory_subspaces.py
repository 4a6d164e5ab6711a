"""Frames have the angles asked for; covariances have the stated spectra; bad input is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import noises, shapes
from tests.tolerances import FLOAT64, close
from theory.subspaces import class_covariance, class_spectrum, frames, pooled_spectrum, principal_angles


@given(shapes())
def test_frames_have_their_angles(shape):
    dim, angles = shape
    U, V = frames(angles, dim)
    assert U.shape == V.shape == (dim, angles.size)
    assert close(U.T @ U, np.eye(angles.size))
    assert close(V.T @ V, np.eye(angles.size))
    assert close(principal_angles(U, V), np.sort(angles))


@given(shapes(), st.integers(0, 2**32 - 1))
def test_angles_are_those_of_the_subspaces_not_of_the_frames(shape, stream):
    dim, angles = shape
    rng = np.random.default_rng(stream)
    U, V = frames(angles, dim)
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    mix = np.linalg.qr(rng.standard_normal((angles.size, angles.size)))[0]
    assert close(principal_angles(turn @ U @ mix * 3, turn @ V), np.sort(angles))


@pytest.mark.parametrize("small", [1e-12, 1e-9, 1e-6, np.pi / 2 - 1e-9])
def test_small_angles_keep_their_digits(small):
    found = principal_angles(*frames(small, 4))[0]
    assert abs(found - small) <= FLOAT64 * 1e-5  # arccos of the overlap alone would lose half the digits


def test_angles_of_frames_of_unequal_rank():
    U, V = np.eye(5)[:, :1], np.eye(5)[:, :3]
    assert close(principal_angles(U, V), [0.0])
    assert close(principal_angles(V, U), [0.0])


@given(shapes(), noises)
def test_spectra(shape, noise):
    dim, angles = shape
    S = [class_covariance(U, noise) for U in frames(angles, dim)]
    for matrix, (values, times) in [
        (S[0], class_spectrum(dim, angles.size, noise)),
        (S[1], class_spectrum(dim, angles.size, noise)),
        ((S[0] + S[1]) / 2, pooled_spectrum(dim, angles, noise)),
    ]:
        assert close(np.linalg.eigvalsh(matrix), np.sort(np.repeat(values, times.astype(int))))


def test_leading_axes():
    U, V = frames(np.full((2, 3, 4), 0.3), 9)
    assert U.shape == V.shape == (2, 3, 9, 4)
    assert principal_angles(U, V).shape == (2, 3, 4)
    values, times = pooled_spectrum([9, 10], np.full((3, 1, 4), 0.3), 0.1)
    assert values.shape == (3, 1, 9)
    assert times.shape == (2, 9)
    assert close(times.sum(axis=-1), [9, 10])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: frames([0.1, 0.2], 3), "dim"),
        (lambda: frames(-0.1, 3), "angles"),
        (lambda: frames(2.0, 3), "angles"),
        (lambda: frames(np.nan, 3), "angles"),
        (lambda: frames([], 3), "angles"),
        (lambda: class_covariance(np.eye(3), -1), "noise"),
        (lambda: pooled_spectrum(4, 0.1, np.inf), "noise"),
        (lambda: principal_angles(np.eye(3), np.eye(4)), "V"),
        (lambda: principal_angles(np.ones((3, 2)), np.eye(3)), "U"),
        (lambda: principal_angles(np.eye(3), np.ones((2, 3))), "V"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
