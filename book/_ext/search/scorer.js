// How a hit is weighed: pages that explain come before those that list, and the reference comes last.
var Scorer = {
  score: ([page, title, anchor, description, score]) => {
    const reference = page.startsWith("api/") || page.endsWith("modindex");
    const lists = ["bibliography", "claims", "status", "theorems", "evidence"].includes(page);
    return score * (reference ? 0.1 : lists ? 0.5 : 1);
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
