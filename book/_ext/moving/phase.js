/* Who wins where: teacher, student, or a strong model on the labels alone, under the finger. */

import { bestSplit, compare, risks, winners } from "./formulas.js";
import { bars, draggable, figures, number, scheduled, set, short, speaker, tell } from "./kit.js";

/* The ends of the axes, where a risk begins to have a mean, and their places in the picture. */
const D_W = 20, D_S = 10, ENDS = { n: [D_W + 2, 1000], N: [D_S + 2, 1000] };
const BOX = { left: 52, right: 428, top: 12, bottom: 312 }, COLUMNS = 188;
const OUTSIDE = [0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2], PRICES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const ROLES = ["teacher", "student", "baseline", "ceiling"];
const START = { n: 60, N: 100 };

const share = ([low, high], value) => Math.log(value / low) / Math.log(high / low);
const inside = ([low, high], value) => Math.min(Math.max(value, low), high);
const left = (n) => BOX.left + share(ENDS.n, n) * (BOX.right - BOX.left);
const top = (N) => BOX.bottom - share(ENDS.N, inside(ENDS.N, N)) * (BOX.bottom - BOX.top);
const fromShare = ([low, high], part) => low * (high / low) ** part;
/* The handle moves in decades. */
const toPlane = ([x, y]) => [
  Math.log10(fromShare(ENDS.n, (x - BOX.left) / (BOX.right - BOX.left))),
  Math.log10(fromShare(ENDS.N, (BOX.bottom - y) / (BOX.bottom - BOX.top))),
];

/* Columns from left to right with what `winners` says of each. */
function columns(setting) {
  return Array.from({ length: COLUMNS + 1 }, (_, i) => {
    const n = fromShare(ENDS.n, i / COLUMNS);
    const { least, other } = winners(setting, n);
    return { x: left(n), y: top(least), other };
  });
}

const line = (points) => points.map(([x, y]) => `${short(x)} ${short(y)}`).join("L");

/* The region between the border and one side of the picture, over some columns. */
function region(rows, side) {
  const runs = [];
  rows.forEach((row, i) => {
    if (!row) return;
    if (!rows[i - 1]) runs.push([]);
    runs.at(-1).push([row.x, row.y]);
  });
  return runs.map((run) => `M${line(run)}L${line([[run.at(-1)[0], side], [run[0][0], side]])}Z`).join("");
}

/* A name in the middle of where its region is tall, if there is room. */
function name(element, rows, side) {
  const wide = 12 * element.textContent.length, tall = (row) => Math.abs(row.y - side);
  const candidates = rows.filter((row) => row && row.x > BOX.left + wide / 2 && row.x < BOX.right - wide / 2);
  const most = Math.max(0, ...candidates.map(tall));
  const among = candidates.filter((row) => tall(row) >= 0.8 * most);
  const fits = most > 30 && rows.filter(Boolean).length * 2 > wide;
  element.toggleAttribute("hidden", !fits);
  if (!fits) return;
  const middle = among[among.length >> 1];
  set(element, { x: short(middle.x), y: short((middle.y + side) / 2 + 5) });
}

const risk = (value) => number(value, value < 0.1 ? 4 : value < 1 ? 3 : 2);

function who(r, { least, other }) {
  const best = Math.min(r.teacher, r.baseline), order = compare(best, r.student);
  if (order > 0) {
    const more = compare(r.ceiling, r.student) > 0 ? " It is better than the ceiling, too." : "";
    return `The student wins: it is better than its teacher and than the strong model on the labels.${more}`;
  }
  const winner = other === "teacher" ? "The teacher wins" : "The strong model on the labels alone wins";
  if (order === 0) return "The student is as good as the best of the others.";
  return Number.isFinite(least)
    ? `${winner}. At this n the student does from N = ${Math.floor(least + 1e-9) + 1} on.`
    : `${winner}. At this n no number of pseudo-labels is enough.`;
}

function bought(best, price, budget) {
  const money = `A budget of ${number(budget, budget % 1 ? 1 : 0)} labels, a pseudo-label at ${price}`;
  if (best === null) return `${money}: too little to split.`;
  const advice = compare(best.labelsOnly, best.student) > 0 ? "so the split pays" : "so buy labels only";
  return `${money}: the best split is n = ${best.n}, N = ${best.N}, with risk ${risk(best.student)}. Of the strong model on labels only it is ${risk(best.labelsOnly)}, ${advice}.`;
}

figures("phase", (root, part) => {
  const say = speaker(part.say), point = { ...START };

  function draw() {
    const d_sw = Number(part.overlap.value), out = OUTSIDE[part.outside.value], price = PRICES[part.price.value];
    const setting = { d_w: D_W, d_s: D_S, d_sw, sigma2: 1, rho_w: 0, rho_s: out, b: 0, kappa: out, a: 1 };
    const rows = columns(setting), of = (role) => rows.map((row) => (row.other === role ? row : null));
    set(part["region-student"], { d: region(rows, BOX.top) });
    name(part["name-student"], rows, BOX.top);
    for (const role of ["teacher", "baseline"]) {
      set(part[`region-${role}`], { d: region(of(role), BOX.bottom) });
      name(part[`name-${role}`], of(role), BOX.bottom);
    }
    set(part.border, { d: `M${line(rows.map((row) => [row.x, row.y]))}` });
    const { n, N } = point, now = risks({ ...setting, n, N }), budget = n + price * N;
    const best = bestSplit(setting, budget, price);
    /* What costs the same as the point. */
    const same = Array.from({ length: 101 }, (_, i) => fromShare(ENDS.N, i / 100))
      .map((each) => [budget - price * each, each]).filter(([labels]) => labels >= ENDS.n[0] && labels <= ENDS.n[1]);
    set(part.money, { d: same.length > 1 ? `M${line(same.map(([labels, each]) => [left(labels), top(each)]))}` : "" });
    const drawn = best !== null && best.n <= ENDS.n[1] && best.N <= ENDS.N[1];
    part.best.toggleAttribute("hidden", !drawn);
    if (drawn) set(part.best, { transform: `translate(${short(left(best.n))} ${short(top(best.N))})` });
    set(part.point, { transform: `translate(${short(left(n))} ${short(top(N))})` });
    bars(part, ROLES.map((role) => [[`bar-${role}`, now[role]]]), Math.max(...ROLES.map((role) => now[role])));
    for (const role of ROLES) part[`risk-${role}`].textContent = risk(now[role]);
    const words = who(now, winners(setting, n)), money = bought(best, price, budget);
    part.sentence.textContent = words;
    part.budget.textContent = money;
    const result = `teacher ${risk(now.teacher)}, student ${risk(now.student)}, baseline ${risk(now.baseline)}`;
    tell(part, { overlap: `${d_sw} of ${D_S}`, outside: String(out), price: String(price) }, result);
    set(part.point, { "aria-valuenow": n, "aria-valuetext": `n = ${n}, N = ${N}; ${result}` });
    root.dataset.state = JSON.stringify({ ...setting, n, N, price, best, ...now });
    return `n = ${n}, N = ${N}. ${words} ${money}`;
  }

  const redraw = scheduled(() => say(draw()));
  for (const slider of [part.overlap, part.outside, part.price]) slider.addEventListener("input", redraw);
  draggable(part.point, {
    svg: part.picture, toPlane, step: 0.05,
    get: () => [Math.log10(point.n), Math.log10(point.N)],
    move: (decades) => {
      /* A step of a key is at least one label. */
      ["n", "N"].forEach((id, i) => {
        const wanted = 10 ** decades[i], way = Math.sign(decades[i] - Math.log10(point[id]));
        const rounded = Math.round(wanted);
        point[id] = inside(ENDS[id], rounded === point[id] && Math.abs(decades[i] - Math.log10(point[id])) > 1e-9 ? rounded + way : rounded);
      });
      redraw();
    },
  });
  draw();
});
