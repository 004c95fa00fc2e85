"""Optimisers by hand, against each other, and against SciPy and torch."""
import math

import numpy as np
import pytest
import tolerances as tol
from scipy import optimize

from voxalign.core import UsageError
from voxalign.optim import (
    LBFGS,
    SOLVERS,
    Adam,
    GaussNewton,
    GradientDescent,
    Momentum,
    Newton,
    Objective,
    minimise,
    solver,
    with_differences,
)
from voxalign.optim.quasi import two_loops
from voxalign.transforms import Rigid

ROSENBROCK = Objective(lambda x: float(optimize.rosen(x)), optimize.rosen_der, optimize.rosen_hess)
START = np.array([-1.2, 1.0])
NAMES = sorted(SOLVERS)
SETTINGS = {"gradient-descent": {"rate": 0.2}, "momentum": {"rate": 0.1}, "adam": {"rate": 0.1}}


def quadratic(matrix, best):
    """Half (x - best)' matrix (x - best)."""
    return Objective(lambda x: float((x - best) @ matrix @ (x - best)) / 2, lambda x: matrix @ (x - best), lambda x: matrix)


def bowl(rng, size=4):
    root = rng.normal(0, 1, (size, size))
    return quadratic(root @ root.T + np.eye(size), rng.normal(0, 1, size))


# ---------------------------------------------------------------- by hand
def test_one_step_of_gradient_descent_by_hand():
    square = Objective(lambda x: float(x @ x), lambda x: 2 * x)
    found = minimise(square, np.array([3.0, -1.0]), GradientDescent(0.1), iterations=1)
    assert np.allclose(found.x, [2.4, -0.8]) and found.value == pytest.approx(6.4) and found.length == pytest.approx(math.hypot(0.6, 0.2))


def test_momentum_by_hand():
    step = Momentum(0.1, 0.9).rule()
    assert step(np.array([1.0])) == pytest.approx(-0.1)
    assert step(np.array([1.0])) == pytest.approx(-0.19)
    assert step(np.array([0.0])) == pytest.approx(-0.171)


def test_adam_by_hand():
    """At t = 1, m = .1 g and v = .001 g^2, unbiased g and g^2: a step of the rate, whatever g.

    At t = 2 with g = 0, m = .09 / .19 and v = .000999 / .001999 of them.
    """
    step = Adam(0.1, epsilon=0.0).rule()
    assert step(np.array([1.0, -500.0])) == pytest.approx([-0.1, 0.1])
    assert step(np.zeros(2)) == pytest.approx(np.array([-0.1, 0.1]) * (0.09 / 0.19) / math.sqrt(0.000999 / 0.001999))
    assert Adam(0.1, epsilon=1.0).rule()(np.array([1.0])) == pytest.approx(-0.05)  # the root of 1, and 1


@pytest.mark.parametrize("ours, theirs", [
    (Adam(0.02), lambda t, x: t.optim.Adam(x, 0.02)),
    (Momentum(1e-3, 0.8), lambda t, x: t.optim.SGD(x, 1e-3, momentum=0.8)),
    (GradientDescent(1e-3), lambda t, x: t.optim.SGD(x, 1e-3)),
])
def test_rules_are_those_of_torch(ours, theirs):
    torch = pytest.importorskip("torch")
    x = torch.tensor(START, requires_grad=True)
    other, rule, here = theirs(torch, [x]), ours.rule(), START
    for _ in range(30):
        here = here + rule(ROSENBROCK.gradient(here))
        other.zero_grad()
        ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2).backward()
        other.step()
    assert np.allclose(here, x.detach().numpy(), atol=tol.SAME_STEPS)


def test_newton_needs_one_step_for_a_quadratic(rng):
    objective = bowl(rng)
    found = minimise(objective, np.zeros(4), Newton(), iterations=1)
    assert found.value == pytest.approx(0, abs=1e-20)


def test_newton_goes_down_where_the_hessian_bends_downwards():
    saddle = Objective(lambda x: float(x[0] ** 2 - x[1] ** 2 + x[1] ** 4), lambda x: np.array([2 * x[0], -2 * x[1] + 4 * x[1] ** 3]),
                       lambda x: np.diag([2.0, -2 + 12 * x[1] ** 2]))
    found = minimise(saddle, np.array([1.0, 0.1]), Newton())
    assert found.value == pytest.approx(-0.25) and abs(found.x[1]) == pytest.approx(0.5**0.5)


def test_what_lbfgs_learns_of_a_quadratic_is_its_inverse(rng):
    """With as many independent steps as parameters, H y = s for the last of them exactly (the secant condition)."""
    matrix = np.diag([1.0, 10.0, 100.0])
    pairs = [(step, matrix @ step) for step in rng.normal(0, 1, (3, 3))]
    assert np.allclose(two_loops(pairs[-1][1], pairs), pairs[-1][0])


# ---------------------------------------------------------------- all of them
@pytest.mark.parametrize("name", NAMES)
def test_a_quadratic_is_solved(name, rng):
    objective = bowl(rng)
    wanted = optimize.minimize(objective.value, np.zeros(4), jac=objective.gradient).x
    found = minimise(objective, np.zeros(4), solver(name, **SETTINGS.get(name, {})), iterations=3000, tolerance=1e-12)
    assert np.allclose(found.x, wanted, atol=tol.OPTIMUM)


@pytest.mark.parametrize("name", NAMES)
def test_rosenbrock_is_solved(name):
    found = minimise(ROSENBROCK, START, solver(name, **SETTINGS.get(name, {})), iterations=60_000, tolerance=1e-14)
    assert np.allclose(found.x, 1, atol=tol.OPTIMUM_VALLEY)


@pytest.mark.parametrize("name, most", [("lbfgs", 60), ("newton", 60), ("gauss-newton", 60)])
def test_curvature_saves_steps(name, most):
    counts = {"value": 0}

    def value(x):
        counts["value"] += 1
        return ROSENBROCK.value(x)

    found = minimise(Objective(value, ROSENBROCK.gradient, ROSENBROCK.hessian), START, solver(name), tolerance=1e-9)
    theirs = optimize.minimize(optimize.rosen, START, jac=optimize.rosen_der, method="L-BFGS-B")
    assert found.value < 1e-12 and counts["value"] <= max(most, 1.5 * theirs.nfev)


@pytest.mark.parametrize("name", NAMES)
def test_values_never_rise_and_every_step_is_told(name):
    seen = []
    best = minimise(ROSENBROCK, START, solver(name), seen.append, iterations=20)
    values = [here.value for here in seen]
    assert [here.number for here in seen] == list(range(len(seen))) and np.array_equal(seen[0].x, START)
    assert values == sorted(values, reverse=True) and best is seen[-1]


@pytest.mark.parametrize("name", NAMES)
def test_where_the_value_is_infinite_nobody_stays(name):
    wall = Objective(lambda x: float((x[0] - 0.5) ** 2) if x[0] < 1 else math.inf, lambda x: 2 * (x - 0.5), lambda x: np.array([[0.2]]))
    found = minimise(wall, np.array([-9.0]), solver(name, **{k: 100.0 for k in SETTINGS.get(name, {})}), iterations=400)
    assert found.x == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_at_the_least_it_ends_at_once(name):
    seen = []
    found = minimise(ROSENBROCK, np.ones(2), solver(name), seen.append)
    assert found.value == 0 and len(seen) <= 2


def test_on_step_may_stop_it():
    def stop(here):
        if here.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise(ROSENBROCK, START, Newton(), stop)


@pytest.mark.parametrize("name", ["lbfgs", "newton", "gauss-newton", "momentum"])
def test_positions_may_be_what_moves_by_a_vector(name, rng):
    """A rigid map that fits points: its steps are elements of the Lie algebra."""
    points = rng.normal(0, 1, (20, 3))
    truth = Rigid.from_params([0.4, -0.8, 0.3, 0.5, -1.0, 0.2], np.zeros(3))

    def residual(x):
        return (x(points) - truth(points)).ravel()

    def jacobian(x):
        return np.stack([(residual(x.retract(h)) - residual(x.retract(-h))) / 2e-4 for h in 1e-4 * np.eye(6)], 1)

    objective = Objective(lambda x: float((residual(x) ** 2).sum()) / 2, lambda x: jacobian(x).T @ residual(x),
                          lambda x: jacobian(x).T @ jacobian(x), lambda x, step: x.retract(step))
    objective = with_differences(objective, 6) if name == "newton" else objective
    found = minimise(objective, Rigid.identity(3), solver(name, **({"rate": 0.01} if name == "momentum" else {})), iterations=300)
    assert np.abs(found.x.matrix - truth.matrix).max() < tol.OPTIMUM


def test_differences_make_the_hessian(rng):
    objective = with_differences(ROSENBROCK, 2)
    assert np.allclose(objective.hessian(START), optimize.rosen_hess(START), rtol=1e-5)


def test_damping_grows_until_the_value_falls():
    """A model that is a hundred times too flat: three growths of the damping make a step that is short enough."""
    steep = Objective(lambda x: float(50 * x @ x), lambda x: 100 * x, lambda x: np.array([[1.0]]))
    found = minimise(steep, np.array([1.0]), GaussNewton(damping=1.0), iterations=1)
    assert found.x == pytest.approx(1 - 100 / 101)
    assert minimise(steep, np.array([1.0]), GaussNewton(damping=1.0, tries=1), iterations=1).number == 0


@pytest.mark.parametrize("memory", [3, 20])
def test_lbfgs_in_many_dimensions(memory, rng):
    objective, start = Objective(optimize.rosen, optimize.rosen_der), np.tile(START, 25)
    found = minimise(objective, start, LBFGS(memory), tolerance=1e-10)
    theirs = optimize.minimize(optimize.rosen, start, jac=optimize.rosen_der, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-8})
    assert found.value < 1e-8 or found.value < 1.001 * theirs.fun


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="'adam'"):
        solver("adm")
