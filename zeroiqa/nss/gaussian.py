"""Covariances and distances, by additions and divisions in a fixed order.

A library of linear algebra is faster, but its roundings depend on the processor.
"""

from __future__ import annotations

import numpy as np

from zeroiqa.nss.planes import Table


def scatter(rows: Table) -> Table:
    """Sum of the outer products of the rows with themselves, their mean taken off.

    Args:
        rows: shape (n, features).

    Returns:
        Shape (features, features).
    """
    centred = rows - rows.mean(axis=0)
    products: Table = centred[:, :, None] * centred[:, None, :]
    return np.asarray(products.sum(axis=0), dtype=np.float64)


def squared_length(gap: Table, covariance: Table) -> float:
    """gap^T covariance^-1 gap, by elimination.

    Args:
        gap: shape (features,).
        covariance: shape (features, features), positive definite.
    """
    rows, total = np.column_stack([covariance, gap]), 0.0
    for step in range(len(gap)):
        pivot = rows[step]
        total += float(pivot[-1] ** 2 / pivot[step])
        rows[step + 1 :] -= rows[step + 1 :, step, None] * (pivot / pivot[step])
    return total
