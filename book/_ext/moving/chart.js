/* A small chart: lines on linear or logarithmic axes, with names at their ends. */

import { short } from "./kit.js";

const SIZE = [340, 244], ROOM = { left: 52, right: 58, top: 10, bottom: 40 };

const escape = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

/* A number as it is read on an axis or in a sentence. */
export function show(value) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "infinite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(4))).replace("-", "−");
  const [digits, exponent] = size.toExponential(3).split("e");
  const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  const sign = value < 0 ? "−" : "";
  return Number(digits) === 1 ? `${sign}10${raised}` : `${sign}${Number(digits)} · 10${raised}`;
}

/* Where to put marks on a logarithmic axis: at most six. */
function logTicks(low, high) {
  const decades = Math.log10(high / low), every = Math.ceil(decades / 6);
  const steps = decades < 1.3 ? [1, 2, 5] : decades < 2.6 ? [1, 3] : [1];
  const found = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1)
    if (e % every === 0) found.push(...steps.map((step) => Number(`${step}e${e}`)));
  return found.filter((value) => value >= low && value <= high);
}

function linearTicks(low, high) {
  const rough = (high - low) / 4, base = 10 ** Math.floor(Math.log10(rough));
  const step = base * [1, 2, 5, 10].find((each) => each * base >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12); i += 1) found.push(i * step);
  return found.map((value) => Number(value.toPrecision(6)));
}

function axis({ low, high, log = false }, from, to) {
  const f = log ? Math.log : (value) => value;
  const span = f(high) - f(low) || 1;
  return {
    ticks: log ? logTicks(low, high) : linearTicks(low, high),
    place: (value) => from + ((f(value) - f(low)) / span) * (to - from),
    value: (place) => {
      const share = f(low) + ((place - from) / (to - from)) * span;
      return log ? Math.exp(share) : share;
    },
  };
}

/* Lines of points [x, y]; where a value cannot be drawn the line has a gap. */
function path(points, x, y, bottom) {
  let open = false, text = "";
  for (const [a, b] of points) {
    if (!Number.isFinite(b)) {
      open = false;
      continue;
    }
    const [px, py] = [x.place(a), Math.min(Math.max(y.place(b), -400), bottom + 400)];
    text += `${open ? "L" : "M"}${short(px)} ${short(py)}`;
    open = true;
  }
  return text;
}

/* Names at the right end of lines, pushed apart where they would cover each other. */
function spread(names, top, bottom) {
  const sorted = [...names].sort((a, b) => a.y - b.y);
  sorted.forEach((name, i) => { name.y = Math.max(name.y, i ? sorted[i - 1].y + 14 : top); });
  for (let i = sorted.length - 1, limit = bottom; i >= 0; i -= 1, limit -= 14) sorted[i].y = Math.min(sorted[i].y, limit);
  return sorted;
}

/* Draw into an <svg>; return the axes, for what follows a pointer.
   lines: {role, name, points, extra}; dots: {role, at}; area: {points}; x, y: {title, low, high, log}. */
export function chart(svg, { id, x: xs, y: ys, lines, dots = [], area = null, label }) {
  const [width, height] = SIZE, right = width - ROOM.right, bottom = height - ROOM.bottom;
  const x = axis(xs, ROOM.left, right), y = axis(ys, bottom, ROOM.top);
  const inside = (value) => value >= ROOM.top - 0.5 && value <= bottom + 0.5;
  const out = [`<clipPath id="${id}-clip"><rect x="${ROOM.left}" y="${ROOM.top}" width="${right - ROOM.left}" height="${bottom - ROOM.top}"/></clipPath>`];
  for (const tick of y.ticks) {
    const at = short(y.place(tick));
    out.push(`<path class="w2s-grid" d="M${ROOM.left} ${at}H${right}"/><text x="${ROOM.left - 6}" y="${Number(at) + 4}" text-anchor="end">${escape(show(tick))}</text>`);
  }
  for (const tick of x.ticks) {
    const at = short(x.place(tick));
    out.push(`<path class="w2s-grid" d="M${at} ${bottom}v4"/><text x="${at}" y="${bottom + 17}" text-anchor="middle">${escape(show(tick))}</text>`);
  }
  out.push(`<path class="w2s-frame" d="M${ROOM.left} ${ROOM.top}V${bottom}H${right}"/>`);
  out.push(`<text x="${(ROOM.left + right) / 2}" y="${height - 5}" text-anchor="middle">${escape(xs.title)}</text><g clip-path="url(#${id}-clip)">`);
  if (area) out.push(`<path class="w2s-region" d="${path(area.points, x, y, bottom)}Z"/>`);
  for (const line of lines)
    out.push(`<path class="w2s-line w2s-of-${line.role} ${line.extra ?? ""}" d="${path(line.points, x, y, bottom)}"/>`);
  out.push("</g>");
  for (const { role, at } of dots)
    if (Number.isFinite(at[1]) && inside(y.place(at[1])))
      out.push(`<circle class="w2s-dot w2s-of-${role}" cx="${short(x.place(at[0]))}" cy="${short(y.place(at[1]))}" r="5"/>`);
  const names = lines.filter((line) => line.name && line.points.length).map((line) => {
    const drawn = line.points.filter(([, value]) => Number.isFinite(value));
    return drawn.length ? { ...line, y: y.place(drawn[drawn.length - 1][1]) } : null;
  });
  for (const name of spread(names.filter((each) => each && inside(each.y)), ROOM.top + 4, bottom))
    out.push(`<text class="w2s-end w2s-of-${name.role}" x="${right + 5}" y="${short(name.y + 4)}">${escape(name.name)}</text>`);
  svg.setAttribute("aria-label", label);
  svg.innerHTML = `${out.join("")}<g class="w2s-here"></g>`;
  return { x, y, right, bottom, left: ROOM.left, top: ROOM.top };
}

/* What the lines say at the pointer: `read` gives the sentence and the nearest x. */
export function follow(svg, axes, read) {
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect(), place = ((event.clientX - box.left) * SIZE[0]) / box.width;
    const here = svg.querySelector(".w2s-here");
    if (place < axes.left || place > axes.right) {
      here.innerHTML = "";
      return;
    }
    const { at, words } = read(axes.x.value(place));
    const rows = words.map((text, i) => `<tspan x="${axes.left + 8}" dy="${i ? 14 : 0}">${escape(text)}</tspan>`);
    here.innerHTML = `<path d="M${short(axes.x.place(at))} ${axes.top}V${axes.bottom}"/><text y="${axes.bottom - 8 - 14 * (words.length - 1)}">${rows.join("")}</text>`;
  };
  svg.onpointerleave = () => { svg.querySelector(".w2s-here").innerHTML = ""; };
}
