/* The exact risks of the chapter "What the student inherits", as w2s_utils.theory.risks has them.
   A setting is {d_w, d_s, d_sw, n, N, sigma2, rho_w, rho_s, b, kappa}. Where too few inputs make
   an expectation infinite, the value is Infinity. No access to the page here. */
"use strict";

const w2sFormulas = (() => {
  /* 1 / (count - dimension - 1): the mean of an inverse Wishart matrix of that size. */
  const inverse = (count, dimension) =>
    count >= dimension + 2 ? 1 / (count - dimension - 1) : Infinity;

  const times = (factor, value) => (factor === 0 ? 0 : factor * value);

  function onLabels(s, count) {
    return s.rho_s + times((s.sigma2 + s.rho_s) * s.d_s, inverse(count, s.d_s));
  }

  function risks(s) {
    const tau = times(s.sigma2 + s.rho_w, inverse(s.n, s.d_w));
    const r = s.d_s * inverse(s.N, s.d_s);
    const discrepancy = s.d_w - s.d_sw;
    const teacher = s.rho_w + tau * s.d_w;
    const inherited = times(s.d_sw, tau);
    const reduced = times(discrepancy, tau === 0 ? 0 : tau * r);
    const student = s.rho_s + s.b + inherited + reduced + times(s.kappa, r);
    const baseline = onLabels(s, s.n);
    const ceiling = onLabels(s, s.n + s.N);
    const gain = teacher - student;
    return {
      teacher, student, baseline, ceiling, gain, inherited, reduced,
      pgr: gain / (teacher - ceiling),
      opr: baseline / student,
    };
  }

  /* Least real N from which the student's risk is at most a level; Infinity if there is none. */
  function pseudoLabelsFor(s, level) {
    const tau = times(s.sigma2 + s.rho_w, inverse(s.n, s.d_w));
    const room = level - s.rho_s - s.b - times(s.d_sw, tau);
    const slope = times(s.d_w - s.d_sw, tau) + s.kappa;
    if (!Number.isFinite(room) || room < 0 || (room === 0 && slope > 0)) return Infinity;
    return slope === 0 ? s.d_s + 2 : s.d_s + 1 + (s.d_s * slope) / room;
  }

  /* Limit of PGR for ever more pseudo-labels. */
  function pgrLimit(s) {
    const tau = times(s.sigma2 + s.rho_w, inverse(s.n, s.d_w));
    const teacher = s.rho_w + tau * s.d_w;
    return (teacher - s.rho_s - s.b - times(s.d_sw, tau)) / (teacher - s.rho_s);
  }

  /* What kappa can be for a target with these approximation errors (triangle inequality). */
  function kappaRange(s) {
    const rest = Math.sqrt(Math.max(s.rho_w - s.b, 0));
    const own = Math.sqrt(s.rho_s);
    return [(own - rest) ** 2, (own + rest) ** 2];
  }

  /* Why no target has this split, in words; empty if one has. */
  function impossible(s) {
    const [low, high] = kappaRange(s);
    const slack = 1e-9 * (s.rho_w + s.rho_s + s.kappa + s.b);
    if (s.b > s.rho_w + slack) return "b is at most ρ_w";
    if (s.kappa < low - slack || s.kappa > high + slack)
      return `with these ρ_w, ρ_s and b, κ lies between ${+low.toPrecision(4)} and ${+high.toPrecision(4)}`;
    if (s.d_sw >= s.d_w && s.kappa > slack) return "with V_w inside V_s (d_sw = d_w), κ is 0";
    if (s.d_sw >= s.d_s && s.b > slack) return "with V_s inside V_w (d_sw = d_s), b is 0";
    return "";
  }

  return { risks, pseudoLabelsFor, pgrLimit, kappaRange, impossible };
})();
