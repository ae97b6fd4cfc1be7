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
