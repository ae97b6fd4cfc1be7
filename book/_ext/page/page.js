// What a chapter's page does beyond text. Without this script the page is whole.

const KEY = "w2s-code-hidden";
const article = document.querySelector(".bd-article");

function remembered() {
  try {
    return localStorage.getItem(KEY) === "yes";
  } catch {
    return false;
  }
}

// One switch for all code, remembered from page to page.
function codeSwitch() {
  if (!article?.querySelector(".cell .cell_input, .cell details.hide")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "w2s-code-switch";
  const apply = (hidden) => {
    document.documentElement.classList.toggle("w2s-no-code", hidden);
    button.textContent = hidden ? "Show all code" : "Hide all code";
    button.setAttribute("aria-pressed", String(hidden));
  };
  button.addEventListener("click", () => {
    const hidden = !document.documentElement.classList.contains("w2s-no-code");
    try {
      localStorage.setItem(KEY, hidden ? "yes" : "no");
    } catch {
      // Nothing is remembered where storage is refused.
    }
    apply(hidden);
  });
  apply(remembered());
  article.append(button);
}

// What a link within the book points to, on hover and on focus: a statement, a figure, an equation,
// a symbol, a reference. Not for a finger, whose touch follows the link.
const LINKS = "a.reference.internal[href*='#']:not(.headerlink)";
const BLOCKS = ".proof, figure, .exercise, .citation, tr, .w2s-identity, .math-wrapper, div.math";
const pages = new Map();

async function pageOf(url) {
  const address = url.href.split("#")[0];
  if (address === location.href.split("#")[0]) return document;
  if (!pages.has(address)) {
    pages.set(
      address,
      fetch(address)
        .then((answer) => answer.text())
        .then((text) => new DOMParser().parseFromString(text, "text/html"))
        .catch(() => null), // opened from a file: no previews across pages
    );
  }
  return pages.get(address);
}

function blockOf(target) {
  const around = target?.closest(BLOCKS);
  if (around || !target) return around;
  // An equation's anchor may stand just before its formula.
  return target.nextElementSibling?.matches(BLOCKS) ? target.nextElementSibling : null;
}

// A copy to look at: no ids, nothing to follow or to fold, files as seen from here.
function copyOf(block, url) {
  const copy = block.cloneNode(true);
  for (const named of [copy, ...copy.querySelectorAll("[id]")]) named.removeAttribute("id");
  for (const node of copy.querySelectorAll("[tabindex]")) node.removeAttribute("tabindex");
  for (const node of copy.querySelectorAll(".headerlink, .w2s-data, details")) node.remove();
  for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  for (const image of copy.querySelectorAll("img")) {
    image.src = new URL(image.getAttribute("src"), url);
    image.loading = "eager";
  }
  if (!copy.matches("tr")) return copy;
  const table = document.createElement("table");
  table.className = "table";
  table.append(copy);
  return table;
}

let shown = null;
let timer = 0;

function hide() {
  clearTimeout(timer);
  shown?.link.removeAttribute("aria-describedby");
  shown?.box.remove();
  shown = null;
}

async function preview(link) {
  if (shown?.link === link) return;
  const url = new URL(link.href, location.href);
  const page = await pageOf(url);
  const block = blockOf(page?.getElementById(decodeURIComponent(url.hash.slice(1))));
  if (!block || !link.matches(":hover, :focus-visible")) return;
  hide();
  const box = document.createElement("div");
  box.className = "w2s-preview";
  box.id = "w2s-preview";
  box.setAttribute("role", "tooltip");
  box.append(copyOf(block, url));
  // In the top layer nothing cuts it off; after its link it is next for reader and keyboard.
  box.popover = "manual";
  link.after(box);
  box.showPopover?.();
  link.setAttribute("aria-describedby", box.id);
  shown = { link, box };
  box.addEventListener("pointerleave", leave);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  if (page !== document) await globalThis.MathJax?.typesetPromise?.([box]);
  fitAll(box);
  new ResizeObserver(place).observe(box.firstElementChild); // it grows as its formulas are set
}

// Below the link or above it, where there is more room.
function place() {
  if (!shown) return;
  const { link, box } = shown;
  const at = [...link.getClientRects()].at(-1);
  const below = innerHeight - at.bottom - 16;
  const isBelow = box.scrollHeight <= below || below >= at.top - 16;
  box.style.maxHeight = `${Math.max(isBelow ? below : at.top - 16, 96)}px`;
  box.style.left = `${Math.max(16, Math.min(at.left, innerWidth - box.offsetWidth - 16))}px`;
  box.style.top = `${isBelow ? at.bottom + 6 : at.top - box.offsetHeight - 6}px`;
  // A fraction of a pixel is nothing to scroll to.
  if (box.scrollHeight <= box.clientHeight + 1) return;
  box.style.overflow = "auto";
  box.tabIndex = 0;
}

// Some time to reach the preview itself with the pointer.
function leave() {
  clearTimeout(timer);
  timer = setTimeout(() => shown?.link.matches(":focus-visible") || hide(), 200);
}

function previews() {
  // Their titles are shown in full here; the names stay.
  for (const symbol of document.querySelectorAll("a.w2s-symbol[title]")) {
    symbol.setAttribute("aria-label", symbol.title);
    symbol.removeAttribute("title");
  }
  article?.addEventListener("pointerover", (event) => {
    const link = event.pointerType === "touch" ? null : event.target.closest(LINKS);
    if (!link) return;
    clearTimeout(timer);
    timer = setTimeout(() => preview(link), 250);
  });
  article?.addEventListener("pointerout", (event) => event.target.closest(LINKS) && leave());
  article?.addEventListener("focusin", (event) => {
    if (event.target.matches(`:is(${LINKS}):focus-visible`)) preview(event.target);
  });
  article?.addEventListener("focusout", (event) => {
    if (shown && !shown.box.contains(event.relatedTarget)) hide();
  });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", place, { passive: true });
}

// Formulas that are wider than their line: broken before a relation or an operation, or set a
// little smaller, or else in a box that scrolls.
const SMALLEST = 0.8;

// Where a line may begin, from the best place to the worst: after a comma, before a relation,
// before an operation, and within brackets; never just after a relation or an operation.
const PLACES = [",", ",=", ",=+", ",=+("];

function signs(parts) {
  let depth = 0;
  let before = "";
  return parts.map((part) => {
    const code = part.matches("mjx-mo, mjx-texatom")
      ? (/mjx-c([0-9A-F]+)/.exec(part.querySelector("mjx-c")?.className)?.[1] ?? "")
      : "";
    const space = part.matches("mjx-mo") ? part.getAttribute("space") : null;
    const kind = space === "4" && before !== "=" ? "=" : space === "3" && before !== "+" ? "+" : "";
    const place = depth > 0 ? kind && "(" : before === "," ? "," : kind;
    if (["28", "5B", "7B", "27E8"].includes(code)) depth += 1;
    if (["29", "5D", "7D", "27E9"].includes(code)) depth -= 1;
    before = code === "2C" ? "," : kind;
    return place;
  });
}

// Put the formula's parts into one box a line; tell whether there is more than one.
function breakAt(formula, places) {
  const whole = formula.querySelector("mjx-math");
  formula.parts ??= [...whole.children];
  formula.places ??= signs(formula.parts);
  const lines = [[]];
  formula.parts.forEach((part, index) => {
    const starts = formula.places[index] && places.includes(formula.places[index]);
    if (starts && lines.at(-1).length) lines.push([]);
    lines.at(-1).push(part);
  });
  if (lines.length < 2) return false;
  whole.replaceChildren(
    ...lines.map((parts) => {
      const line = document.createElement("span");
      line.className = "w2s-line";
      line.append(...parts);
      return line;
    }),
  );
  return true;
}

function join(formula) {
  formula.querySelector("mjx-math").replaceChildren(...formula.parts);
  formula.classList.remove("w2s-broken");
}

function room(formula) {
  const block = formula.closest(".w2s-tex:has(> [display]), p, li, td, th, dt, dd, figcaption, summary");
  const style = getComputedStyle(block);
  return block.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
}

function fit(formula) {
  const whole = formula.querySelector("mjx-math");
  if (!whole?.getClientRects().length) return; // folded away
  formula.classList.remove("w2s-broken", "w2s-scrolls");
  whole.style.fontSize = "";
  const wide = () => whole.getBoundingClientRect().width - room(formula);
  if (wide() <= 0) return;
  for (const places of PLACES) {
    if (!breakAt(formula, places)) continue;
    formula.classList.add("w2s-broken");
    const longest = Math.max(...[...whole.children].map((line) => line.getBoundingClientRect().width));
    if (longest <= room(formula)) return;
    formula.classList.remove("w2s-broken");
  }
  const needed = room(formula) / whole.getBoundingClientRect().width;
  if (needed >= SMALLEST) whole.style.fontSize = `${Math.floor(needed * 1000) / 10}%`;
  else if (!formula.hasAttribute("display")) formula.classList.add("w2s-scrolls");
}

const BOXES =
  "div.math > .w2s-tex, .pst-scrollable-table-container, .bd-article pre, .w2s-figure-box, " +
  ".cell_output .text_html, .w2s-values, .cell_output div[style*=overflow-x], mjx-container.w2s-scrolls";

function cue(box) {
  const more = box.scrollWidth - box.clientWidth;
  box.classList.toggle("w2s-scrolls", more > 1);
  box.classList.toggle("w2s-at-end", box.scrollLeft >= more - 2);
  if (more > 1) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}

function fitAll(root = article) {
  for (const formula of root.querySelectorAll("mjx-container")) fit(formula);
  for (const box of root.querySelectorAll(BOXES)) if (box.clientWidth) cue(box);
}

async function wideThings() {
  const root = document.documentElement;
  if (!article) return void root.classList.add("w2s-typeset");
  addEventListener("load", () => fitAll());
  document.addEventListener("toggle", (event) => fitAll(event.target), true);
  document.addEventListener("scroll", (event) => event.target.matches?.(".w2s-scrolls") && cue(event.target), true);
  let later = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(later);
    later = requestAnimationFrame(() => fitAll());
  });
  if (document.readyState !== "complete") await new Promise((go) => addEventListener("load", go));
  await globalThis.MathJax?.startup?.promise;
  keepingPlaces(() => {
    root.classList.add("w2s-typeset");
    fitAll();
  });
}

// Change how formulas are set, and let those in sight take as much room as before: the text around
// and below stays where it is being read.
function keepingPlaces(change) {
  const inSight = (selector) =>
    [...article.querySelectorAll(selector)].filter((formula) => {
      const box = formula.getBoundingClientRect();
      return box.height && box.top < innerHeight;
    });
  const blocks = inSight("div.math");
  const within = inSight("span.math > math");
  const heights = blocks.map((block) => block.offsetHeight);
  const widths = within.map((formula) => formula.getBoundingClientRect().width);
  change();
  within.forEach((formula, i) => {
    const set = formula.parentElement.querySelector("mjx-math");
    const more = set ? widths[i] - set.getBoundingClientRect().width : Infinity;
    // So little is not seen, but would break the line elsewhere.
    if (Math.abs(more) < 4) set.parentElement.style.marginInlineEnd = `${more}px`;
  });
  blocks.forEach((block, i) => {
    const inner = block.querySelector(".w2s-tex");
    const margin = () => parseFloat(getComputedStyle(inner).marginTop) + (heights[i] - block.offsetHeight) / 2;
    // One that would need more lines than it has room for scrolls instead.
    if (margin() < 0) for (const formula of inner.querySelectorAll(".w2s-broken")) join(formula);
    inner.style.marginBlock = `${Math.max(margin(), 0)}px`;
    cue(inner);
  });
}

// A printed chapter is whole: what is folded opens.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".bd-article details:not(.hide, .w2s-evidence *)")) fold.open = true;
});

codeSwitch();
previews();
wideThings();
