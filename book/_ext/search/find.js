// On the search page: questions in whole sentences, and excerpts of the text alone.

// How much it counts that a word of the question is in a page's title, in its lead (its question, its
// answer, what is said of it elsewhere), in a heading, or somewhere.
const WEIGHTS = { title: 1, lead: 0.7, heading: 0.4, text: 0.3 };

// Words of every question, which say nothing of what it is about.
const ASKING =
  "what when where which who whose why how do does did can could should would may might must i me my we our " +
  "us you your he she its than from has have had been being am so there about any some";
const stemmer = new Stemmer();
const asking = new Set(ASKING.split(" ").map((word) => stemmer.stemWord(word)));

const pagesOf = (words, term) => new Set([words[term] ?? []].flat());

// A word that no page has stands for those that begin with it.
function known(term, parts) {
  if (parts.some((words) => Object.hasOwn(words, term))) return [term];
  const begins = parts.flatMap((words) => Object.keys(words).filter((word) => word.startsWith(term)));
  return term.length > 2 ? [...new Set(begins)] : [];
}

function titleWords(title) {
  const words = splitQuery(title.toLowerCase().replace(/<[^>]*>/g, "")).filter((word) => !stopwords.includes(word));
  return new Set(words.map((word) => stemmer.stemWord(word)).filter((word) => !asking.has(word)));
}

Search.performTermsSearch = (terms, excluded) => {
  const { docnames, filenames, titles, terms: text, titleterms: heading, leads } = Search._index;
  const parts = [text, heading, leads];
  const told = [...terms].filter((term) => !asking.has(term));
  const wanted = told.length ? told : [...terms];
  // The book's name, on its first page, is not what that page is about.
  const names = titles.map((title, page) => (docnames[page] === "index" ? new Set() : titleWords(title)));
  const found = docnames.map(() => ({ score: 0, words: 0, named: 0 }));
  let most = 0;
  for (const term of wanted) {
    const same = known(term, parts);
    const [texts, headings, leading] = parts.map((words) => new Set(same.flatMap((one) => [...pagesOf(words, one)])));
    const all = new Set([...texts, ...headings, ...leading]);
    // The fewer pages have a word, the more it says.
    const worth = Math.log((docnames.length + 1) / (all.size + 0.5));
    most += worth;
    for (const page of all) {
      const named = same.some((one) => names[page].has(one));
      found[page].words += 1;
      found[page].named += named;
      found[page].score +=
        worth *
        (WEIGHTS.title * named +
          WEIGHTS.lead * leading.has(page) +
          WEIGHTS.heading * headings.has(page) +
          WEIGHTS.text * (texts.has(page) || headings.has(page)));
    }
  }
  const unwanted = new Set([...excluded].flatMap((term) => [...pagesOf(text, term)]));
  const enough = Math.ceil(wanted.length / 2);
  return found.flatMap(({ score, words, named }, page) => {
    if (!words || words < enough || unwanted.has(page)) return [];
    // A title that says nothing else is what was asked for; of pages that have the same words, the one
    // that says what these mean.
    const whole = 1 + named / Math.max(names[page].size, 1) + (docnames[page] === "notation") / 2;
    return [[docnames[page], titles[page], "", null, (30 * whole * score) / most, filenames[page]]];
  });
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
