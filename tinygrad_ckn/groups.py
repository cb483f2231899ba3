"""Groups of examples that stay on one side of a split.

Equal images are one group, and so are the images that the user names as one: copies of a
subject. n examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The held-out share that whole groups may differ from before they are chosen one by one.
_FACTOR = 2


def joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int64]:
    """Return the groups (n,), from 0, of examples that are alike in either of two ways.

    Examples that are alike one way, such as equal images, join the groups that they are
    in the other way.

    Examples
    --------
    >>> joined(np.array(["a", "a", "b", "c"]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = (np.unique(x, return_inverse=True)[1].reshape(-1) for x in (first, second))
    # Nodes are the groups of both ways; an example is an edge.
    n_rows = int(rows.max(initial=-1)) + 1
    n_nodes = n_rows + int(columns.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(rows)), (rows, n_rows + columns)), shape=(n_nodes, n_nodes))
    found = connected_components(edges, directed=False)[1][rows]
    numbers: NDArray[np.int64] = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return numbers


def whole_groups(held_out: NDArray[np.bool_], groups: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Return which examples are held out, (n,), if each group is, or is not, as a whole.

    Each example follows the first of its group. If that would hold out all, none, or less
    than half or more than twice as many as `held_out`, groups are taken one by one while
    that brings their size closer to it, those with the largest held-out share first. If
    there is one group only, `held_out` is returned.

    Examples
    --------
    >>> whole_groups(np.array([True, False, False]), np.array([0, 1, 0]))
    array([ True, False,  True])
    """
    if groups is None:
        return held_out
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    together = held_out[first][group]
    wanted, found = int(held_out.sum()), int(together.sum())
    if found < len(held_out) and wanted <= _FACTOR * found and found <= _FACTOR * wanted:
        return together
    if len(first) == 1 or not wanted:
        return held_out
    sizes = np.bincount(group)
    order = np.argsort(-np.bincount(group, held_out) / sizes, kind="stable")
    return _nearest(sizes, order, wanted)[group]


def _nearest(sizes: NDArray[np.intp], order: NDArray[np.intp], wanted: int) -> NDArray[np.bool_]:
    """Return which groups to take, in order, for a total size close to `wanted`.

    At least one is taken, and one is left.
    """
    chosen = np.zeros(len(sizes), np.bool_)
    missing = wanted
    for number in order.tolist():
        if sizes[number] < 2 * missing and chosen.sum() < len(sizes) - 1:
            chosen[number] = True
            missing -= int(sizes[number])
    if not chosen.any():
        # All groups are larger than twice the share.
        chosen[order[np.argmin(sizes[order])]] = True
    return chosen
