/* What the moving figures share: finding their parts, moving them by hand, by touch and by key, and
   saying the result. A figure is whole in its file of HTML, drawn in its first state; a script only
   changes attributes, so that nothing moves when it arrives. */

/* Figures of a kind on this page, made live one by one. */
export function figures(name, start) {
  for (const root of document.querySelectorAll(`[data-moving="${name}"]`)) {
    start(root, parts(root));
    root.classList.add("w2s-live");
  }
}

/* Elements by their data-part. */
export function parts(root) {
  const found = [...root.querySelectorAll("[data-part]")];
  return Object.fromEntries(found.map((element) => [element.dataset.part, element]));
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/* Rounded to what a picture can show, so that its source stays short. */
export const short = (value) => String(Math.round(value * 100) / 100);

/* With a true minus sign; never "−0.00". */
export function number(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/* At most one drawing a frame. */
export function scheduled(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/* Say a sentence to a screen reader once the hand rests; in between it would be noise. */
export function speaker(element) {
  let timer = 0;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (element.textContent !== text) element.textContent = text;
    }, 500);
  };
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/* A point of the plane in units of the figure: `move` is called with where it shall be. */
export function draggable(handle, { svg, toPlane, get, move, step = 0.1 }) {
  const at = (event) => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    const scale = view.width / box.width;
    return toPlane([(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]);
  };
  let offset = null;
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const point = at(event), now = get();
    offset = [now[0] - point[0], now[1] - point[1]];
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  /* A finger on the handle moves it and not the page; touch-action is not heeded inside an SVG. */
  handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  handle.addEventListener("pointermove", (event) => {
    if (offset === null) return;
    const point = at(event);
    move([point[0] + offset[0], point[1] + offset[1]]);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    handle.addEventListener(end, () => { offset = null; });
  handle.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const size = event.shiftKey ? step / 5 : step, now = get();
    move([now[0] + size * way[0], now[1] + size * way[1]]);
  });
}

/* What each slider shows beside its name, which with the result is what it says. */
export function tell(elements, values, result) {
  for (const [name, value] of Object.entries(values)) {
    elements[`${name}-value`].textContent = value;
    set(elements[name], { "aria-valuetext": `${value}; ${result}` });
  }
}

/* Bars of stacked lengths on one scale: each a list of [part, length]. */
export function bars(elements, rows, full) {
  for (const row of rows)
    for (const [name, length] of row)
      elements[name].style.width = `${short((100 * Math.max(length, 0)) / full)}%`;
}
