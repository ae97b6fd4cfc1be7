/* The exact risks under sliders. The state is in the address. */

import { chart, follow, show } from "./chart.js";
import { bestSplit, compare, impossible, pgrLimit, pseudoLabelsFor, risks, settled } from "./formulas.js";
import { figures, scheduled, set, speaker } from "./kit.js";
import { FIELDS, PRESETS, admissible, changed, fromPosition, rangeOf, read, toPosition, write } from "./settings.js";

const ROLES = ["teacher", "student", "baseline", "ceiling"];
const AXES = { N: "pseudo-labels N", n: "labels n" };

/* ---- Words -------------------------------------------------------------------------------------- */

function standing(r) {
  const words = { 1: "better than", 0: "as good as", "-1": "worse than" };
  return ["teacher", "baseline"].map((role) => words[compare(r[role], r.student)]);
}

function verdict(s, r) {
  const near = (count, d) => Math.abs(count - d) < 2;
  if (!Number.isFinite(r.teacher))
    return `At n = ${s.n} the teacher's expected risk is infinite: it has a peak where n is within one of d_w = ${s.d_w}. Take n of at most ${s.d_w - 2} or at least ${s.d_w + 2}.`;
  if (!Number.isFinite(r.student) && near(s.N, s.d_s))
    return `At N = ${s.N} the student's expected risk is infinite: it has a peak where N is within one of d_s = ${s.d_s}. Take N of at most ${s.d_s - 2} or at least ${s.d_s + 2}.`;
  if (ROLES.every((role) => r[role] === 0)) return "Without noise, and with the target in reach, all four risks are 0: there is nothing to gain.";
  const [toTeacher, toBaseline] = standing(r);
  const from = (level) => {
    const least = pseudoLabelsFor(s, level);
    return Number.isFinite(least) ? `from N = ${show(Math.floor(least + 1e-9) + 1)} on` : "";
  };
  const own = from(r.teacher), other = from(r.baseline), limit = pgrLimit(s);
  const tie = compare(r.teacher, risks({ ...s, N: 1e15 }).student) === 0;
  const parts = [`The student is ${toTeacher} its teacher and ${toBaseline} the baseline.`];
  parts.push(own ? `At this n it is better than its teacher ${own}${other ? `, than the baseline ${other}` : ", than the baseline at no N"}.`
    : tie ? `At no N is it better than its teacher: it can only tie.${other ? ` It is better than the baseline ${other}.` : ""}`
      : `At this n it is better than its teacher at no N${other ? `, than the baseline ${other}` : ""}.`);
  if (compare(r.teacher, r.ceiling) <= 0) parts.push("The ceiling is no better than the teacher, so there is no gap to recover.");
  else if (Number.isFinite(limit)) parts.push(`As N grows, PGR tends to ${show(Number(limit.toPrecision(4)))}.`);
  return parts.join(" ");
}

/* What the money for n labels and N pseudo-labels would best be spent on. */
function budgetOf(s, r) {
  const money = s.n + s.price * s.N, best = bestSplit(s, money, s.price);
  const start = `At a price of ${show(s.price)} these labels and pseudo-labels cost ${show(money)} labels.`;
  if (best === null) return `${start} That is too little for d_w + 2 labels and d_s + 2 pseudo-labels.`;
  const alone = compare(best.labelsOnly, best.student) > 0 ? "so pseudo-labels pay" : "so buy labels only";
  return `${start} The best split of them is n = ${show(best.n)}, N = ${show(best.N)}: the student’s risk is then ${show(best.student)}, and not ${show(r.student)}. Of the strong model with labels only it is ${show(best.labelsOnly)}, ${alone}.`;
}

const shown = (key, r) => (key === "pgr" && compare(r.teacher, r.ceiling) <= 0 ? NaN : r[key]);

/* ---- Curves ------------------------------------------------------------------------------------- */

function spaced(low, high, near, count = 110) {
  const grid = [];
  for (let i = 0; i < count; i += 1) grid.push(Math.round(low * (high / low) ** (i / (count - 1))));
  for (const d of near) for (const off of [-4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 9]) grid.push(d + off);
  return [...new Set(grid)].filter((x) => x >= low && x <= high).sort((a, b) => a - b);
}

/* The grid reaches below the peaks, and beyond the setting. */
function gridOf(s, which) {
  const peaks = which === "N" ? [s.d_s] : [s.d_w, s.d_s];
  const high = Math.max(50 * Math.max(...peaks), 4 * s[which], 40);
  const low = Math.max(1, Math.min(Math.floor(Math.min(...peaks) / 5), s[which]));
  return spaced(low, high, peaks);
}

const curvesOf = (s, which) => gridOf(s, which).map((x) => ({ x, ...risks({ ...s, [which]: x }) }));

/* A logarithmic axis over what matters: peaks may leave it at the top. */
function riskAxis(rows, now) {
  const all = rows.flatMap((row) => ROLES.map((role) => row[role])).filter((v) => Number.isFinite(v) && v > 0).sort((p, q) => p - q);
  if (!all.length) return { title: "excess risk", low: 0.1, high: 10, log: true };
  const here = ROLES.map((role) => now[role]).filter((v) => Number.isFinite(v) && v > 0);
  const high = Math.max(...here, all[Math.floor(0.96 * (all.length - 1))]);
  const low = Math.min(...here, all[Math.floor(0.005 * all.length)]);
  return { title: "excess risk", low: low / 1.4, high: Math.max(high * 1.4, low * 2), log: true };
}

function boundary(s, level) {
  const most = Math.min(s.d_w, s.d_s), points = [];
  for (let i = 0; i <= 80; i += 1) {
    const setting = { ...s, d_sw: (most * i) / 80 };
    const least = pseudoLabelsFor(setting, risks(setting)[level]);
    if (Number.isFinite(least)) points.push([setting.d_sw, Math.max(least, s.d_s + 1.01)]);
  }
  return points;
}

figures("explorer", (root, part) => {
  const say = speaker(part.say);
  let state = read(location.search, PRESETS["Much to gain"]);
  let urlTimer = 0;

  function remember() {
    /* Browsers limit how often the address may change. */
    clearTimeout(urlTimer);
    urlTimer = setTimeout(() => {
      try {
        history.replaceState(null, "", `${location.pathname}?${write(state)}${location.hash}`);
      } catch {
        /* A page opened from a file may not change its address. */
      }
    }, 150);
  }

  function change(id, value) {
    state = changed(state, id, value);
    remember();
    redraw();
  }

  function controls() {
    const effective = settled(state);
    for (const field of FIELDS) {
      const slider = part[`slider-${field.id}`], box = part[`box-${field.id}`];
      const value = field.id === "a" ? effective.a : state[field.id];
      const [low, high, why] = rangeOf(field, state);
      slider.value = String(toPosition(field, { ...state, [field.id]: value }));
      set(slider, { "aria-valuetext": show(value) });
      slider.disabled = !(high > low);
      part[`why-${field.id}`].textContent = why;
      if (document.activeElement !== box) {
        box.value = String(Number(value.toPrecision(12)));
        box.removeAttribute("aria-invalid");
      }
    }
  }

  function numbers(r, problem) {
    for (const cell of root.querySelectorAll("[data-quantity]")) {
      const key = cell.dataset.quantity;
      cell.textContent = problem ? "–" : show(shown(key, r));
      cell.dataset.value = String(r[key]);
    }
    part.warning.hidden = problem === "";
    part.warning.textContent = problem && `No target has this split: ${problem}.`;
    root.classList.toggle("w2s-impossible", problem !== "");
    const words = problem ? "" : verdict(state, r), [toTeacher] = standing(r);
    part.verdict.textContent = words;
    part.budget.textContent = problem ? "" : budgetOf(state, r);
    part["strip-teacher"].textContent = problem ? "–" : show(r.teacher);
    part["strip-student"].textContent = problem ? "–" : show(r.student);
    part["strip-word"].textContent = problem ? "impossible" : toTeacher.split(" ")[0].replace("as", "equal");
    const order = compare(r.teacher, r.student);
    part.strip.dataset.order = problem ? "none" : String(order);
    return problem ? part.warning.textContent : words;
  }

  const told = (r, keys) => keys.map((key) => `${key} ${show(shown(key, r))}`).join(", ");

  function riskChart(which, rows, now) {
    const label = `Excess risks against ${AXES[which]}; at ${state[which]}: ${told(now, ROLES)}`;
    const xs = { title: AXES[which], low: rows[0].x, high: rows[rows.length - 1].x, log: true };
    /* The teacher's line is broad, and seen under an equal student's. */
    const lines = ["ceiling", "baseline", "teacher", "student"].map((role) => ({
      role, name: role, points: rows.map((row) => [row.x, row[role]]), extra: role === "teacher" ? "w2s-broad" : "",
    }));
    const svg = part[`risk-${which}`];
    const axes = chart(svg, {
      id: `w2s-risk-${which}`, label, lines, x: xs, y: riskAxis(rows, now),
      dots: ["teacher", "student"].map((role) => ({ role, at: [state[which], now[role]] })),
    });
    follow(svg, axes, (x) => {
      const row = nearest(rows, x);
      return { at: row.x, words: [`${which} = ${show(row.x)}`, ...ROLES.map((role) => `${role} ${show(row[role])}`)] };
    });
  }

  const nearest = (rows, x) => rows.reduce((best, row) => (Math.abs(Math.log(row.x / x)) < Math.abs(Math.log(best.x / x)) ? row : best));

  function ratioChart(all, now) {
    const [ratio, which] = part.ratios.querySelector(":checked").value.split("-"), rows = all[which];
    const points = rows.map((row) => [row.x, shown(ratio, row)]);
    const tall = points.map(([, value]) => value).filter(Number.isFinite);
    const level = ratio === "pgr" ? 0 : 1, name = ratio.toUpperCase();
    const low = ratio === "pgr" ? Math.max(-1, Math.min(-0.05, ...tall)) : 0;
    const high = Math.max(1.15, Math.min(Math.max(...tall, 1), 50) * 1.05);
    const means = ratio === "pgr" ? "0: no better than the teacher; 1: as good as the ceiling" : "1: as good as the baseline";
    const xs = { title: AXES[which], low: rows[0].x, high: rows[rows.length - 1].x, log: true };
    const axes = chart(part.ratio, {
      id: "w2s-ratio", label: `${name} against ${AXES[which]}; at ${state[which]}: ${told(now, [ratio])}. ${means}`,
      x: xs, y: { title: name, low, high },
      lines: [{ role: "level", points: [[xs.low, level], [xs.high, level]] }, { role: "student", name, points }],
      dots: [{ role: "student", at: [state[which], shown(ratio, now)] }],
    });
    part["ratio-caption"].textContent = `${ratio === "pgr" ? "Performance gap recovery" : "Outperforming ratio"}. ${means}.`;
    follow(part.ratio, axes, (x) => {
      const row = nearest(rows, x);
      return { at: row.x, words: [`${which} = ${show(row.x)}`, `${name} ${show(shown(ratio, row))}`] };
    });
  }

  function phaseChart(now) {
    const most = Math.min(state.d_w, state.d_s);
    const low = state.d_s + 1.5, high = Math.max(1000 * state.d_s, 4 * state.N);
    const better = boundary(state, "teacher"), above = boundary(state, "baseline");
    const word = standing(now)[0].replace(/ than| as$/, "");
    chart(part.phase, {
      id: "w2s-phase",
      label: `Phase diagram, pseudo-labels against correlation dimension. At d_sw = ${show(state.d_sw)} and N = ${show(state.N)} the student is ${word} ${word === "as good" ? "as" : "than"} its teacher; ${better.length ? "in the shaded region it is better" : "nowhere is it better"}.`,
      x: { title: "correlation dimension", low: 0, high: most }, y: { title: "N", low, high, log: true },
      area: better.length ? { points: [...better, [better[better.length - 1][0], high], [better[0][0], high]] } : null,
      lines: [{ role: "baseline", points: above, extra: "w2s-dashed" }, { role: "teacher", points: better }],
      dots: state.N > low ? [{ role: "student", at: [state.d_sw, state.N] }] : [],
    });
  }

  function table(which, rows) {
    const keys = [...ROLES, "pgr", "opr"], lines = [];
    for (let i = 0; i < 8; i += 1) {
      const row = rows[Math.round((i * (rows.length - 1)) / 7)];
      lines.push(`<tr><th scope="row">${show(row.x)}</th>${keys.map((key) => `<td>${show(shown(key, row))}</td>`).join("")}</tr>`);
    }
    part[`values-${which}`].innerHTML = lines.join("");
  }

  function draw() {
    const problem = impossible(settled(state)), now = risks(state);
    controls();
    const words = numbers(now, problem);
    const rows = { N: curvesOf(state, "N"), n: curvesOf(state, "n") };
    for (const which of ["N", "n"]) {
      riskChart(which, rows[which], now);
      table(which, rows[which]);
    }
    ratioChart(rows, now);
    phaseChart(now);
    root.dataset.state = write(settled(state));
    return words;
  }

  const redraw = scheduled(() => say(draw()));
  for (const field of FIELDS) {
    const slider = part[`slider-${field.id}`], box = part[`box-${field.id}`];
    slider.addEventListener("input", () => change(field.id, fromPosition(field, state, Number(slider.value))));
    box.addEventListener("input", () => {
      const value = admissible(field, box.value);
      if (value === null) {
        set(box, { "aria-invalid": "true" });
      } else {
        box.removeAttribute("aria-invalid");
        change(field.id, value);
      }
    });
    box.addEventListener("blur", redraw);
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") box.blur();
    });
  }
  for (const button of part.presets.querySelectorAll("button"))
    button.addEventListener("click", () => {
      state = { ...PRESETS[button.textContent] };
      remember();
      redraw();
    });
  part.ratios.addEventListener("change", redraw);
  addEventListener("popstate", () => {
    state = read(location.search, PRESETS["Much to gain"]);
    redraw();
  });
  draw();
});
