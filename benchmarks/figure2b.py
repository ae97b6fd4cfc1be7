"""Figure 2(b) of Charikar et al. 2024, full profile, against the authors' procedure.

Ours: both pretrainings, 100 tasks, pseudo-labels on fresh inputs and on the teacher's own, all
timed. The authors': AdamW in PyTorch, minibatches of 32, 1000 epochs for each representation and
for each of the 200 heads, with their own protocol only; timed on a slice and extrapolated by steps.
Their heads are also trained to the end on a few tasks, over our representations, and their test
errors compared with ours. One thread for both.

PyTorch is not among the book's dependencies. In an environment of its own:

    pip install torch==2.13.0 -e .
    python benchmarks/figure2b.py
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from w2s_book.parameters import load_profile
from w2s_experiments import relu_networks as reps
from w2s_utils.protocol import Result

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(f"PyTorch is needed for the authors' side:{__doc__.split('own:')[1]}")

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = 100
TASKS, INPUTS, EPOCHS, BATCH, RATE = 10, 2000, 1000, 32, 1e-3
STEPS = math.ceil(INPUTS / BATCH) * EPOCHS  # of one task


def ours(seed: int):
    """Run the whole experiment; return it with its seconds of processor time by part."""
    settings = load_profile(ROOT / "profiles.yml", "full")["misfit/synthetic"]
    rng = np.random.default_rng(seed)
    target = reps.Representation.random(reps.TARGET_DEPTH, rng)
    problem = reps.Pretraining.draw(target, TASKS, INPUTS, rng)
    heads = reps.random_heads(100, rng)
    effort = reps.Effort(settings["steps"], settings["refine"])
    seconds, start = {}, time.process_time()
    [strong] = reps.pretrain([problem], reps.STRONG_DEPTH, effort, rng)
    [weak] = reps.pretrain([problem], reps.WEAK_DEPTH, effort, rng)
    seconds["pretraining"] = time.process_time() - start
    start = time.process_time()
    experiment = reps.Experiment(target, weak, strong, heads)
    whole = experiment.population(10 * INPUTS, rng)
    results = [
        Result.of([whole.sample(INPUTS, INPUTS, rng, fresh=fresh) for _ in range(2)])
        for fresh in (True, False)
    ]
    seconds["heads"] = time.process_time() - start
    losses = problem.loss(strong), problem.loss(weak)
    print(f"ours: relative pretraining loss {losses[0]:.4f} (strong), {losses[1]:.4f} (weak)")
    for result, name in zip(results, ("fresh", "own"), strict=True):
        print(
            f"      {name} inputs: misfit {result.misfit.mean():.4f} gain {result.gain.mean():.4f}"
        )
    return problem, experiment, seconds


def module(representation: reps.Representation) -> nn.Sequential:
    """The representation as the authors build it, with our weights."""
    layers = []
    for weight, bias in zip(representation.weights, representation.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)


def train(model: nn.Module, parameters, x, y, steps: int) -> float:
    """Make AdamW steps on minibatches; return the seconds of processor time of a step."""
    optimiser = torch.optim.AdamW(parameters, lr=RATE)
    done, start = 0, time.process_time()
    while done < steps:
        for rows in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimiser.step()
            done += 1
            if done == steps:
                break
    return (time.process_time() - start) / steps


def pretraining_step(problem: reps.Pretraining, depth: int, slice_steps: int) -> float:
    """Seconds of one step of the authors' pretraining."""
    representation = module(reps.Representation.random(depth, np.random.default_rng(0)))
    head = nn.Linear(reps.WIDTH, 1).requires_grad_(False)
    x = torch.from_numpy(problem.inputs[0]).float()
    y = torch.from_numpy(problem.targets[0]).float()[:, None]
    return train(
        nn.Sequential(representation, head), representation.parameters(), x, y, slice_steps
    )


def head_fit(inputs: np.ndarray, labels: np.ndarray, representation, steps: int, cached: bool):
    """Train a head; return the whole model and the seconds of a step."""
    body = module(representation).requires_grad_(False)
    head = nn.Linear(reps.WIDTH, 1)
    x = torch.from_numpy(inputs).float()
    y = torch.from_numpy(labels).float()[:, None]
    model = nn.Sequential(body, head)
    # With features computed once only the head runs: cheaper than the authors' loop.
    seconds = train(head, head.parameters(), body(x), y, steps) if cached else train(
        model, head.parameters(), x, y, steps
    )  # fmt: skip
    return model, seconds


def predict(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x).float()).numpy()[:, 0].astype(float)


def compare_heads(experiment: reps.Experiment, tasks: int, seed: int) -> np.ndarray:
    """Train both heads of some tasks to the end; return their test errors.

    The shape is (2, 2, tasks): authors, ours; teacher, student.
    """
    rng = np.random.default_rng(seed)
    x, fresh = reps.draw_inputs(INPUTS, rng), reps.draw_inputs(20000, rng)
    labelled, test = experiment.inputs(x), experiment.inputs(fresh)
    teacher = reps.HEAD.fit(labelled.weak, labelled.labels)
    student = reps.HEAD.fit(labelled.strong, teacher.predict(labelled.weak))
    ours = [teacher.predict(test.weak), student.predict(test.strong)]
    errors = np.empty((2, 2, tasks))
    for task in range(tasks):
        labels = labelled.labels[:, task]
        weak, _ = head_fit(x, labels, experiment.weak, STEPS, cached=True)
        strong, _ = head_fit(x, predict(weak, x), experiment.strong, STEPS, cached=True)
        for role, model in enumerate((weak, strong)):
            truth = test.labels[:, task]
            errors[0, role, task] = np.mean((predict(model, fresh) - truth) ** 2)
            errors[1, role, task] = np.mean((ours[role][:, task] - truth) ** 2)
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=20240526)
    parser.add_argument("--slice", type=int, default=1000, help="steps that are timed")
    parser.add_argument("--tasks", type=int, default=4, help="tasks whose heads are trained fully")
    options = parser.parse_args()
    if options.tasks < 2:
        parser.error("--tasks: expected at least 2, for a standard error")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)

    problem, experiment, seconds = ours(options.seed)
    total = sum(seconds.values())
    print(f"      {seconds['pretraining']:.1f} s pretraining, {seconds['heads']:.2f} s heads\n")

    pretraining = sum(
        pretraining_step(problem, depth, options.slice) * TASKS * STEPS
        for depth in (reps.STRONG_DEPTH, reps.WEAK_DEPTH)
    )
    x, labels = problem.inputs[0], problem.targets[0]
    for cached, name in ((False, "as written"), (True, "features computed once")):
        heads = sum(
            head_fit(x, labels, representation, options.slice, cached)[1] * 100 * STEPS
            for representation in (experiment.weak, experiment.strong)
        )
        ratio = (pretraining + heads) / total
        print(
            f"authors ({name}): {pretraining:.0f} s pretraining, {heads:.0f} s heads, "
            f"extrapolated from {options.slice} steps: {ratio:.0f} times ours"
        )

    errors = compare_heads(experiment, options.tasks, options.seed)
    worse = False
    for role, name in enumerate(("teachers", "students")):
        theirs, mine = errors[:, role]
        more = mine - theirs
        error = more.std(ddof=1) / math.sqrt(options.tasks)
        # AdamW ends near the least squares head and moves about it: equal is within two errors.
        worse = worse or more.mean() > 2 * error
        print(
            f"{name}' test error, mean of {options.tasks} tasks: AdamW {theirs.mean():.5f}, least "
            f"squares {mine.mean():.5f}, difference {more.mean():.5f} ± {error:.5f}"
        )
    if ratio < REQUIRED or worse:
        sys.exit(f"expected at least {REQUIRED} times, at equal or lower test error of the heads")


if __name__ == "__main__":
    main()
