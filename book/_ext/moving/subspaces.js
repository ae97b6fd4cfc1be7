/* Two planes that share an axis: what of the teacher's error the student inherits. */

import { clouds, twoPlanes, whiteCloud } from "./formulas.js";
import { bars, figures, number, scheduled, set, short, speaker, tell } from "./kit.js";

const CENTRE = [220, 205], UNIT = 98, HALF = 1.65;
/* Where the three axes of space point: the shared one, the student's other one, and up. */
const AXES = [[0.88, -0.2], [0.4, 0.4], [0, -1]];
const CLOUD = whiteCloud(16);
const COUNTS = [4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100, 200, 500, 1000, 10000];

function toPicture(point) {
  const sum = (i) => point.reduce((total, value, axis) => total + value * AXES[axis][i], 0);
  return [CENTRE[0] + UNIT * sum(0), CENTRE[1] + UNIT * sum(1)];
}

const write = (point) => toPicture(point).map(short).join(" ");
const dot = (point, radius) => {
  const [x, y] = toPicture(point);
  return `M${short(x - radius)} ${short(y)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
};
const segment = (a, b) => `M${write(a)}L${write(b)}`;

figures("subspaces", (root, part) => {
  const say = speaker(part.say);

  function draw() {
    const degrees = Number(part.angle.value), N = COUNTS[part.count.value];
    const angle = (degrees * Math.PI) / 180, cosine = Math.cos(angle), sine = Math.sin(angle);
    /* A point of the teacher's plane, and one of the student's, in space. */
    const lift = ([shared, other]) => [shared, -cosine * other, sine * other];
    const floor = ([shared, other]) => [shared, -other, 0];
    const rows = clouds(CLOUD, angle, N);
    const corners = [[-HALF, -HALF], [HALF, -HALF], [HALF, HALF], [-HALF, HALF]];
    set(part["weak-front"], { d: `M${[[-HALF, 0], [HALF, 0], [HALF, HALF], [-HALF, HALF]].map((p) => write(lift(p))).join("L")}Z` });
    set(part["weak-back"], { d: `M${[[-HALF, 0], [HALF, 0], [HALF, -HALF], [-HALF, -HALF]].map((p) => write(lift(p))).join("L")}Z` });
    set(part.strong, { d: `M${corners.map((p) => write(floor(p))).join("L")}Z` });
    set(part.shared, { d: segment([-HALF, 0, 0], [HALF, 0, 0]) });
    /* Each error of the teacher is there twice, with both signs of what estimating adds. */
    const once = rows.slice(0, rows.length / 2);
    for (const [side, isHere] of [["above", (r) => sine * r.teacher[1] >= 0], ["below", (r) => sine * r.teacher[1] < 0]]) {
      const here = once.filter(isHere);
      set(part[`drops-${side}`], { d: here.map((r) => segment(lift(r.teacher), floor(r.shadow))).join("") });
      set(part[`teachers-${side}`], { d: here.map((r) => dot(lift(r.teacher), 4)).join("") });
    }
    set(part.shadows, { d: once.map((r) => dot(floor(r.shadow), 4)).join("") });
    set(part.students, { d: rows.map((r) => dot(floor(r.student), 2.5)).join("") });
    set(part.strays, { d: rows.map((r) => segment(floor(r.shadow), floor(r.student))).join("") });
    const [wx, wy] = toPicture(lift([-HALF, HALF])), [sx, sy] = toPicture(floor([HALF, -HALF]));
    set(part["name-weak"], { x: short(Math.max(wx - 44, 0)), y: short(wy - 10) });
    set(part["name-strong"], { x: short(sx), y: short(sy + 34) });
    const r = twoPlanes(angle, N);
    bars(part, [
      [["bar-teacher", r.teacher]],
      [["bar-inherited", r.inherited], ["bar-reduced", r.reduced]],
    ], Math.max(1.25, r.student));
    const size = N.toLocaleString("en").replace(",", " ");
    part.inherited.textContent = number(r.inherited);
    part.reduced.textContent = number(r.reduced, r.reduced > 0 && r.reduced < 0.005 ? 4 : 2);
    part.student.textContent = number(r.student);
    part.overlap.textContent = number(r.overlap);
    part.factor.textContent = number(r.factor, r.factor < 0.005 ? 4 : 2);
    const result = `student's variance ${number(r.student)} of the teacher's`;
    tell(part, { angle: `${degrees}°`, count: size }, result);
    let words;
    if (degrees === 0)
      words = "The planes coincide. All of the teacher's error casts its shadow: the student inherits it, whatever N.";
    else if (N < 5)
      words = "With so few pseudo-labels the rest does not average out: the student is worse than its teacher.";
    else if (N === 5)
      words = "At twice the student's dimension and one the rest is neither reduced nor enlarged: the student is as good as its teacher.";
    else if (r.reduced < 0.005)
      words = `Of the teacher's variance ${Math.round(100 * r.inherited)} % is inherited. The rest has averaged out.`;
    else
      words = `${Math.round(100 * r.inherited)} % of the teacher's variance is inherited. The rest is noise to the student, and falls with N.`;
    part.sentence.textContent = words;
    root.classList.toggle("w2s-fails", r.student > r.teacher + 1e-12);
    root.dataset.state = JSON.stringify({ degrees, N, ...r });
    return `${result}. ${words}`;
  }

  const redraw = scheduled(() => say(draw()));
  for (const slider of [part.angle, part.count]) slider.addEventListener("input", redraw);
  draw();
});
