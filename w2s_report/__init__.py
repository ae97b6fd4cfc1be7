"""The report card: will a strong model gain from a weak one's labels, told from feature arrays.

``w2s_utils.report`` is the way in, ``w2s report`` the command. The modules, in the order in which
they use each other: `readers` (files), `labels`, `accumulate` (one pass over the rows), `geometry`
(what the features alone say), `measure` (repeated splits), `teachers` (one teacher and the
student), `probabilities` (logistic heads), `verdict`, `card` (all of it, as one dataclass); `draw`,
`sections`, `page` and `command` show it.
"""
