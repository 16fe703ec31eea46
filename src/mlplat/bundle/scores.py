"""Which of the usual metrics are better when they are higher, and which when they are lower."""

HIGHER_IS_BETTER = frozenset({"accuracy", "f1", "roc_auc", "r2"})
LOWER_IS_BETTER = frozenset({"log_loss", "mae", "rmse", "naive_mae", "naive_rmse"})
