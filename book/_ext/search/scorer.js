// How a hit is weighed: the title of a page or of a section, then its words, then the reference. Of
// pages that have the same words those come first that say what these mean.
var Scorer = {
  score: ([page, title, anchor, description, score]) => {
    const reference = page.startsWith("api/") || page.endsWith("modindex");
    const lists = ["claims", "status", "theorems", "evidence"].includes(page);
    const defining = ["notation", "how-it-works"].includes(page);
    const chapter = page.startsWith("notebooks/");
    return score * (reference ? 0.1 : lists ? 0.5 : defining ? 2 : chapter ? 1.5 : 1);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 3, 1: 1, 2: -2 },
  objPrioDefault: 0,
  title: 60,
  partialTitle: 8,
  term: 5,
  partialTerm: 2,
};
