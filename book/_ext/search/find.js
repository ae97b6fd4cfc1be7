// On the search page: questions in whole sentences, and excerpts of the text alone.

// A page need not have every word of a question: it comes before others the more it has.
const strict = Search.performTermsSearch;

Search.performTermsSearch = (terms, excluded) => {
  const all = strict(terms, excluded);
  if (all.length >= 5 || terms.size < 2) return all;
  const found = new Map(all.map((hit) => [hit[0], hit]));
  const partial = new Map();
  for (const term of terms) {
    for (const hit of strict(new Set([term]), excluded)) {
      if (found.has(hit[0])) continue;
      const kept = partial.get(hit[0]) ?? { hit, score: 0, words: 0 };
      kept.score += hit[4];
      kept.words += 1;
      partial.set(hit[0], kept);
    }
  }
  const enough = Math.ceil(terms.size / 2);
  for (const { hit, score, words } of partial.values()) {
    if (words < enough) continue;
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
