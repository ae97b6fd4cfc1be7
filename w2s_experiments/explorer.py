"""Links from a notebook to the explorer page, with the notebook's own parameters.

The page ``explorer`` computes `w2s_utils.theory.risks` in the reader's browser; its whole state is
in its address, under the names of `PARAMETERS`.
"""

from __future__ import annotations

import html
from urllib.parse import urlencode

from w2s_utils.theory.risks import Setting

PARAMETERS = ("d_w", "d_s", "d_sw", "n", "N", "sigma2", "rho_w", "rho_s", "b", "kappa")
# From notebooks/<part>/<name>.html.
PAGE = "../../explorer.html"


def url(setting: Setting, n: int, N: int, *, page: str = PAGE) -> str:
    """Address of the explorer at a setting.

    Parameters
    ----------
    setting : Setting
    n, N : int
        Labels and pseudo-labels.
    page : str
        The explorer as seen from where the link is.

    Returns
    -------
    str
    """
    values = {name: getattr(setting, name, None) for name in PARAMETERS} | {"n": n, "N": N}
    # Twelve digits: sums of squares such as 3.0000000000000004 should not look odd.
    return f"{page}?{urlencode({name: f'{value:.12g}' for name, value in values.items()})}"


def link(setting: Setting, n: int, N: int, text: str) -> None:
    """Display a link to the explorer at a setting."""
    from IPython.display import HTML, display

    address = html.escape(url(setting, n, N))
    line = f'<p class="w2s-explore"><a href="{address}">{html.escape(text)}</a></p>'
    display(HTML(line))
