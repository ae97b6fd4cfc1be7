/* The explorer's parameters: their scales, and where to start from. Their names are in the page. */

import { splitRange } from "./formulas.js";

const LINEAR = "linear", LOG = "log", SHARE = "share", STEPS = 1000;

/* id, scale, ends of the slider; a LOG scale with `zero` has 0 at its
   left end; a SHARE runs over the range that the parameters before it leave. */
export const FIELDS = [
  { id: "d_w", scale: LINEAR, low: 1, high: 400, whole: true },
  { id: "d_s", scale: LINEAR, low: 1, high: 400, whole: true },
  { id: "d_sw", scale: SHARE },
  { id: "n", scale: LOG, low: 3, high: 1e5, whole: true },
  { id: "N", scale: LOG, low: 3, high: 1e6, whole: true },
  { id: "sigma2", scale: LOG, low: 1e-6, high: 10, zero: true },
  { id: "rho_w", scale: LOG, low: 1e-7, high: 10, zero: true },
  { id: "rho_s", scale: LOG, low: 1e-7, high: 10, zero: true },
  { id: "b", scale: SHARE },
  { id: "kappa", scale: SHARE },
  { id: "a", scale: LOG, low: 1e-7, high: 100, zero: true },
  { id: "price", scale: LOG, low: 1e-5, high: 10 },
];

/* The authors' synthetic model, overlaps 10 and 90, and its well-specified relatives. */
const PLAIN = { d_w: 200, d_s: 100, d_sw: 10, n: 2000, N: 4000, sigma2: 0.01, rho_w: 0, rho_s: 0, b: 0, kappa: 0, a: 1, price: 0.1 };
export const PRESETS = {
  "Much to gain": PLAIN,
  "Dong et al., overlap 10": { ...PLAIN, rho_w: 0.000255820737411, rho_s: 5.4764318133e-05, b: 0.000254128530142, kappa: 5.30721108645e-05, a: 5.24034573956e-06 },
  "Dong et al., bias dominates": { ...PLAIN, d_sw: 90, sigma2: 0.0004, rho_w: 0.000164246493795, rho_s: 5.4764318133e-05, b: 0.000146448412698, kappa: 3.6966237036e-05, a: 0.000112920463184 },
  "Nothing to gain": { ...PLAIN, d_w: 50, d_sw: 50, n: 500 },
  "Few labels": { ...PLAIN, n: 120, sigma2: 0.1 },
};

export function rangeOf(field, state) {
  if (field.id === "d_sw") return [0, Math.min(state.d_w, state.d_s), ""];
  if (field.id === "b" || field.id === "kappa") return splitRange(state, field.id);
  if (field.id === "a") {
    const [low, high, why] = splitRange(state, "a");
    return low === high ? [low, high, why] : [field.low, field.high, ""];
  }
  return [field.low, field.high, ""];
}

export function toPosition(field, state) {
  const [low, high] = rangeOf(field, state), value = state[field.id];
  let share;
  if (field.scale === LOG && high > low) {
    if (field.zero && value < low) return 0;
    share = Math.log(value / low) / Math.log(high / low);
    if (field.zero) share = (1 + share * (STEPS - 1)) / STEPS;
  } else {
    share = high > low ? (value - low) / (high - low) : 0;
  }
  return Math.round(Math.min(Math.max(share, 0), 1) * STEPS);
}

export function fromPosition(field, state, position) {
  const [low, high] = rangeOf(field, state), before = state[field.id];
  if (!(high > low)) return low;
  const whole = (value) => {
    /* Where whole numbers are further apart than the slider's steps, one step is one more. */
    const step = Math.sign(position - toPosition(field, state)), rounded = Math.round(value);
    return step !== 0 && (rounded - before) * step <= 0 ? Math.max(before + step, 1) : rounded;
  };
  if (field.scale !== LOG) {
    const value = low + ((high - low) * position) / STEPS;
    return field.whole ? whole(value) : Number(value.toPrecision(6));
  }
  if (field.zero && position === 0) return 0;
  const share = field.zero ? (position - 1) / (STEPS - 1) : position / STEPS;
  const value = low * (high / low) ** share;
  return field.whole ? whole(value) : Number(value.toPrecision(3));
}

/* A value that a parameter can have on its own, or null. */
export function admissible(field, text) {
  const value = Number(text);
  if (String(text).trim() === "" || !Number.isFinite(value) || value < 0) return null;
  if (!field.whole) return value;
  return value >= 1 && value <= 1e9 ? Math.round(value) : null;
}

/* The state with one parameter changed as a reader does: the split of the target keeps its
   proportions. */
export function changed(before, id, value) {
  const keep = ["rho_w", "rho_s", "b", "d_w", "d_s", "d_sw"].includes(id);
  const shareOf = ([low, high], x) => (high > low ? Math.min(Math.max((x - low) / (high - low), 0), 1) : 0.5);
  const partOfB = before.rho_w > 0 ? Math.min(before.b / before.rho_w, 1) : 0.5;
  const partOfKappa = shareOf(splitRange(before, "kappa"), before.kappa);
  const state = { ...before, [id]: value };
  state.d_sw = Math.min(state.d_sw, state.d_w, state.d_s);
  if (id === "rho_w") state.b = partOfB * value;
  if (keep) {
    const [, most] = splitRange(state, "b");
    state.b = Math.min(state.b, most);
    const [low, high] = splitRange(state, "kappa");
    state.kappa = low + partOfKappa * (high - low);
  }
  return state;
}

export function read(search, start) {
  const query = new URLSearchParams(search), state = { ...start };
  for (const field of FIELDS) {
    const value = query.has(field.id) ? admissible(field, query.get(field.id)) : null;
    if (value !== null) state[field.id] = value;
  }
  state.d_sw = Math.min(state.d_sw, state.d_w, state.d_s);
  /* A link may not know how large the target is: then it is of the size of what is not explained. */
  if (query.size && !query.has("a")) state.a = Math.max(state.sigma2, state.rho_w + state.rho_s);
  return state;
}

export function write(state) {
  return new URLSearchParams(FIELDS.map((field) => [field.id, String(state[field.id])])).toString();
}
