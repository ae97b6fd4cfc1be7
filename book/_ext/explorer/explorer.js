/* The explorer page: sliders, a table of numbers, curves and the phase diagram. The state is in the
   address. All numbers come from formulas.js. */
"use strict";

(() => {
  const LINEAR = "linear", LOG = "log", SHARE = "share";
  /* id, how it is written, what it is, scale, ends of the slider; a LOG scale with `zero` has 0 at
     its left end; a SHARE runs over the range that the other parameters leave. */
  const FIELDS = [
    { id: "d_w", name: "d<sub>w</sub>", words: "weak dimension", scale: LINEAR, low: 1, high: 400, whole: true },
    { id: "d_s", name: "d<sub>s</sub>", words: "strong dimension", scale: LINEAR, low: 1, high: 400, whole: true },
    { id: "d_sw", name: "d<sub>s∧w</sub>", words: "correlation dimension", scale: SHARE },
    { id: "n", name: "n", words: "labels", scale: LOG, low: 3, high: 1e5, whole: true },
    { id: "N", name: "N", words: "pseudo-labels", scale: LOG, low: 3, high: 1e6, whole: true },
    { id: "sigma2", name: "σ²", words: "label-noise variance", scale: LOG, low: 1e-6, high: 10 },
    { id: "rho_w", name: "ρ<sub>w</sub>", words: "target outside the weak features", scale: LOG, low: 1e-7, high: 10, zero: true },
    { id: "rho_s", name: "ρ<sub>s</sub>", words: "target outside the strong features", scale: LOG, low: 1e-7, high: 10, zero: true },
    { id: "b", name: "b", words: "target seen by the student only", scale: SHARE },
    { id: "kappa", name: "κ", words: "target seen by the teacher only", scale: SHARE },
  ];
  const STEPS = 1000;
  const ROLES = { teacher: "teacher", student: "student", baseline: "baseline", ceiling: "ceiling" };
  /* The authors' synthetic model, overlaps 10 and 90, and its well-specified relative. */
  const PRESETS = {
    "Much to gain": { d_w: 200, d_s: 100, d_sw: 10, n: 2000, N: 4000, sigma2: 0.01, rho_w: 0, rho_s: 0, b: 0, kappa: 0 },
    "Dong et al., overlap 10": { d_w: 200, d_s: 100, d_sw: 10, n: 2000, N: 4000, sigma2: 0.01, rho_w: 0.000255820737411, rho_s: 5.4764318133e-05, b: 0.000254128530142, kappa: 5.30721108645e-05 },
    "Dong et al., bias dominates": { d_w: 200, d_s: 100, d_sw: 90, n: 2000, N: 4000, sigma2: 0.0004, rho_w: 0.000164246493795, rho_s: 5.4764318133e-05, b: 0.000146448412698, kappa: 3.6966237036e-05 },
    "Nothing to gain": { d_w: 50, d_s: 100, d_sw: 50, n: 500, N: 4000, sigma2: 0.01, rho_w: 0, rho_s: 0, b: 0, kappa: 0 },
  };
  const F = w2sFormulas;
  const state = { ...PRESETS["Much to gain"] };
  let root, scheduled = false, urlTimer = 0;

  /* ---- The state, its ranges, and the address ------------------------------------------------ */

  function rangeOf(field) {
    if (field.id === "d_sw") return [0, Math.min(state.d_w, state.d_s)];
    if (field.id === "b") return [0, state.rho_w];
    if (field.id === "kappa") return F.kappaRange(state);
    return [field.low, field.high];
  }

  function toPosition(field, value) {
    const [low, high] = rangeOf(field);
    let share;
    if (field.scale === LOG) {
      if (field.zero && value < low) return 0;
      share = Math.log(value / low) / Math.log(high / low);
      if (field.zero) share = (1 + share * (STEPS - 1)) / STEPS;
    } else {
      share = high > low ? (value - low) / (high - low) : 0;
    }
    return Math.round(Math.min(Math.max(share, 0), 1) * STEPS);
  }

  function fromPosition(field, position) {
    const [low, high] = rangeOf(field);
    if (field.scale !== LOG) {
      const value = low + ((high - low) * position) / STEPS;
      return field.whole ? Math.round(value) : Number(value.toPrecision(6));
    }
    if (field.zero && position === 0) return 0;
    const share = field.zero ? (position - 1) / (STEPS - 1) : position / STEPS;
    const value = low * (high / low) ** share;
    return field.whole ? Math.round(value) : Number(value.toPrecision(3));
  }

  /* A value that a parameter can have on its own, or null. */
  function admissible(field, text) {
    const value = Number(text);
    if (String(text).trim() === "" || !Number.isFinite(value) || value < 0) return null;
    if (!field.whole) return value;
    return value >= 1 && value <= 1e9 ? Math.round(value) : null;
  }

  /* Set one parameter as a reader does: the split of the target keeps its proportions. */
  function change(field, value) {
    const keep = field.id === "rho_w" || field.id === "rho_s" || field.id === "b";
    const shareOf = ([low, high], x) => (high > low ? Math.min(Math.max((x - low) / (high - low), 0), 1) : 0);
    const partOfB = shareOf([0, state.rho_w], state.b);
    const partOfKappa = shareOf(F.kappaRange(state), state.kappa);
    state[field.id] = value;
    if (field.id === "rho_w") state.b = partOfB * value;
    if (keep) {
      const [low, high] = F.kappaRange(state);
      state.kappa = low + partOfKappa * (high - low);
    }
    state.d_sw = Math.min(state.d_sw, state.d_w, state.d_s);
    refresh();
  }

  function readAddress() {
    const query = new URLSearchParams(window.location.search);
    for (const field of FIELDS) {
      const value = query.has(field.id) ? admissible(field, query.get(field.id)) : null;
      if (value !== null) state[field.id] = value;
    }
    state.d_sw = Math.min(state.d_sw, state.d_w, state.d_s);
  }

  function address() {
    const query = new URLSearchParams();
    for (const field of FIELDS) query.set(field.id, String(state[field.id]));
    return `${window.location.pathname}?${query}${window.location.hash}`;
  }

  function writeAddress() {
    window.clearTimeout(urlTimer);
    /* Browsers limit how often the address may change. */
    urlTimer = window.setTimeout(() => {
      try {
        window.history.replaceState(null, "", address());
      } catch {
        /* A page opened from a file may not change its address. */
      }
    }, 150);
  }

  /* ---- Words and numbers --------------------------------------------------------------------- */

  function show(value) {
    if (Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return "infinite";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(4))).replace("-", "−");
    const [digits, exponent] = value.toExponential(3).split("e");
    const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
    if (value < 0) return `−${show(-value)}`;
    return Number(digits) === 1 ? `10${raised}` : `${Number(digits)} · 10${raised}`;
  }

  function verdict(r) {
    if (state.n < Math.max(state.d_w, state.d_s) + 2)
      return `Too few labels: the expected risks need n of at least ${Math.max(state.d_w, state.d_s) + 2}.`;
    if (state.N < state.d_s + 2)
      return `Too few pseudo-labels: the student's expected risk needs N of at least ${state.d_s + 2}.`;
    const from = F.pseudoLabelsFor(state, r.teacher);
    const beats = F.pseudoLabelsFor(state, r.baseline);
    const limit = F.pgrLimit(state);
    const least = (x) => (Number.isFinite(x) ? `from N = ${show(Math.floor(x) + 1)} on` : "for no N");
    const word = r.gain > 0 ? "better than" : r.gain < 0 ? "worse than" : "as good as";
    return (
      `The student is ${word} its teacher and ${r.opr > 1 ? "better" : "not better"} than the ` +
      `baseline. At this n it is better than its teacher ${least(from)}, better than the baseline ` +
      `${least(beats)}; as N grows, PGR tends to ${show(limit)}.`
    );
  }

  /* ---- Drawing ------------------------------------------------------------------------------- */

  function colour(name) {
    return getComputedStyle(root).getPropertyValue(`--w2s-${name}`).trim();
  }

  function axis(title, extra) {
    return {
      title: { text: title, standoff: 8 },
      gridcolor: colour("grid"), linecolor: colour("rule"), zerolinecolor: colour("rule"),
      tickcolor: colour("rule"), ticks: "outside", ticklen: 4, automargin: true, fixedrange: true,
      exponentformat: "power", ...extra,
    };
  }

  /* A logarithmic axis over the values given, with ticks that are read as numbers. */
  function logAxis(title, values) {
    const seen = values.filter((value) => Number.isFinite(value) && value > 0);
    const low = seen.length ? Math.min(...seen) : 1, high = seen.length ? Math.max(...seen) : 10;
    const room = 0.03 * Math.max(Math.log10(high / low), 0.3);
    const decades = Math.log10(high / low);
    const steps = decades < 1.7 ? [1, 2, 5] : decades < 2.6 ? [1, 3] : [1];
    const tickvals = [];
    for (let e = Math.floor(Math.log10(low)) - 1; e <= Math.ceil(Math.log10(high)); e += 1)
      if (decades < 7 || e % 2 === 0) tickvals.push(...steps.map((step) => Number(`${step}e${e}`)));
    return axis(title, {
      type: "log", tickvals, ticktext: tickvals.map(show),
      range: [Math.log10(low) - room, Math.log10(high) + room],
    });
  }

  function draw(id, traces, layout, description) {
    const target = document.getElementById(id);
    target.setAttribute("aria-label", description);
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("ink"), family: getComputedStyle(root).fontFamily, size: 13 },
      margin: { l: 58, r: 14, t: 8, b: 44 }, height: 270, showlegend: false, dragmode: false,
      hoverlabel: { font: { family: getComputedStyle(root).fontFamily } },
    };
    Plotly.react(target, traces, { ...base, ...layout }, { responsive: true, displayModeBar: false });
  }

  function spaced(low, high, count = 120) {
    const grid = [];
    for (let i = 0; i < count; i += 1) grid.push(Math.round(low * (high / low) ** (i / (count - 1))));
    return [...new Set(grid)];
  }

  function gridOf(which) {
    const least = which === "N" ? state.d_s + 2 : Math.max(state.d_w, state.d_s) + 2;
    const low = Math.min(which === "N" ? least + 1 : Math.ceil(1.02 * least) + 2, 1e9);
    return spaced(low, Math.max(100 * least, 4 * state[which]));
  }

  const finite = (value) => (Number.isFinite(value) ? value : null);

  function curves(which) {
    const grid = gridOf(which);
    return [grid, grid.map((size) => F.risks({ ...state, [which]: size }))];
  }

  const DASHES = { teacher: "solid", student: "solid", baseline: "dash", ceiling: "dot" };
  const AXES = { N: "pseudo-labels N", n: "labels n" };

  function here(which, value, name) {
    return {
      x: [state[which]], y: [finite(value)], mode: "markers", name: "this setting",
      marker: { color: colour(name), size: 10, line: { color: colour("paper"), width: 2 } },
      hoverinfo: "skip",
    };
  }

  function drawRisks(which, grid, values) {
    const traces = Object.keys(ROLES).map((role) => ({
      x: grid, y: values.map((value) => finite(value[role])), mode: "lines", name: role,
      line: { color: colour(role), dash: DASHES[role], width: role === "student" ? 3 : 2 },
      hovertemplate: `${role} %{y:.4g}<extra></extra>`,
    }));
    const now = F.risks(state);
    traces.push(here(which, now.student, "student"), here(which, now.teacher, "teacher"));
    draw(
      `w2s-risk-${which}`, traces,
      {
        xaxis: logAxis(AXES[which], grid), hovermode: "x",
        yaxis: logAxis("excess risk", traces.flatMap((trace) => trace.y)),
      },
      `Excess risks of teacher, student, baseline and ceiling against ${AXES[which]}`,
    );
  }

  function drawRatio(which, grid, values, ratio, level) {
    const seen = values.map((value) => finite(value[ratio]));
    const tall = seen.filter((value) => value !== null);
    const low = ratio === "pgr" ? Math.max(-1, Math.min(0, ...tall)) : 0;
    const high = Math.max(1.1, Math.min(Math.max(...tall, 1), 50) * 1.05);
    const ends = [grid[0], grid[grid.length - 1]];
    const traces = [
      { x: ends, y: [level, level], mode: "lines", line: { color: colour("quiet"), width: 1 }, hoverinfo: "skip" },
      {
        x: grid, y: seen, mode: "lines", line: { color: colour("student"), width: 2.5 },
        hovertemplate: `${ratio.toUpperCase()} %{y:.4g}<extra></extra>`,
      },
      here(which, F.risks(state)[ratio], "student"),
    ];
    draw(
      `w2s-${ratio}-${which}`, traces,
      {
        xaxis: logAxis(AXES[which], grid), height: 220, hovermode: "x",
        yaxis: axis(ratio.toUpperCase(), { range: [low - 0.05, high], zeroline: false }),
      },
      `${ratio.toUpperCase()} against ${AXES[which]}`,
    );
  }

  function boundary(level) {
    const most = Math.min(state.d_w, state.d_s);
    const xs = [], ys = [];
    for (let i = 0; i <= 200; i += 1) {
      const setting = { ...state, d_sw: (most * i) / 200 };
      const size = F.pseudoLabelsFor(setting, F.risks(setting)[level]);
      if (Number.isFinite(size)) {
        xs.push(setting.d_sw);
        ys.push(Math.max(size, state.d_s + 1.01));
      }
    }
    return [xs, ys];
  }

  function drawPhases() {
    const low = state.d_s + 1.5;
    const high = Math.max(1000 * state.d_s, 4 * state.N);
    const [xs, ys] = boundary("teacher");
    const [bx, by] = boundary("baseline");
    const most = Math.min(state.d_w, state.d_s);
    const end = xs.length ? xs[xs.length - 1] : 0;
    const traces = [
      {
        x: [...xs, end, 0], y: [...ys, high, high], mode: "lines", fill: "toself",
        fillcolor: colour("region"), line: { width: 0, color: "rgba(0,0,0,0)" }, hoverinfo: "skip",
      },
      {
        x: xs, y: ys, mode: "lines", line: { color: colour("teacher"), width: 2.5 },
        hovertemplate: "as good as the teacher at N = %{y:.4g}<extra></extra>",
      },
      {
        x: bx, y: by, mode: "lines", line: { color: colour("baseline"), width: 2, dash: "dash" },
        hovertemplate: "as good as the baseline at N = %{y:.4g}<extra></extra>",
      },
      {
        x: [state.d_sw], y: [state.N], mode: "markers", hoverinfo: "skip",
        marker: { color: colour("student"), size: 13, symbol: "diamond", line: { color: colour("paper"), width: 2 } },
      },
    ];
    draw(
      "w2s-phase", traces,
      {
        height: 320,
        xaxis: axis("correlation dimension", { range: [-0.02 * most, 1.02 * most], zeroline: false }),
        yaxis: logAxis("pseudo-labels N", [low, high]),
      },
      `Phase diagram: the student is ${F.risks(state).gain > 0 ? "better" : "not better"} than its ` +
        "teacher at this setting; above the solid line it is better",
    );
  }

  function fillTable(which, grid, values) {
    const body = document.querySelector(`#w2s-values-${which} tbody`);
    const rows = [];
    for (let i = 0; i < 8; i += 1) {
      const at = Math.round((i * (grid.length - 1)) / 7);
      const cells = ["teacher", "student", "baseline", "ceiling", "pgr", "opr"];
      const numbers = cells.map((key) => `<td>${show(values[at][key])}</td>`).join("");
      rows.push(`<tr><th scope="row">${show(grid[at])}</th>${numbers}</tr>`);
    }
    body.innerHTML = rows.join("");
  }

  /* ---- The page ------------------------------------------------------------------------------ */

  function refresh() {
    writeAddress();
    if (scheduled) return;
    scheduled = true;
    window.requestAnimationFrame(() => {
      scheduled = false;
      update();
    });
  }

  function update() {
    for (const field of FIELDS) {
      const slider = document.getElementById(`w2s-slider-${field.id}`);
      const box = document.getElementById(`w2s-box-${field.id}`);
      slider.value = String(toPosition(field, state[field.id]));
      slider.setAttribute("aria-valuetext", show(state[field.id]));
      const [low, high] = rangeOf(field);
      slider.disabled = !(high > low);
      if (document.activeElement !== box) {
        box.value = String(Number(state[field.id].toPrecision(12)));
        box.removeAttribute("aria-invalid");
      }
    }
    const now = F.risks(state);
    for (const cell of root.querySelectorAll("[data-quantity]")) {
      const value = now[cell.dataset.quantity];
      cell.textContent = show(value);
      cell.dataset.value = String(value);
    }
    const problem = F.impossible(state);
    document.getElementById("w2s-verdict").textContent = verdict(now);
    const warning = document.getElementById("w2s-warning");
    warning.hidden = problem === "";
    warning.textContent = problem && `No target has this split: ${problem}.`;
    for (const which of ["N", "n"]) {
      const [grid, values] = curves(which);
      drawRisks(which, grid, values);
      drawRatio(which, grid, values, "pgr", 0);
      drawRatio(which, grid, values, "opr", 1);
      fillTable(which, grid, values);
    }
    drawPhases();
    root.dataset.state = FIELDS.map((field) => `${field.id}=${state[field.id]}`).join("&");
  }

  function control(field) {
    const row = document.createElement("div");
    row.className = "w2s-control";
    row.innerHTML =
      `<label for="w2s-slider-${field.id}"><span class="w2s-symbol">${field.name}</span> ${field.words}</label>` +
      `<input type="range" id="w2s-slider-${field.id}" min="0" max="${STEPS}" step="1">` +
      `<input type="text" inputmode="decimal" autocomplete="off" spellcheck="false" id="w2s-box-${field.id}">`;
    const [slider, box] = row.querySelectorAll("input");
    box.setAttribute("aria-label", `${row.querySelector("label").textContent}, exact value`);
    slider.addEventListener("input", () => {
      const before = state[field.id];
      const step = Math.sign(Number(slider.value) - toPosition(field, before));
      let value = fromPosition(field, Number(slider.value));
      /* Where whole numbers are further apart than the slider's steps, one step is one more. */
      if (field.whole && step !== 0 && (value - before) * step <= 0) value = Math.max(before + step, 1);
      change(field, value);
    });
    box.addEventListener("input", () => {
      const value = admissible(field, box.value);
      if (value === null) box.setAttribute("aria-invalid", "true");
      else {
        box.removeAttribute("aria-invalid");
        change(field, value);
      }
    });
    box.addEventListener("blur", refresh);
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") box.blur();
    });
    return row;
  }

  function presets() {
    const group = document.getElementById("w2s-presets");
    for (const [name, values] of Object.entries(PRESETS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => {
        Object.assign(state, values);
        refresh();
      });
      group.append(button);
    }
  }

  function start() {
    root = document.getElementById("w2s-explorer");
    readAddress();
    document.getElementById("w2s-form").addEventListener("submit", (event) => event.preventDefault());
    const controls = document.getElementById("w2s-controls");
    for (const field of FIELDS) controls.append(control(field));
    presets();
    root.hidden = false;
    update();
    new MutationObserver(update).observe(document.documentElement, {
      attributes: true, attributeFilter: ["data-theme"],
    });
    window.addEventListener("popstate", () => {
      readAddress();
      update();
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
