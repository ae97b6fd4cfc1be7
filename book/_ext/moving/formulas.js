/* Every formula behind the book's moving figures. No access to a page: tests compare each function
   with w2s_utils in a browser. */

/* ---- The projection: the class of the student's functions, as points of the plane ------------- */

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1];

/* Squared distance, d(f, g). */
export const square = (a, b) => dot(minus(a, b), minus(a, b));

function onSegment(point, [a, b]) {
  const way = minus(b, a);
  const share = clamp(dot(minus(point, a), way) / dot(way, way), 0, 1);
  return [a[0] + share * way[0], a[1] + share * way[1]];
}

/* The nearest of some points; the first of equals. */
function nearest(point, candidates) {
  return candidates.reduce((best, each) => (square(point, each) < square(point, best) ? each : best));
}

/* Corners against the clock. */
export const HULL = [[-1.1, -0.55], [0.35, -0.95], [1.25, -0.2], [0.75, 0.85], [-0.65, 0.7]];
export const BOX = [1.15, 0.72];
export const LINE = [Math.cos(0.16), Math.sin(0.16)];
export const POINTS = [[-0.75, -0.35], [0.85, 0.25]];
const SIDES = HULL.map((corner, i) => [corner, HULL[(i + 1) % HULL.length]]);

function onHull(point) {
  const isLeft = ([a, b]) => {
    const way = minus(b, a), to = minus(point, a);
    return way[0] * to[1] - way[1] * to[0] >= 0;
  };
  return SIDES.every(isLeft) ? [...point] : nearest(point, SIDES.map((side) => onSegment(point, side)));
}

function onCircle(point) {
  const length = Math.hypot(...point);
  return length > 0 ? [point[0] / length, point[1] / length] : [1, 0];
}

/* For each class whether it is convex, and its point nearest to any other: the student. */
export const CLASSES = {
  disc: { convex: true, project: (p) => (Math.hypot(...p) <= 1 ? [...p] : onCircle(p)) },
  box: { convex: true, project: (p) => [clamp(p[0], -BOX[0], BOX[0]), clamp(p[1], -BOX[1], BOX[1])] },
  hull: { convex: true, project: onHull },
  line: { convex: true, project: (p) => LINE.map((along) => along * dot(p, LINE)) },
  sphere: { convex: false, project: onCircle },
  points: { convex: false, project: (p) => [...nearest(p, POINTS)] },
};

/* The student, and the squared lengths of the triangle of teacher, student and truth. */
export function misfitAndGain(kind, teacher, truth) {
  const { project, convex } = CLASSES[kind];
  const student = project(teacher);
  const teacherError = square(teacher, truth), studentError = square(student, truth);
  const misfit = square(teacher, student), gain = teacherError - studentError;
  const sides = Math.sqrt(misfit * studentError);
  const cosine = dot(minus(teacher, student), minus(truth, student)) / sides;
  return {
    student, teacherError, studentError, misfit, gain, convex,
    surplus: gain - misfit,
    /* At the student, in degrees; none where it coincides with teacher or truth. */
    angle: sides > 1e-12 ? (180 / Math.PI) * Math.acos(clamp(cosine, -1, 1)) : null,
    inside: square(truth, project(truth)) < 1e-18,
  };
}

/* ---- Two planes in space that share an axis: the variance of teacher and student -------------- */

/* Expected squared errors for d_w = d_s = 2, canonical angles 0 and `angle` (radians), a target on
   the shared axis: in units of the teacher's. Needs N >= 4. */
export function twoPlanes(angle, N) {
  const overlap = 1 + Math.cos(angle) ** 2;
  const factor = 2 / (N - 3);
  const inherited = overlap / 2, reduced = (factor * (2 - overlap)) / 2;
  return { overlap, factor, teacher: 1, inherited, reduced, student: inherited + reduced };
}

/* The teacher's errors in its plane (first the shared axis) and the student's in its own: the shadow,
   and to it what estimating from N pseudo-labels adds. `draws` are rows of four normal numbers. */
export function clouds(draws, angle, N) {
  const cosine = Math.cos(angle), sine = Math.sin(angle);
  return draws.map(([shared, other, across, along]) => {
    const shadow = [shared, cosine * other];
    /* What the student cannot express is label noise to it. */
    const noise = Math.abs(sine * other) / Math.sqrt(N - 3);
    const student = [shadow[0] + noise * across, shadow[1] + noise * along];
    return { teacher: [shared, other], shadow, student };
  });
}

/* A cloud whose mean squares are the expectations of `twoPlanes` exactly: drawn once, centred, made
   white, and each row joined by the one with its estimation error reversed. */
export function whiteCloud(size = 22, seed = 7) {
  let state = seed;
  const uniform = () => {
    state = (1664525 * state + 1013904223) % 4294967296;
    return (state + 0.5) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const columns = [0, 1, 2, 3].map(() => Array.from({ length: size }, normal));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / size;
  const times = (a, b) => a.map((value, i) => value * b[i]);
  for (const column of columns.slice(0, 2)) {
    const centre = mean(column);
    column.forEach((value, i) => { column[i] = value - centre; });
  }
  const [shared, other, across, along] = columns;
  const slope = mean(times(shared, other)) / mean(times(shared, shared));
  other.forEach((value, i) => { other[i] = value - slope * shared[i]; });
  /* The mean square of one error direction is half the teacher's. */
  for (const column of [shared, other]) {
    const scale = Math.sqrt(0.5 / mean(times(column, column)));
    column.forEach((value, i) => { column[i] = value * scale; });
  }
  const weights = times(other, other);
  for (const column of [across, along]) {
    const scale = Math.sqrt(mean(weights) / mean(times(weights, times(column, column))));
    column.forEach((value, i) => { column[i] = value * scale; });
  }
  const rows = shared.map((_, i) => columns.map((column) => column[i]));
  return [...rows, ...rows.map(([a, b, c, d]) => [a, b, -c, -d])];
}

/* ---- A chain between two planes in space that share an axis ------------------------------------ */

/* Bias and variance hop by hop, 0 the first teacher (8 labels of noise variance 1), odd hops in the
   student's plane. Of the target, of length one, a `share` lies along the student's other axis and
   the rest along the shared one. `said` is what the mean of the hop has along its plane's other axis.
   Needs N >= 4. */
export function planeChain(angle, share, N, hops) {
  const cosine = Math.cos(angle), lost = Math.sin(angle) ** 2;
  const outside = Math.sqrt(share);
  const tau = (1 + lost * share) / 5;
  let said = cosine * outside, square = said ** 2 + tau, common = tau;
  const found = [];
  for (let hop = 0; hop <= hops; hop += 1) {
    const along = hop % 2 ? outside : cosine * outside;
    found.push({
      said,
      bias: said ** 2 - 2 * said * along + share,
      variance: common + square - said ** 2,
    });
    const spread = (lost * square) / (N - 3);
    said *= cosine;
    square = cosine ** 2 * square + spread;
    common += spread;
  }
  return found;
}

/* ---- The exact risks, as w2s_utils.theory.risks and .ridge have them -------------------------- */

/* A setting is {d_w, d_s, d_sw, n, N, sigma2, rho_w, rho_s, b, kappa, a}: a, b and kappa are the
   squared parts of the target that both models see, the student only, the teacher only. Where an
   expectation does not exist the value is Infinity. */

const times = (factor, value) => (factor === 0 ? 0 : factor * value);

/* Least squares of minimum norm on Gaussian rows: what it keeps of a target, what it adds of noise,
   and the spread it gives a target that it does not keep whole. */
function fit(count, d) {
  const kept = Math.min(count / d, 1);
  if (count >= d + 2) return { kept, noise: d / (count - d - 1), spread: 0 };
  const spread = count < d ? (count * (d - count)) / (d * (d - 1) * (d + 2)) : 0;
  return { kept, noise: count <= d - 2 ? count / (d - count - 1) : Infinity, spread };
}

/* Product of the target's parts that the student sees: b's and a's. */
const crossed = (s) => (s.rho_w + s.kappa - s.rho_s - s.b) / 2;
/* Squared length of the target's part in the strong features. */
const strongPart = (s) => Math.max(s.a + s.b + 2 * crossed(s), 0);

function onLabels(s, count) {
  const own = fit(count, s.d_s);
  return s.rho_s + (1 - own.kept) * strongPart(s) + times(s.sigma2 + s.rho_s, own.noise);
}

/* The teacher's risk; what the student sees of its error and of the target, and what not. */
function taught(s) {
  const { kept, noise, spread } = fit(s.n, s.d_w), weakPart = s.a + s.kappa;
  const labels = times(s.sigma2 + s.rho_w, noise);
  const direction = spread * weakPart + labels / s.d_w;
  const own = kept - spread * s.d_w - kept ** 2;
  const inherited = times(s.d_sw, direction), discrepancy = Math.max(s.d_w - s.d_sw, 0);
  return {
    teacher: s.rho_w + (1 - kept) * weakPart + labels,
    inherited,
    seen: s.b + (1 - kept) ** 2 * s.a + 2 * (1 - kept) * crossed(s) + own * s.a + inherited,
    unseen: (kept ** 2 + own) * s.kappa + times(discrepancy, direction),
    apart: times(discrepancy, direction),
  };
}

export function risks(setting) {
  const s = settled(setting), t = taught(s), own = fit(s.N, s.d_s), { teacher } = t;
  const student = s.rho_s + own.kept * t.seen + (1 - own.kept) * strongPart(s) + times(t.unseen, own.noise);
  const baseline = onLabels(s, s.n), ceiling = onLabels(s, s.n + s.N);
  const gain = teacher - student;
  return {
    teacher, student, baseline, ceiling, gain,
    inherited: own.kept * t.inherited, reduced: times(t.apart, own.noise),
    pgr: gain / (teacher - ceiling), opr: baseline / student,
  };
}

/* Whether two risks differ by more than rounding: -1, 0, 1. */
export function compare(one, other) {
  if (one === other) return 0;
  if (Math.abs(one - other) <= 1e-12 * Math.max(one, other)) return 0;
  return one > other ? 1 : -1;
}

/* Least real N above the student's peak past which its risk is below a level; Infinity if it never
   is, be it that the two can only tie. */
export function pseudoLabelsFor(setting, level) {
  const s = settled(setting), t = taught(s), limit = s.rho_s + t.seen;
  if (!Number.isFinite(level) || compare(level, limit) <= 0) return Infinity;
  return s.d_s + 1 + (s.d_s * t.unseen) / (level - limit);
}

/* Limit of PGR for ever more pseudo-labels; NaN where teacher and ceiling leave no gap. */
export function pgrLimit(setting) {
  const s = settled(setting), t = taught(s), gap = t.teacher - s.rho_s;
  return compare(t.teacher, s.rho_s) > 0 ? (t.teacher - s.rho_s - t.seen) / gap : NaN;
}

const alone = (value, why) => [value, value, why];

/* Ends of what b, kappa and a can be, given what is before them, and why where it is one value. */
export function splitRange(s, name) {
  if (name === "b") {
    if (s.rho_w === 0) return alone(0, "0, for ρ_w is 0");
    if (s.d_sw >= s.d_s) return alone(0, "0, for the teacher sees all that the student sees");
    return [0, s.rho_w, ""];
  }
  if (name === "kappa") {
    if (s.d_sw >= s.d_w) return alone(0, "0, for the student sees all that the teacher sees");
    if (s.d_sw === 0) return alone(Math.max(s.rho_s + s.b - s.rho_w, 0), "ρ_s + b − ρ_w, for nothing is shared");
    /* What is outside of the weak features is then outside of the strong ones too. */
    if (s.b === 0) return alone(Math.max(s.rho_s - s.rho_w, 0), "ρ_s − ρ_w, for b is 0");
    const rest = Math.sqrt(Math.max(s.rho_w - s.b, 0)), own = Math.sqrt(s.rho_s);
    const why = rest === 0 ? "ρ_s, for b is ρ_w" : own === 0 ? "ρ_w − b, for ρ_s is 0" : "";
    return [(own - rest) ** 2, (own + rest) ** 2, why];
  }
  /* The largest squared cosine is at most d_sw. */
  const most = s.d_sw < 1 ? (s.kappa * s.d_sw) / (1 - s.d_sw) : Infinity;
  if (most === 0) return alone(0, "0, for too little is shared");
  return [s.b > 0 ? crossed(s) ** 2 / s.b : 0, most, ""];
}

/* The same setting with a target that can be: a is moved into its range. */
export function settled(s) {
  const [low, high] = splitRange(s, "a");
  return { ...s, a: Math.max(Math.min(s.a, high), low) };
}

/* Why no target has this split, in words; empty if one has. */
export function impossible(s) {
  const slack = 1e-9 * (s.rho_w + s.rho_s + s.kappa + s.b);
  const four = (value) => String(Number(value.toPrecision(4)));
  if (s.b > s.rho_w + slack) return "b is at most ρ_w";
  if (s.d_sw >= s.d_w && s.kappa > slack) return "with V_w inside V_s (d_sw = d_w), κ is 0";
  if (s.d_sw >= s.d_s && s.b > slack) return "with V_s inside V_w (d_sw = d_s), b is 0";
  /* Of the triangle alone: what the ranges add for b = 0 and nested spaces is told here too. */
  const rest = Math.sqrt(Math.max(s.rho_w - s.b, 0)), own = Math.sqrt(s.rho_s);
  const [low, high] = [(own - rest) ** 2, (own + rest) ** 2];
  if (s.kappa < low - slack || s.kappa > high + slack)
    return `with these ρ_w, ρ_s and b, κ lies between ${four(low)} and ${four(high)}`;
  if (s.d_sw === 0 && Math.abs(crossed(s)) > slack) return "with d_sw = 0, κ is ρ_s + b − ρ_w";
  if (s.b <= slack && Math.abs(s.rho_s - s.rho_w - s.kappa) > slack) {
    return s.rho_s < s.rho_w ? "with b = 0, ρ_s is at least ρ_w" : "with b = 0, κ is ρ_s − ρ_w";
  }
  return "";
}

/* ---- A budget, as w2s_utils.theory.scaling.best_purchase has it -------------------------------- */

/* Whole pieces that money buys; a sum that is whole but for rounding buys as many as it should. */
const affordable = (money, price) => Math.floor((money / price) * (1 + 1e-12));

/* The labels and pseudo-labels with the least student's risk for a budget in labels, a pseudo-label
   at `price`; and the strong model's risk with labels only. Null where the budget does not reach. */
export function bestSplit(s, budget, price) {
  if (budget < s.d_w + 2 + price * (s.d_s + 2)) return null;
  const beyond = budget - (s.d_w + 1) - price * (s.d_s + 1);
  const unseen = (s.d_w - s.d_sw) * s.d_s, noise = s.sigma2 + s.rho_w;
  const averaged = Math.sqrt(noise * unseen + s.kappa * s.d_s * beyond);
  const total = averaged + Math.sqrt((noise * (price * unseen + s.d_sw * beyond)) / price);
  const spent = total > 0 ? (beyond * averaged) / total : 0;
  const most = affordable(budget - price * (s.d_s + 2), 1);
  const N = Math.floor(s.d_s + 1 + spent / price);
  /* Whole numbers next to the real ones, of either kind; the rest goes to the other kind. */
  const steps = [-1, 0, 1, 2], near = Math.floor(s.d_w + 1 + beyond - spent);
  const options = steps.flatMap((step) => [near + step, affordable(budget - price * (N + step), 1)])
    .map((each) => Math.min(Math.max(each, s.d_w + 2), most)).sort((a, b) => a - b)
    .map((n) => ({ n, N: affordable(budget - n, price) }))
    .map((each) => ({ ...each, student: risks({ ...s, ...each }).student }));
  const alone = affordable(budget, 1);
  return {
    ...options.reduce((best, each) => (each.student < best.student ? each : best)),
    labelsOnly: alone >= s.d_s + 2 ? onLabels(settled(s), alone) : Infinity,
  };
}

/* Where each player has the least risk, along n: from which N on the student is better than both
   others (Infinity if it never is), and which of the others is better. */
export function winners(s, n) {
  const at = { ...s, n, N: s.d_s + 2 }, { teacher, baseline } = risks(at);
  return {
    least: pseudoLabelsFor(at, Math.min(teacher, baseline)),
    other: compare(teacher, baseline) < 0 ? "teacher" : "baseline",
  };
}
