// On the search page: questions in whole sentences, and excerpts of the text alone.

// A page is weighed by the mean over a question's words, not by its best one, and by those in its own
// title; it need not have every word, and comes before others the more it has.
const strict = Search.performTermsSearch;

Search.performTermsSearch = (terms, excluded) => {
  const all = strict(terms, excluded);
  const found = new Map();
  for (const term of terms) {
    for (const hit of strict(new Set([term]), excluded)) {
      const kept = found.get(hit[0]) ?? { hit, score: 0, words: 0 };
      kept.score += hit[4];
      kept.words += 1;
      found.set(hit[0], kept);
    }
  }
  const whole = new Set(all.map((hit) => hit[0]));
  for (const hit of all) {
    const named = [...terms].filter((term) => hit[1].toLowerCase().includes(term)).length;
    hit[4] = ((found.get(hit[0])?.score ?? 0) + 30 * named) / terms.size;
  }
  if (all.length >= 5) return all;
  const enough = Math.ceil(terms.size / 2);
  for (const { hit, score, words } of found.values()) {
    if (words < enough || whole.has(hit[0])) continue;
    hit[4] = (score * words) / (2 * terms.size * terms.size);
    all.push(hit);
  }
  return all;
};

// The text of a page: no code, no buttons, no formulas twice.
const OUT = ".headerlink, script, style, .cell_input, details.hide, .math > math, .w2s-cite, .w2s-figure-data";

Search.htmlToText = (source, anchor) => {
  const page = new DOMParser().parseFromString(source, "text/html");
  const article = page.querySelector("article.bd-article") ?? page.body;
  for (const node of article.querySelectorAll(OUT)) node.remove();
  const named = anchor ? page.getElementById(decodeURIComponent(anchor.slice(1))) : null;
  return (named?.closest("section, .proof, figure") ?? article).textContent;
};
