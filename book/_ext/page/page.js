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

// The cell of parameters as a line of chips: name = value each.
function parameterChips() {
  for (const cell of document.querySelectorAll(".cell.tag_parameters")) {
    const source = cell.querySelector("pre")?.textContent ?? "";
    const lines = [];
    for (const text of source.split("\n")) {
      if (/^\w+ *=/.test(text)) lines.push(text);
      else if (text.trim() && lines.length) lines[lines.length - 1] += ` ${text.trim()}`;
    }
    if (!lines.length) continue;
    const list = document.createElement("div");
    list.className = "w2s-parameters";
    for (const text of lines) {
      const chip = document.createElement("span");
      const [value, comment] = text.split(/ +# +/);
      chip.textContent = value.replace(/ *= */, " = ");
      if (comment) chip.title = comment;
      list.append(chip);
    }
    cell.before(list);
    cell.classList.add("w2s-as-chips");
  }
}

// What a link within the book points to, on hover and on focus.
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

function worthShowing(target) {
  if (!target) return null;
  const block = target.closest(".proof, figure, .exercise, .citation, dl.glossary dt, tr, .w2s-identity, .math-wrapper, div.math");
  if (block) return block;
  // An equation's anchor stands in the box of its formula, or just before it.
  const next = target.nextElementSibling;
  return next?.matches("div.math, .math-wrapper, figure, .proof") ? next : null;
}

let shown = null;
let timer = 0;

function hide() {
  clearTimeout(timer);
  shown?.remove();
  shown = null;
}

async function preview(link) {
  const url = new URL(link.href, location.href);
  const page = await pageOf(url);
  const block = worthShowing(page?.getElementById(decodeURIComponent(url.hash.slice(1))));
  if (!block || !link.matches(":hover, :focus")) return;
  hide();
  shown = document.createElement("div");
  shown.className = "w2s-preview";
  shown.setAttribute("role", "tooltip");
  shown.id = "w2s-preview";
  const copy = block.cloneNode(true);
  for (const named of [copy, ...copy.querySelectorAll("[id]")]) named.removeAttribute("id");
  for (const image of copy.querySelectorAll("img")) image.src = new URL(image.getAttribute("src"), url);
  shown.append(copy);
  document.body.append(shown);
  const box = link.getBoundingClientRect();
  const left = Math.min(box.left, innerWidth - shown.offsetWidth - 16);
  const below = box.bottom + shown.offsetHeight + 8 < innerHeight;
  shown.style.left = `${Math.max(16, left) + scrollX}px`;
  shown.style.top = `${(below ? box.bottom + 6 : box.top - shown.offsetHeight - 6) + scrollY}px`;
  if (page !== document) globalThis.MathJax?.typesetPromise?.([shown]);
}

function previews() {
  const wanted = "a.reference.internal[href*='#']:not(.headerlink)";
  article?.addEventListener("pointerover", (event) => {
    const link = event.target.closest(wanted);
    if (!link) return;
    clearTimeout(timer);
    timer = setTimeout(() => preview(link), 250);
  });
  article?.addEventListener("pointerout", (event) => event.target.closest(wanted) && hide());
  article?.addEventListener("focusin", (event) => {
    const link = event.target.closest(wanted);
    if (link) preview(link);
  });
  article?.addEventListener("focusout", hide);
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
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
  root.classList.add("w2s-typeset");
  fitAll();
}

// A printed chapter is whole: what is folded opens.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".bd-article details:not(.hide)")) fold.open = true;
});

codeSwitch();
parameterChips();
previews();
wideThings();
