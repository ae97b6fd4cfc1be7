/* A chain of students between two planes, hop by hop: what it denoises and what it forgets. */

import { planeChain } from "./formulas.js";
import { figures, number, scheduled, set, short, speaker, tell } from "./kit.js";

/* The planes are seen along their shared axis, as two lines from the origin; below, a bar a hop. */
const ORIGIN = [46, 196], UNIT = 300, HALF = 0.6;
const HOPS = 12, N = 20, FLOOR = 386, TALL = 118, STEP = 29, WIDE = 20;

const line = (angle, length) =>
  [ORIGIN[0] + UNIT * length * Math.cos(angle), ORIGIN[1] - UNIT * length * Math.sin(angle)];
const write = (points) => `M${points.map((p) => p.map(short).join(" ")).join("L")}`;
const dot = ([x, y], radius) =>
  `M${short(x - radius)} ${short(y)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
/* The bar of a hop from one share of the full height to another. */
const box = (hop, low, high) =>
  `M${short(ORIGIN[0] + STEP * hop)} ${short(FLOOR - TALL * high)}h${WIDE}v${short(TALL * (high - low))}h${-WIDE}Z`;

figures("chain", (root, part) => {
  const say = speaker(part.say);

  function draw() {
    const hop = Number(part.hop.value), degrees = Number(part.angle.value);
    const share = Number(part.share.value) / 100, angle = (degrees * Math.PI) / 180;
    const chain = planeChain(angle, share, N, HOPS);
    const risks = chain.map((each) => each.bias + each.variance);
    const best = risks.reduce((least, risk, i) => (risk < risks[least] - 1e-9 ? i : least), 0);
    const at = (i, length) => line(i % 2 ? angle : 0, length);

    set(part.strong, { d: write([line(angle, -0.08), line(angle, HALF)]) });
    const truth = line(angle, Math.sqrt(share));
    const path = chain.map((each, i) => at(i, each.said));
    const error = chain.map((_, i) => at(i, 0.55 * Math.cos(angle) ** i));
    set(part["target-path"], { d: write([truth, ...path.slice(0, hop + 1)]) });
    set(part["error-path"], { d: write(error.slice(0, hop + 1)) });
    set(part.truth, { d: dot(truth, 7) });
    set(part["said-now"], { d: dot(path[hop], 5) });
    set(part["error-now"], { d: dot(error[hop], 5) });
    for (const name of ["said-now", "error-now"])
      set(part[name], { class: `w2s-dot w2s-of-${hop % 2 ? "student" : "teacher"}` });
    const [nx, ny] = line(angle, HALF + 0.04);
    set(part["name-strong"], { x: short(nx), y: short(Math.max(ny, 14)) });

    const full = Math.max(...risks), noise = chain.map((each, i) => box(i, 0, each.variance / full));
    for (const [remainder, who] of ["teacher", "student"].entries())
      set(part[`noise-${who}`], { d: noise.filter((_, i) => i % 2 === remainder).join("") });
    set(part.bias, { d: chain.map((each, i) => box(i, each.variance / full, risks[i] / full)).join("") });
    set(part.now, { d: box(hop, 0, risks[hop] / full) });
    set(part.best, { x: short(ORIGIN[0] + STEP * best + WIDE / 2) });

    const { bias, variance } = chain[hop];
    const who = hop === 0 ? "teacher" : hop === 1 ? "its student" : `hop ${hop}`;
    part["risk-now"].textContent = number(risks[hop]);
    part["bias-now"].textContent = number(bias);
    part["variance-now"].textContent = number(variance);
    const result = `risk ${number(risks[hop])}, ${number(bias)} forgotten, ${number(variance)} noise`;
    tell(part, { hop: who, angle: `${degrees}°`, share: `${Math.round(100 * share)} %` }, result);
    let words;
    if (degrees === 0)
      words = "The planes coincide: every student copies its teacher, and nothing changes.";
    else if (share === 0 && best === HOPS)
      words = "The target is in both planes. Hops take away noise and forget nothing: the longer, the better.";
    else if (hop === best)
      words = "This is the best length: one hop more would forget more than it denoises.";
    else if (hop < best)
      words = `There is more noise to lose than target to forget: the best is ${best === 1 ? "the first student" : `hop ${best}`}.`;
    else
      words = `Too long: the best was ${best === 0 ? "the teacher" : best === 1 ? "its first student" : `hop ${best}`}.`;
    part.sentence.textContent = words;
    root.classList.toggle("w2s-fails", degrees > 0 && hop > best);
    root.dataset.state = JSON.stringify({ hop, degrees, share, best, risk: risks[hop], bias, variance });
    return `${result}. ${words}`;
  }

  const redraw = scheduled(() => say(draw()));
  for (const slider of [part.hop, part.angle, part.share]) slider.addEventListener("input", redraw);
  draw();
});
