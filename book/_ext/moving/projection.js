/* The student is the point of its class nearest to the teacher. */

import { CLASSES, misfitAndGain, square } from "./formulas.js";
import { bars, draggable, figures, number, scheduled, set, short, speaker } from "./kit.js";

const WIDTH = 440, CENTRE = [220, 176], UNIT = 112, REACH = [1.88, 1.5];
const SNAP = 0.1; // The truth is drawn in the class when it is this near.
const LEAST = 1e-9;
const START = { kind: "disc", teacher: [-0.5, 1.36], truth: [0.85, 0.35] };

const toPicture = ([x, y]) => [CENTRE[0] + UNIT * x, CENTRE[1] - UNIT * y];
const toPlane = ([x, y]) => [(x - CENTRE[0]) / UNIT, (CENTRE[1] - y) / UNIT];
const within = (point) => point.map((value, i) => Math.min(Math.max(value, -REACH[i]), REACH[i]));

/* Why gain and misfit stand as they do, in a sentence or two. */
function sentence(r, degenerate) {
  const short_by = `The gain falls short of the misfit by ${number(-r.surplus)}.`;
  if (!r.inside) {
    const why = "The truth is not in the class, so nothing is promised.";
    return r.surplus < -LEAST ? `${why} ${short_by}` : `${why} Here the gain covers the misfit all the same.`;
  }
  if (!r.convex) {
    const why = "The class is not convex, so nothing is promised.";
    if (r.surplus < -LEAST) return `${why} The angle at the student is acute, ${Math.round(r.angle)}°. ${short_by}`;
    return `${why} Here the gain covers the misfit all the same; move the teacher.`;
  }
  if (degenerate) return "The teacher is in the class already: the student copies it, and there is nothing to gain.";
  if (Math.abs(r.surplus) <= LEAST) {
    const exact = "The gain equals the misfit exactly.";
    return r.angle === null ? `The student has found the truth. ${exact}` : `A right angle at the student. ${exact}`;
  }
  return `The angle at the student is ${Math.round(r.angle)}°, never acute: the gain exceeds the misfit by ${number(r.surplus)}.`;
}

function place(element, point) {
  set(element, { transform: `translate(${toPicture(point).map(short).join(" ")})` });
}

function join(element, a, b) {
  const [[x1, y1], [x2, y2]] = [toPicture(a), toPicture(b)];
  set(element, { x1: short(x1), y1: short(y1), x2: short(x2), y2: short(y2) });
}

/* A name beside its point, on the side away from the middle of the triangle. */
function label(element, point, centre) {
  const [x, y] = toPicture(point), [cx, cy] = toPicture(centre);
  const way = [x - cx, y - cy], length = Math.hypot(...way) || 1;
  const room = 16 + 11 * element.textContent.length, away = way[0] >= 0;
  const right = away ? x + room < WIDTH : x - room < 0;
  /* Where there is no room on that side it goes above or below the lines. */
  const down = right === away ? (18 * way[1]) / length : 26 * (way[1] < 0 ? -1 : 1);
  set(element, {
    x: short(right ? x + 16 : x - 16),
    y: short(Math.min(Math.max(y + 6 + down, 16), 346)),
    "text-anchor": right ? "start" : "end",
  });
}

/* The corner at the student: an arc from one side of its angle to the other. */
function arc(element, student, teacher, truth) {
  const ends = [teacher, truth].map((point) => {
    const length = Math.sqrt(square(point, student));
    const size = Math.min(0.2, length / 2) / (length || 1);
    return toPicture(student.map((value, i) => value + size * (point[i] - value)));
  });
  const middle = toPicture(student);
  const radius = Math.hypot(ends[0][0] - middle[0], ends[0][1] - middle[1]);
  const turn = (ends[0][0] - middle[0]) * (ends[1][1] - middle[1]) - (ends[0][1] - middle[1]) * (ends[1][0] - middle[0]);
  const [[x1, y1], [x2, y2]] = ends;
  set(element, { d: `M${short(x1)} ${short(y1)}A${short(radius)} ${short(radius)} 0 0 ${turn > 0 ? 1 : 0} ${short(x2)} ${short(y2)}` });
}

figures("projection", (root, part) => {
  const say = speaker(part.say);
  const state = { ...START };
  const truthShown = () => {
    const own = CLASSES[state.kind].project(state.truth);
    return square(own, state.truth) < SNAP ** 2 ? own : state.truth;
  };

  function draw() {
    const { kind, teacher } = state, truth = truthShown();
    const r = misfitAndGain(kind, teacher, truth);
    for (const shape of part.classes.children) shape.toggleAttribute("hidden", shape.dataset.kind !== kind);
    place(part.teacher, teacher);
    place(part.truth, truth);
    place(part.student, r.student);
    join(part["side-teacher"], teacher, truth);
    join(part["side-misfit"], teacher, r.student);
    join(part["side-student"], r.student, truth);
    const centre = [0, 1].map((i) => (teacher[i] + truth[i] + r.student[i]) / 3);
    label(part["name-teacher"], teacher, centre);
    label(part["name-truth"], truth, centre);
    label(part["name-student"], r.student, centre);
    const corner = r.angle !== null && r.misfit > 0.01 && r.studentError > 0.01;
    part.angle.toggleAttribute("hidden", !corner);
    if (corner) arc(part.angle, r.student, teacher, truth);
    const bad = r.surplus < -LEAST, spent = r.studentError + r.misfit;
    const over = Math.max(spent - r.teacherError, 0);
    /* What passes the teacher's error is red, the misfit first. */
    bars(part, [
      [["bar-teacher", r.teacherError]],
      [["bar-student", r.studentError - Math.max(over - r.misfit, 0)], ["bar-misfit", Math.max(r.misfit - over, 0)],
        ["bar-surplus", Math.max(r.surplus, 0)], ["bar-over", over]],
    ], Math.max(5, r.teacherError, spent));
    part["err-teacher"].textContent = number(r.teacherError);
    part["err-student"].textContent = number(r.studentError);
    part.misfit.textContent = number(r.misfit);
    part.gain.textContent = number(r.gain);
    part.surplus.textContent = number(Math.abs(r.surplus) <= LEAST ? 0 : r.surplus);
    const words = sentence(r, r.misfit < LEAST);
    part.sentence.textContent = words;
    root.classList.toggle("w2s-fails", bad);
    const numbers = `gain ${number(r.gain)}, misfit ${number(r.misfit)}`;
    for (const [name, point] of [["teacher", teacher], ["truth", truth]])
      set(part[name], {
        "aria-valuenow": short(point[0]),
        "aria-valuetext": `at ${number(point[0], 1)}, ${number(point[1], 1)}; ${numbers}`,
      });
    Object.assign(root.dataset, {
      state: JSON.stringify({ kind, teacher, truth, student: r.student }), surplus: r.surplus,
    });
    return `${numbers}. ${words}`;
  }

  const redraw = scheduled(() => say(draw()));
  for (const name of ["teacher", "truth"])
    draggable(part[name], {
      svg: part.picture, toPlane,
      get: () => state[name],
      move: (point) => {
        state[name] = within(point);
        redraw();
      },
    });
  part.kinds.addEventListener("change", (event) => {
    state.kind = event.target.value;
    /* Whatever the class, the truth is in it to begin with. */
    state.truth = CLASSES[state.kind].project(state.truth);
    redraw();
  });
  draw();
});
